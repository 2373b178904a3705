/* Messages that are under way while their sender goes on. */
#include "czhpc/mpi_error.h"
#include "queue_parts.h"

#include <stddef.h>
#include <string.h>

cz_status cz_message_send(cz_queue *q, const void *bytes, size_t size, int rank, int tag,
                          MPI_Request *sending)
{
    CZ_MPI(MPI_Isend, bytes, (int)size, MPI_BYTE, rank, tag, q->mpi, sending);
    return CZ_OK;
}

cz_status cz_message_request(cz_queue *q, const cz_request *request, MPI_Request *sending)
{
    size_t size = offsetof(cz_request, text) + strlen(request->text) + 1;
    return cz_message_send(q, request, size, 0, CZ_REQUEST_TAG, sending);
}

cz_status cz_message_reply(cz_queue *q, const cz_reply *reply, int rank, MPI_Request *sending)
{
    size_t bytes = reply->kind == CZ_REPLY_ITEM ? (size_t)reply->item.size : 0;
    size_t size = offsetof(cz_reply, item) + offsetof(cz_item, bytes) + bytes;
    return cz_message_send(q, reply, size, rank, CZ_REPLY_TAG, sending);
}

cz_status cz_message_take_reply(cz_queue *q, cz_reply *reply, MPI_Request *receiving)
{
    memset(reply, 0, sizeof *reply);
    CZ_MPI(MPI_Irecv, reply, (int)sizeof *reply, MPI_BYTE, 0, CZ_REPLY_TAG, q->mpi, receiving);
    return CZ_OK;
}

cz_status cz_message_share(cz_queue *q, void *bytes, size_t size, MPI_Request *sharing)
{
    CZ_MPI(MPI_Ibcast, bytes, (int)size, MPI_BYTE, 0, q->group.mpi, sharing);
    return CZ_OK;
}

cz_status cz_message_complete(MPI_Request *sending, int count)
{
    CZ_MPI(MPI_Waitall, count, sending, MPI_STATUSES_IGNORE);
    return CZ_OK;
}

#include "czhpc/comm.h"
#include "czhpc/mpi_error.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE_SIZE = 4096, MESSAGE_TAG = 1, PIECE = 1 << 30 };

cz_status cz_comm_result(const char *call, int code)
{
    if (code == MPI_SUCCESS) return CZ_OK;
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int length = 0;
    if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
        snprintf(text, sizeof text, "error %d", code);
    return cz_fail(CZ_ERR_MPI, "%s failed: %s (see MPI's own messages above)", call, text);
}

/* Errors of the node's communicator: MPI_ERRORS_RETURN is inherited from its parent. */
static cz_status describe_group(cz_comm *comm)
{
    CZ_MPI(MPI_Comm_set_errhandler, comm->mpi, MPI_ERRORS_RETURN);
    CZ_MPI(MPI_Comm_rank, comm->mpi, &comm->rank);
    CZ_MPI(MPI_Comm_size, comm->mpi, &comm->size);
    CZ_MPI(MPI_Comm_split_type, comm->mpi, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL,
           &comm->node);
    CZ_MPI(MPI_Comm_set_errhandler, comm->node, MPI_ERRORS_RETURN);
    CZ_MPI(MPI_Comm_rank, comm->node, &comm->node_rank);
    CZ_MPI(MPI_Comm_size, comm->node, &comm->node_size);
    if (gethostname(comm->host, sizeof comm->host)) strcpy(comm->host, "unknown");
    comm->host[sizeof comm->host - 1] = 0;
    return CZ_OK;
}

cz_status cz_comm_world(cz_comm *comm)
{
    *comm = (cz_comm){.mpi = MPI_COMM_NULL, .node = MPI_COMM_NULL};
    CZ_MPI(MPI_Comm_set_errhandler, MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    CZ_MPI(MPI_Comm_dup, MPI_COMM_WORLD, &comm->mpi);
    CZ_TRY(describe_group(comm));
    comm->job_rank = comm->rank;
    comm->job_size = comm->size;
    return CZ_OK;
}

cz_status cz_comm_split(cz_comm *comm, const cz_comm *parent, int colour)
{
    *comm = (cz_comm){.mpi = MPI_COMM_NULL,
                      .node = MPI_COMM_NULL,
                      .job_rank = parent->job_rank,
                      .job_size = parent->job_size};
    CZ_MPI(MPI_Comm_split, parent->mpi, colour, parent->rank, &comm->mpi);
    return describe_group(comm);
}

void cz_comm_free(cz_comm *comm)
{
    if (comm->node != MPI_COMM_NULL) MPI_Comm_free(&comm->node);
    if (comm->mpi != MPI_COMM_NULL) MPI_Comm_free(&comm->mpi);
    comm->node = comm->mpi = MPI_COMM_NULL;
}

bool cz_comm_any_thread(void)
{
    int provided;
    return MPI_Query_thread(&provided) == MPI_SUCCESS && provided == MPI_THREAD_MULTIPLE;
}

/* Sleeps until a request is done, looking at it less often the longer it takes. */
static int sleep_through(MPI_Request request)
{
    enum { SHORTEST = 20000, LONGEST = 1000000 }; /* nanoseconds */
    int done, code = MPI_Request_get_status(request, &done, MPI_STATUS_IGNORE);
    for (long nap = SHORTEST; code == MPI_SUCCESS && !done; nap *= nap < LONGEST ? 2 : 1) {
        nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
        code = MPI_Request_get_status(request, &done, MPI_STATUS_IGNORE);
    }
    return code;
}

/* Waits for what `call` has started, if it has. */
static cz_status finish(const cz_comm *comm, const char *call, int code, MPI_Request *request)
{
    if (code == MPI_SUCCESS && comm->sleeps) code = sleep_through(*request);
    /* The checker knows no MPI_Iallgatherv: NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker) */
    int waited = MPI_Wait(request, MPI_STATUS_IGNORE);
    return cz_comm_result(call, code == MPI_SUCCESS ? waited : code);
}

static cz_status send_text(const cz_comm *comm, const char text[MESSAGE_SIZE])
{
    MPI_Request sending = MPI_REQUEST_NULL;
    int code = MPI_Isend(text, MESSAGE_SIZE, MPI_CHAR, 0, MESSAGE_TAG, comm->mpi, &sending);
    return finish(comm, "MPI_Isend", code, &sending);
}

static cz_status receive_text(const cz_comm *comm, char text[MESSAGE_SIZE], int from)
{
    MPI_Request coming = MPI_REQUEST_NULL;
    int code = MPI_Irecv(text, MESSAGE_SIZE, MPI_CHAR, from, MESSAGE_TAG, comm->mpi, &coming);
    return finish(comm, "MPI_Irecv", code, &coming);
}

/* A message that an earlier, smaller group already placed keeps that place. */
static bool is_placed(const char *text)
{
    int rank, end = 0;
    return sscanf(text, "rank %d on %*[^ :]:%n", &rank, &end) == 1 && end > 0;
}

/* The message of `from`, on rank 0 with its place, and on no other rank. */
static cz_status bring_message(const cz_comm *comm, cz_status status, int from)
{
    char text[MESSAGE_SIZE] = "";
    if (comm->rank == from) {
        const char *mine = cz_error_message();
        if (comm->job_size < 2 || !mine[0] || is_placed(mine))
            snprintf(text, sizeof text, "%s", mine);
        else snprintf(text, sizeof text, "rank %d on %s: %s", comm->job_rank, comm->host, mine);
    }
    if (from != 0 && comm->rank == from) CZ_TRY(send_text(comm, text));
    if (from != 0 && comm->rank == 0) CZ_TRY(receive_text(comm, text, from));
    if (comm->rank != 0) cz_error_clear();
    /* An empty text: that rank's message went to rank 0 earlier. */
    if (comm->rank == 0 && text[0]) {
        cz_error_clear();
        cz_fail(status, "%s", text);
    }
    return CZ_OK;
}

typedef struct outcome {
    int status, rank;
} outcome;

static cz_status find_worst(const cz_comm *comm, outcome *worst, const outcome *own)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int code = MPI_Iallreduce(own, worst, 1, MPI_2INT, MPI_MAXLOC, comm->mpi, &request);
    return finish(comm, "MPI_Iallreduce", code, &request);
}

cz_status cz_comm_agree(const cz_comm *comm, cz_status mine)
{
    outcome own = {(int)mine, comm->rank}, worst = own;
    if (comm->size > 1) CZ_TRY(find_worst(comm, &worst, &own));
    cz_status status = (cz_status)worst.status;
    if (status > CZ_STOPPED) CZ_TRY(bring_message(comm, status, worst.rank));
    return status;
}

static cz_status broadcast(const cz_comm *comm, void *bytes, int count)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int code = MPI_Ibcast(bytes, count, MPI_BYTE, 0, comm->mpi, &request);
    return finish(comm, "MPI_Ibcast", code, &request);
}

cz_status cz_comm_broadcast(const cz_comm *comm, cz_status status, void *bytes, size_t size)
{
    int first = (int)status;
    if (comm->size == 1) return status;
    CZ_TRY(broadcast(comm, &first, sizeof first));
    if (first != CZ_OK) return (cz_status)first;
    for (size_t at = 0; at < size; at += PIECE) {
        int count = (int)(size - at < PIECE ? size - at : PIECE);
        CZ_TRY(broadcast(comm, (char *)bytes + at, count));
    }
    return CZ_OK;
}

/* Elements of any size as one MPI type, so that counts are elements and fit an int. */
static cz_status gather_elements(const cz_comm *comm, void *dst, const void *own, const int *counts,
                                 const int *begin, size_t element_bytes, bool everywhere)
{
    int mine = counts[comm->rank], code;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Datatype element;
    CZ_MPI(MPI_Type_contiguous, (int)element_bytes, MPI_BYTE, &element);
    cz_status status = cz_comm_result("MPI_Type_commit", MPI_Type_commit(&element));
    if (!status && everywhere) {
        code =
            MPI_Iallgatherv(own, mine, element, dst, counts, begin, element, comm->mpi, &request);
        status = finish(comm, "MPI_Iallgatherv", code, &request);
    } else if (!status) {
        code =
            MPI_Igatherv(own, mine, element, dst, counts, begin, element, 0, comm->mpi, &request);
        status = finish(comm, "MPI_Igatherv", code, &request);
    }
    MPI_Type_free(&element);
    return status;
}

static cz_status gather(const cz_comm *comm, void *dst, const void *own, const int *counts,
                        size_t element_bytes, bool everywhere)
{
    int *begin = cz_alloc((size_t)comm->size, sizeof *begin, "the places of gathered elements");
    cz_status status = begin ? CZ_OK : CZ_ERR_MEMORY;
    size_t total = 0;
    for (int r = 0; r < comm->size && begin; r++) {
        begin[r] = (int)total;
        total += (size_t)counts[r];
        if (total > INT_MAX || element_bytes > INT_MAX)
            status = cz_fail(CZ_ERR_BUG, "gathering of over 2^31 elements, or of %zu bytes each",
                             element_bytes);
        if (status) break;
    }
    status = cz_comm_agree(comm, status);
    if (!status && comm->size > 1)
        status = gather_elements(comm, dst, own, counts, begin, element_bytes, everywhere);
    else if (!status && total) memcpy(dst, own, total * element_bytes);
    free(begin);
    return status;
}

cz_status cz_comm_gather_all(const cz_comm *comm, void *dst, const void *own, const int *counts,
                             size_t element_bytes)
{
    return gather(comm, dst, own, counts, element_bytes, true);
}

cz_status cz_comm_gather(const cz_comm *comm, void *dst, const void *own, const int *counts,
                         size_t element_bytes)
{
    return gather(comm, dst, own, counts, element_bytes, false);
}

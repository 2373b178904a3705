/* Gradients in messages, where ranks share no memory. */
#include "czhpc/mpi_error.h"
#include "reducer.h"

enum { SLOTS_TAG, ARRAY_TAG }; /* + the partial sum */

/* The largest power of two that divides the threads: then the workers of a partial sum are a
 * whole subtree, on whatever ranks the others are. */
static int group_of(int threads) { return threads & -threads; }

static size_t whole_lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

static size_t received_stride(const cz_reducer *r)
{
    size_t begin, end;
    cz_reducer_rank_slice(r, &begin, &end);
    return whole_lines((end - begin) * cz_dtype_size(r->dtype));
}

size_t cz_mail_own_bytes(const cz_reducer *r)
{
    size_t threads = (size_t)r->threads, size = (size_t)r->comm->size;
    size_t partials = threads / (size_t)group_of(r->threads), leaves = size * partials;
    size_t arrays = (3 + threads + partials) * r->stride + leaves * received_stride(r);
    size_t slots = (threads + partials + leaves) * sizeof(cz_slot);
    size_t messages = 2 * size * (partials + 1);
    size_t tables = size * sizeof(int) + (2 * leaves + 2 * threads + size) * sizeof(void *) +
                    messages * (2 * sizeof(MPI_Request) + sizeof(MPI_Status));
    return arrays + slots + tables + r->packer.bytes + (size_t)21 * 64; /* alignment of each */
}

static cz_status take_tables(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    size_t size = (size_t)r->comm->size, messages = 2 * size * ((size_t)mail->partials + 1);
    mail->updated = cz_arena_take(&r->memory, size * sizeof *mail->updated);
    mail->sums = cz_arena_take(&r->memory, messages * sizeof *mail->sums);
    mail->weights = cz_arena_take(&r->memory, messages * sizeof *mail->weights);
    mail->status = cz_arena_take(&r->memory, messages * sizeof *mail->status);
    if (!mail->updated || !mail->sums || !mail->weights || !mail->status) return CZ_ERR_MEMORY;
    return CZ_OK;
}

static cz_status take_arrays(cz_reducer *r)
{
    size_t threads = (size_t)r->threads;
    r->weights = cz_arena_take(&r->memory, r->stride);
    r->moment1 = cz_arena_take(&r->memory, r->stride);
    r->moment2 = cz_arena_take(&r->memory, r->stride);
    r->gradient = cz_arena_take(&r->memory, threads * r->stride);
    r->slot = cz_arena_take(&r->memory, threads * sizeof *r->slot);
    r->packed = cz_arena_take(&r->memory, r->packer.bytes);
    if (!r->packed) return CZ_ERR_MEMORY;
    if (!r->weights || !r->moment1 || !r->moment2 || !r->gradient || !r->slot) return CZ_ERR_MEMORY;
    return CZ_OK;
}

/* A partial sum of one worker is that worker's own gradient. */
static cz_status take_partials(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    size_t threads = (size_t)r->threads, partials = (size_t)mail->partials;
    mail->partial = r->gradient;
    mail->partial_slot = r->slot;
    if (mail->group == 1) return CZ_OK;
    mail->partial = cz_arena_take(&r->memory, partials * r->stride);
    mail->partial_slot = cz_arena_take(&r->memory, partials * sizeof *mail->partial_slot);
    mail->member = cz_arena_take(&r->memory, threads * sizeof(void *));
    mail->member_slot = cz_arena_take(&r->memory, threads * sizeof(void *));
    if (!mail->partial || !mail->partial_slot || !mail->member || !mail->member_slot)
        return CZ_ERR_MEMORY;
    for (int t = 0; t < r->threads; t++) {
        mail->member[t] = cz_reducer_gradient(r, t);
        mail->member_slot[t] = &r->slot[t];
    }
    return CZ_OK;
}

static char *array_at(const cz_reducer *r, char *array, int index, size_t element)
{
    return array + (size_t)index * r->stride + element * cz_dtype_size(r->dtype);
}

/* The leaves: partial sums of every rank, this rank's where they are formed, the others'
 * where they are received. */
static cz_status take_leaves(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    int rank = r->comm->rank, partials = mail->partials;
    size_t end, stride = received_stride(r), first = (size_t)rank * (size_t)partials;
    r->leaves = r->comm->size * partials;
    r->outcomes = r->comm->size;
    cz_reducer_rank_slice(r, &r->leaf_begin, &end);
    mail->received = cz_arena_take(&r->memory, (size_t)r->leaves * stride);
    mail->received_slot = cz_arena_take(&r->memory, (size_t)r->leaves * sizeof(cz_slot));
    r->leaf = cz_arena_take(&r->memory, (size_t)r->leaves * sizeof(void *));
    r->leaf_slot = cz_arena_take(&r->memory, (size_t)r->leaves * sizeof(void *));
    r->outcome = cz_arena_take(&r->memory, (size_t)r->outcomes * sizeof(void *));
    if (!mail->received || !mail->received_slot || !r->leaf || !r->leaf_slot || !r->outcome)
        return CZ_ERR_MEMORY;
    for (int i = 0; i < r->leaves; i++) {
        r->leaf[i] = mail->received + (size_t)i * stride;
        r->leaf_slot[i] = &mail->received_slot[i];
    }
    for (int p = 0; p < partials; p++) {
        r->leaf[first + (size_t)p] = array_at(r, mail->partial, p, r->leaf_begin);
        r->leaf_slot[first + (size_t)p] = &mail->partial_slot[p];
    }
    for (int i = 0; i < r->outcomes; i++) r->outcome[i] = &mail->updated[i];
    return CZ_OK;
}

static cz_status prepare_send(cz_mail *mail, MPI_Request *list, int *count, const void *from,
                              size_t elements, MPI_Datatype type, int rank, int tag)
{
    CZ_MPI(MPI_Send_init, from, (int)elements, type, rank, tag, mail->comm, &list[*count]);
    ++*count;
    return CZ_OK;
}

static cz_status prepare_receive(cz_mail *mail, MPI_Request *list, int *count, void *to,
                                 size_t elements, MPI_Datatype type, int rank, int tag)
{
    CZ_MPI(MPI_Recv_init, to, (int)elements, type, rank, tag, mail->comm, &list[*count]);
    ++*count;
    return CZ_OK;
}

/* Partial sums of the other's slice, from here to there and the other way round. */
static cz_status prepare_sums(cz_reducer *r, int other)
{
    cz_mail *mail = &r->mail;
    MPI_Request *list = mail->sums;
    int *count = &mail->sums_count, partials = mail->partials;
    MPI_Datatype type = r->dtype == CZ_F64 ? MPI_DOUBLE : MPI_FLOAT;
    size_t begin, end, own_begin, own_end, slots = (size_t)partials * sizeof(cz_slot);
    size_t first = (size_t)other * (size_t)partials, stride = received_stride(r);
    cz_reducer_rank_slice(r, &own_begin, &own_end);
    cz_reducer_range(r, other * r->threads, (other + 1) * r->threads, &begin, &end);

    CZ_TRY(prepare_receive(mail, list, count, &mail->received_slot[first], slots, MPI_BYTE, other,
                           SLOTS_TAG));
    for (int p = 0; p < partials; p++)
        CZ_TRY(prepare_receive(mail, list, count, mail->received + (first + (size_t)p) * stride,
                               own_end - own_begin, type, other, ARRAY_TAG + p));
    CZ_TRY(prepare_send(mail, list, count, mail->partial_slot, slots, MPI_BYTE, other, SLOTS_TAG));
    for (int p = 0; p < partials; p++)
        CZ_TRY(prepare_send(mail, list, count, array_at(r, mail->partial, p, begin), end - begin,
                            type, other, ARRAY_TAG + p));
    return CZ_OK;
}

/* Slices of the weights, and how their update went. */
static cz_status prepare_weights(cz_reducer *r, int other)
{
    cz_mail *mail = &r->mail;
    MPI_Request *list = mail->weights;
    int *count = &mail->weights_count;
    MPI_Datatype type = r->dtype == CZ_F64 ? MPI_DOUBLE : MPI_FLOAT;
    size_t begin, end, own_begin, own_end;
    cz_reducer_rank_slice(r, &own_begin, &own_end);
    cz_reducer_range(r, other * r->threads, (other + 1) * r->threads, &begin, &end);

    CZ_TRY(prepare_receive(mail, list, count, &mail->updated[other], 1, MPI_INT, other, SLOTS_TAG));
    CZ_TRY(prepare_receive(mail, list, count, array_at(r, r->weights, 0, begin), end - begin, type,
                           other, ARRAY_TAG));
    CZ_TRY(prepare_send(mail, list, count, &mail->updated[r->comm->rank], 1, MPI_INT, other,
                        SLOTS_TAG));
    return prepare_send(mail, list, count, array_at(r, r->weights, 0, own_begin),
                        own_end - own_begin, type, other, ARRAY_TAG);
}

cz_status cz_mail_open(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    mail->group = group_of(r->threads);
    mail->partials = r->threads / mail->group;
    CZ_TRY(take_tables(r));
    CZ_TRY(take_arrays(r));
    CZ_TRY(take_partials(r));
    CZ_TRY(take_leaves(r));
    /* Of its own, so that no other message of the group can be mistaken for these. */
    CZ_MPI(MPI_Comm_dup, r->comm->mpi, &mail->comm);
    for (int i = 1; i < r->comm->size; i++) {
        int other = (r->comm->rank + i) % r->comm->size; /* not all to rank 0 first */
        CZ_TRY(prepare_sums(r, other));
        CZ_TRY(prepare_weights(r, other));
    }
    return CZ_OK;
}

void cz_mail_close(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    for (int i = 0; i < mail->sums_count; i++) MPI_Request_free(&mail->sums[i]);
    for (int i = 0; i < mail->weights_count; i++) MPI_Request_free(&mail->weights[i]);
    if (mail->comm != MPI_COMM_NULL) MPI_Comm_free(&mail->comm);
}

static void form_partial(cz_reducer *r, int thread, int p)
{
    cz_mail *mail = &r->mail;
    size_t element = cz_dtype_size(r->dtype), chunk = CZ_TREE_CHUNK / element;
    size_t lines = r->stride / 64, threads = (size_t)r->threads, t = (size_t)thread;
    size_t begin = lines * t / threads * (64 / element);
    size_t end = lines * (t + 1) / threads * (64 / element);
    if (end > r->n) end = r->n;
    cz_tree tree = cz_reducer_tree(r, thread, r->dtype, mail->group);
    const void *const *leaf = mail->member + (size_t)p * (size_t)mail->group;
    char *out = mail->partial + (size_t)p * r->stride;
    for (size_t at = begin; at < end; at += chunk) {
        size_t count = end - at < chunk ? end - at : chunk;
        cz_tree_sum(&tree, leaf, at, count, out + at * element);
    }
}

void cz_mail_form_partials(cz_reducer *r, int thread)
{
    cz_mail *mail = &r->mail;
    for (int p = 0; p < mail->partials; p++) {
        form_partial(r, thread, p);
        const void *const *slot = mail->member_slot + (size_t)p * (size_t)mail->group;
        if (thread == 0) cz_reducer_sum_slots(r, 0, slot, mail->group, &mail->partial_slot[p].sums);
    }
}

/* The first error of a message is more than MPI_Waitall's "error in status". */
static cz_status exchange(cz_mail *mail, MPI_Request *list, int count)
{
    if (count == 0) return CZ_OK;
    CZ_MPI(MPI_Startall, count, list);
    int code = MPI_Waitall(count, list, mail->status);
    for (int i = 0; i < count && code == MPI_ERR_IN_STATUS; i++) {
        int one = mail->status[i].MPI_ERROR;
        if (one != MPI_SUCCESS && one != MPI_ERR_PENDING) code = one;
    }
    return cz_comm_result("MPI_Waitall", code);
}

cz_status cz_mail_exchange_sums(cz_reducer *r)
{
    return exchange(&r->mail, r->mail.sums, r->mail.sums_count);
}

cz_status cz_mail_exchange_weights(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    int worst = CZ_OK;
    for (int t = 0; t < r->threads; t++)
        if (r->slot[t].updated > worst) worst = r->slot[t].updated;
    mail->updated[r->comm->rank] = worst;
    return exchange(mail, mail->weights, mail->weights_count);
}

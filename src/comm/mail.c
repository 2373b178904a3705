/* Gradients in messages, where ranks share no memory. */
#include "mpi_error.h"
#include "reducer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

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
    size_t tables = size * (3 * sizeof(int) + 4 * sizeof(MPI_Datatype)) +
                    (2 * leaves + 2 * threads + size) * sizeof(void *);
    return arrays + slots + tables + 20 * 64; /* alignment of each */
}

/* `head_bytes` at `head`, then elements [begin, end) of `arrays` arrays, as one type. */
static cz_status make_type(const cz_reducer *r, MPI_Datatype *type, void *head, size_t head_bytes,
                           char *array, size_t stride, int arrays, size_t begin, size_t end)
{
    size_t blocks = (size_t)arrays + 1;
    int *length = cz_alloc(blocks, sizeof *length, "a message's type");
    MPI_Aint *address = cz_alloc(blocks, sizeof *address, "a message's type");
    MPI_Datatype *block = cz_alloc(blocks, sizeof *block, "a message's type");
    cz_status status = length && address && block ? CZ_OK : CZ_ERR_MEMORY;
    if (status) goto done;

    length[0] = (int)head_bytes;
    block[0] = MPI_BYTE;
    MPI_Get_address(head, &address[0]);
    for (int p = 0; p < arrays; p++) {
        length[p + 1] = (int)(end - begin);
        block[p + 1] = r->dtype == CZ_F64 ? MPI_DOUBLE : MPI_FLOAT;
        MPI_Get_address(array + (size_t)p * stride + begin * cz_dtype_size(r->dtype),
                        &address[p + 1]);
    }
    status = cz_comm_result("MPI_Type_create_struct",
                            MPI_Type_create_struct((int)blocks, length, address, block, type));
    if (!status) status = cz_comm_result("MPI_Type_commit", MPI_Type_commit(type));
done:
    free(length);
    free(address);
    free(block);
    return status;
}

static MPI_Datatype *take_types(cz_arena *memory, int count)
{
    MPI_Datatype *type = cz_arena_take(memory, (size_t)count * sizeof *type);
    for (int i = 0; type && i < count; i++) type[i] = MPI_BYTE;
    return type;
}

static cz_status take_tables(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    int size = r->comm->size;
    size_t ints = (size_t)size * sizeof(int);
    mail->updated = cz_arena_take(&r->memory, ints);
    mail->count = cz_arena_take(&r->memory, ints);
    mail->nowhere = cz_arena_take(&r->memory, ints);
    mail->send_sums = take_types(&r->memory, size);
    mail->receive_sums = take_types(&r->memory, size);
    mail->send_weights = take_types(&r->memory, size);
    mail->receive_weights = take_types(&r->memory, size);
    if (!mail->updated || !mail->count || !mail->nowhere || !mail->send_sums ||
        !mail->receive_sums || !mail->send_weights || !mail->receive_weights)
        return CZ_ERR_MEMORY;
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

/* The leaves: partial sums of every rank, this rank's where they are formed, the others'
 * where they are received. */
static cz_status take_leaves(cz_reducer *r, char **received, cz_slot **received_slot)
{
    cz_mail *mail = &r->mail;
    int rank = r->comm->rank, partials = mail->partials;
    size_t end, stride = received_stride(r), first = (size_t)rank * (size_t)partials;
    r->leaves = r->comm->size * partials;
    r->outcomes = r->comm->size;
    cz_reducer_rank_slice(r, &r->leaf_begin, &end);
    *received = cz_arena_take(&r->memory, (size_t)r->leaves * stride);
    *received_slot = cz_arena_take(&r->memory, (size_t)r->leaves * sizeof(cz_slot));
    r->leaf = cz_arena_take(&r->memory, (size_t)r->leaves * sizeof(void *));
    r->leaf_slot = cz_arena_take(&r->memory, (size_t)r->leaves * sizeof(void *));
    r->outcome = cz_arena_take(&r->memory, (size_t)r->outcomes * sizeof(void *));
    if (!*received || !*received_slot || !r->leaf || !r->leaf_slot || !r->outcome)
        return CZ_ERR_MEMORY;
    for (int i = 0; i < r->leaves; i++) {
        r->leaf[i] = *received + (size_t)i * stride;
        r->leaf_slot[i] = &(*received_slot)[i];
    }
    for (int p = 0; p < partials; p++) {
        r->leaf[first + (size_t)p] =
            mail->partial + (size_t)p * r->stride + r->leaf_begin * cz_dtype_size(r->dtype);
        r->leaf_slot[first + (size_t)p] = &mail->partial_slot[p];
    }
    for (int i = 0; i < r->outcomes; i++) r->outcome[i] = &mail->updated[i];
    return CZ_OK;
}

static cz_status make_types(cz_reducer *r, char *received, cz_slot *received_slot)
{
    cz_mail *mail = &r->mail;
    int rank = r->comm->rank, partials = mail->partials;
    size_t stride = received_stride(r), begin, end, own_begin, own_end;
    size_t slots = (size_t)partials * sizeof(cz_slot), word = sizeof *mail->updated;
    cz_reducer_rank_slice(r, &own_begin, &own_end);
    for (int other = 0; other < r->comm->size; other++) {
        size_t first = (size_t)other * (size_t)partials;
        if (other == rank) continue;
        cz_reducer_range(r, other * r->threads, (other + 1) * r->threads, &begin, &end);
        CZ_TRY(make_type(r, &mail->send_sums[other], mail->partial_slot, slots, mail->partial,
                         r->stride, partials, begin, end));
        CZ_TRY(make_type(r, &mail->receive_sums[other], received_slot + first, slots,
                         received + first * stride, stride, partials, 0, own_end - own_begin));
        CZ_TRY(make_type(r, &mail->send_weights[other], &mail->updated[rank], word, r->weights, 0,
                         1, own_begin, own_end));
        CZ_TRY(make_type(r, &mail->receive_weights[other], &mail->updated[other], word, r->weights,
                         0, 1, begin, end));
        mail->count[other] = 1;
    }
    return CZ_OK;
}

cz_status cz_mail_open(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    if (r->n > INT_MAX)
        return cz_fail(CZ_ERR_CONFIG,
                       "%zu weights are more than a message can hold: use a "
                       "smaller model, or ranks on one node",
                       r->n);
    mail->group = group_of(r->threads);
    mail->partials = r->threads / mail->group;
    CZ_TRY(take_tables(r));
    CZ_TRY(take_arrays(r));
    CZ_TRY(take_partials(r));
    char *received;
    cz_slot *received_slot;
    CZ_TRY(take_leaves(r, &received, &received_slot));
    return make_types(r, received, received_slot);
}

static void free_types(MPI_Datatype *type, int count)
{
    for (int i = 0; type && i < count; i++)
        if (type[i] != MPI_BYTE) MPI_Type_free(&type[i]);
}

void cz_mail_close(cz_reducer *r)
{
    free_types(r->mail.send_sums, r->comm->size);
    free_types(r->mail.receive_sums, r->comm->size);
    free_types(r->mail.send_weights, r->comm->size);
    free_types(r->mail.receive_weights, r->comm->size);
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
        if (thread == 0)
            cz_reducer_sum_slots(r, 0, mail->member_slot + p * mail->group, mail->group,
                                 &mail->partial_slot[p].sums);
    }
}

cz_status cz_mail_exchange_sums(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    CZ_MPI(MPI_Alltoallw, MPI_BOTTOM, mail->count, mail->nowhere, mail->send_sums, MPI_BOTTOM,
           mail->count, mail->nowhere, mail->receive_sums, r->comm->mpi);
    return CZ_OK;
}

cz_status cz_mail_exchange_weights(cz_reducer *r)
{
    cz_mail *mail = &r->mail;
    int worst = CZ_OK;
    for (int t = 0; t < r->threads; t++)
        if (r->slot[t].updated > worst) worst = r->slot[t].updated;
    mail->updated[r->comm->rank] = worst;
    CZ_MPI(MPI_Alltoallw, MPI_BOTTOM, mail->count, mail->nowhere, mail->send_weights, MPI_BOTTOM,
           mail->count, mail->nowhere, mail->receive_weights, r->comm->mpi);
    return CZ_OK;
}

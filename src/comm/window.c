/* Gradients, weights and moments in one MPI-3 window that all ranks of a node map. */
#include "czhpc/mpi_error.h"
#include "reducer.h"

#include <stdio.h>

static size_t slot_bytes(const cz_reducer *r) { return (size_t)r->workers * sizeof(cz_slot); }

/* Slots, the three arrays, a gradient for each worker, what is packed, and what alignment takes. */
size_t cz_window_bytes(const cz_reducer *r)
{
    return slot_bytes(r) + (3 + (size_t)r->workers) * r->stride + r->packer.bytes + 64;
}

size_t cz_window_own_bytes(const cz_reducer *r)
{
    return 3 * ((size_t)r->workers * sizeof(void *) + 64);
}

static cz_status share_memory(cz_reducer *r, char **base)
{
    const cz_comm *comm = r->comm;
    MPI_Aint bytes = comm->node_rank == 0 ? (MPI_Aint)cz_window_bytes(r) : 0;
    int unit;
    void *own;
    char call[256];
    snprintf(call, sizeof call,
             "MPI_Win_allocate_shared of %.0f MiB for weights, moments and gradients (a smaller "
             "model or fewer threads want less; its room is that of ulimit -v, /dev/shm, TMPDIR)",
             (double)cz_window_bytes(r) / (1 << 20));
    CZ_TRY(cz_comm_result(
        call, MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, comm->node, &own, &r->shared)));
    CZ_MPI(MPI_Win_set_errhandler, r->shared, MPI_ERRORS_RETURN);
    CZ_MPI(MPI_Win_shared_query, r->shared, 0, &bytes, &unit, base);
    /* For the whole life of the window: it is read and written by plain loads and stores. */
    CZ_MPI(MPI_Win_lock_all, MPI_MODE_NOCHECK, r->shared);
    return CZ_OK;
}

cz_status cz_window_open(cz_reducer *r)
{
    char *base = NULL;
    CZ_TRY(share_memory(r, &base));
    /* Pages are mapped whole, so every rank skips the same bytes. */
    base += (64 - (uintptr_t)base % 64) % 64;
    cz_slot *slots = (cz_slot *)(void *)base;
    char *arrays = base + slot_bytes(r);
    int first = r->comm->rank * r->threads;
    r->weights = arrays;
    r->moment1 = arrays + r->stride;
    r->moment2 = arrays + 2 * r->stride;
    char *gradients = arrays + 3 * r->stride;
    r->gradient = gradients + (size_t)first * r->stride;
    r->slot = slots + first;
    r->packed = gradients + (size_t)r->workers * r->stride;

    size_t pointers = (size_t)r->workers * sizeof(void *);
    r->leaves = r->outcomes = r->workers;
    r->leaf = cz_arena_take(&r->memory, pointers);
    r->leaf_slot = cz_arena_take(&r->memory, pointers);
    r->outcome = cz_arena_take(&r->memory, pointers);
    if (!r->leaf || !r->leaf_slot || !r->outcome) return CZ_ERR_MEMORY;
    for (int i = 0; i < r->workers; i++) {
        r->leaf[i] = gradients + (size_t)i * r->stride;
        r->leaf_slot[i] = &slots[i];
        r->outcome[i] = &slots[i].updated;
    }
    return CZ_OK;
}

void cz_window_close(cz_reducer *r)
{
    if (r->shared == MPI_WIN_NULL) return;
    MPI_Win_unlock_all(r->shared);
    MPI_Win_free(&r->shared);
}

/* The first fence ends this rank's stores, the second begins its loads of the others'. */
cz_status cz_window_sync(cz_reducer *r)
{
    CZ_MPI(MPI_Win_sync, r->shared);
    CZ_MPI(MPI_Barrier, r->comm->node);
    CZ_MPI(MPI_Win_sync, r->shared);
    return CZ_OK;
}

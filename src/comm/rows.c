/* Fetching rows from the ranks that own them. */
#include "czhpc/comm.h"
#include "czhpc/mpi_error.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What a rank sends, or receives, in one round: 64 MiB at most (and a row of each rank more),
 * so that staging stays small beside the rows themselves. */
static const size_t ROUND_BYTES = (size_t)64 << 20;

/* One direction of the traffic: rows in lists by rank, `count` of them from `begin` on. */
typedef struct lists {
    int *count, *begin; /* (size) */
    int32_t *row;       /* global rows, list after list */
    size_t total;
    int *round_count, *round_begin; /* (size) of the present round */
    char *stage;                    /* the rows of the present round, packed */
} lists;

typedef struct exchange {
    const cz_comm *comm;
    lists asked, served;
    int *place; /* asked.row[k] goes to dst[place[k]] */
    MPI_Datatype type;
    size_t row_bytes;
    int rounds;
} exchange;

static cz_status open_lists(lists *l, int size)
{
    int *memory = cz_alloc((size_t)size, 4 * sizeof *memory, "the lists of wanted rows");
    if (!memory) return CZ_ERR_MEMORY;
    l->count = memory;
    l->begin = memory + size;
    l->round_count = memory + 2 * (size_t)size;
    l->round_begin = memory + 3 * (size_t)size;
    return CZ_OK;
}

static void close_lists(lists *l)
{
    free(l->count);
    free(l->row);
    free(l->stage);
}

/* Where the lists begin. */
static cz_status place_lists(lists *l, int size)
{
    l->total = 0;
    for (int r = 0; r < size; r++) {
        l->begin[r] = (int)l->total;
        l->total += (size_t)l->count[r];
        if (l->total > INT_MAX)
            return cz_fail(CZ_ERR_CONFIG, "over 2^31 rows are wanted of one rank: use more ranks");
    }
    l->row = cz_alloc(l->total, sizeof *l->row, "the lists of wanted rows");
    return l->row ? CZ_OK : CZ_ERR_MEMORY;
}

/* The last rank that begins at or before the row; ranks without rows begin with the next. */
static int owner_of(const int32_t *begin, int size, int32_t row)
{
    int low = 0, high = size;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (begin[middle] <= row) low = middle;
        else high = middle;
    }
    return low;
}

/* Sorts the wanted rows by owner; those of this rank are copied at once. Local. */
static cz_status sort_wanted(exchange *x, char *dst, const int32_t *want, int count,
                             const char *own, const int32_t *begin)
{
    int size = x->comm->size, rank = x->comm->rank;
    CZ_TRY(open_lists(&x->asked, size));
    CZ_TRY(open_lists(&x->served, size));
    for (int i = 0; i < count; i++) {
        if (want[i] < begin[0] || want[i] >= begin[size])
            return cz_fail(CZ_ERR_BUG, "row %d is wanted; there are %d to %d", (int)want[i],
                           (int)begin[0], (int)begin[size] - 1);
        int owner = owner_of(begin, size, want[i]);
        if (owner == rank)
            memcpy(dst + (size_t)i * x->row_bytes,
                   own + (size_t)(want[i] - begin[rank]) * x->row_bytes, x->row_bytes);
        else x->asked.count[owner]++;
    }
    CZ_TRY(place_lists(&x->asked, size));
    x->place = cz_alloc(x->asked.total, sizeof *x->place, "the places of wanted rows");
    if (!x->place) return CZ_ERR_MEMORY;
    int *next = x->asked.round_begin;
    memcpy(next, x->asked.begin, (size_t)size * sizeof *next);
    for (int i = 0; i < count; i++) {
        int owner = owner_of(begin, size, want[i]);
        if (owner == rank) continue;
        x->asked.row[next[owner]] = want[i];
        x->place[next[owner]++] = i;
    }
    return CZ_OK;
}

/* Tells every owner which of its rows are wanted. */
static cz_status exchange_wants(exchange *x)
{
    const cz_comm *comm = x->comm;
    CZ_MPI(MPI_Alltoall, x->asked.count, 1, MPI_INT, x->served.count, 1, MPI_INT, comm->mpi);
    CZ_TRY(cz_comm_agree(comm, place_lists(&x->served, comm->size)));
    CZ_MPI(MPI_Alltoallv, x->asked.row, x->asked.count, x->asked.begin, MPI_INT32_T, x->served.row,
           x->served.count, x->served.begin, MPI_INT32_T, comm->mpi);
    return CZ_OK;
}

static cz_status open_stage(lists *l, const exchange *x)
{
    size_t rows = l->total / (size_t)x->rounds + (size_t)x->comm->size;
    l->stage = cz_alloc(rows < l->total ? rows : l->total, x->row_bytes, "rows on their way");
    return l->stage ? CZ_OK : CZ_ERR_MEMORY;
}

/* As many rounds as the busiest rank needs. */
static cz_status plan_rounds(exchange *x)
{
    size_t rows = x->asked.total > x->served.total ? x->asked.total : x->served.total;
    uint64_t mine = rows * (uint64_t)x->row_bytes / ROUND_BYTES + 1, most = 0;
    CZ_MPI(MPI_Allreduce, &mine, &most, 1, MPI_UINT64_T, MPI_MAX, x->comm->mpi);
    cz_status status = CZ_OK;
    if (most > INT_MAX || x->row_bytes > INT_MAX)
        status = cz_fail(CZ_ERR_BUG, "rows of %zu bytes cannot be sent", x->row_bytes);
    x->rounds = (int)most;
    if (!status) status = open_stage(&x->asked, x);
    if (!status) status = open_stage(&x->served, x);
    CZ_TRY(cz_comm_agree(x->comm, status));
    CZ_MPI(MPI_Type_contiguous, (int)x->row_bytes, MPI_BYTE, &x->type);
    CZ_MPI(MPI_Type_commit, &x->type);
    return CZ_OK;
}

/* An equal share of every list: [piece(round), piece(round + 1)). */
static int piece(const lists *l, int rank, int round, int rounds)
{
    return l->begin[rank] + (int)((int64_t)l->count[rank] * round / rounds);
}

static void begin_round(lists *l, const exchange *x, int round)
{
    int at = 0;
    for (int r = 0; r < x->comm->size; r++) {
        l->round_count[r] = piece(l, r, round + 1, x->rounds) - piece(l, r, round, x->rounds);
        l->round_begin[r] = at;
        at += l->round_count[r];
    }
}

static cz_status move_round(exchange *x, int round, char *dst, const char *own, int32_t first)
{
    size_t bytes = x->row_bytes;
    begin_round(&x->asked, x, round);
    begin_round(&x->served, x, round);
    char *to = x->served.stage;
    for (int r = 0; r < x->comm->size; r++) {
        const int32_t *row = x->served.row + piece(&x->served, r, round, x->rounds);
        for (int k = 0; k < x->served.round_count[r]; k++, to += bytes)
            memcpy(to, own + (size_t)(row[k] - first) * bytes, bytes);
    }
    CZ_MPI(MPI_Alltoallv, x->served.stage, x->served.round_count, x->served.round_begin, x->type,
           x->asked.stage, x->asked.round_count, x->asked.round_begin, x->type, x->comm->mpi);
    const char *from = x->asked.stage;
    for (int r = 0; r < x->comm->size; r++) {
        const int *place = x->place + piece(&x->asked, r, round, x->rounds);
        for (int k = 0; k < x->asked.round_count[r]; k++, from += bytes)
            memcpy(dst + (size_t)place[k] * bytes, from, bytes);
    }
    return CZ_OK;
}

static cz_status move_rows(exchange *x, char *dst, const char *own, int32_t first)
{
    CZ_TRY(exchange_wants(x));
    CZ_TRY(plan_rounds(x));
    for (int round = 0; round < x->rounds; round++) CZ_TRY(move_round(x, round, dst, own, first));
    return CZ_OK;
}

cz_status cz_comm_fetch_rows(const cz_comm *comm, void *dst, const int32_t *want, int count,
                             const void *own, const int32_t *begin, size_t row_bytes)
{
    exchange x = {.comm = comm, .type = MPI_DATATYPE_NULL, .row_bytes = row_bytes};
    cz_status status = cz_comm_agree(comm, sort_wanted(&x, dst, want, count, own, begin));
    if (!status) status = move_rows(&x, dst, own, begin[comm->rank]);
    if (x.type != MPI_DATATYPE_NULL) MPI_Type_free(&x.type);
    close_lists(&x.asked);
    close_lists(&x.served);
    free(x.place);
    return status;
}

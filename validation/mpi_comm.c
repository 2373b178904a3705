/* Groups of ranks: agreeing on failures, broadcasts, fetching rows, gathering. */
#include "check.h"

#include "czhpc/comm.h"
#include "czhpc/rng.h"

static const cz_comm *world;

/* All ranks must hold it; rank 0 says so. */
static void verdict(bool mine, const char *name)
{
    int own = mine, both = 0;
    MPI_Allreduce(&own, &both, 1, MPI_INT, MPI_LAND, world->mpi);
    if (world->rank == 0) check(both, "%s", name);
    cz_error_clear();
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* On rank 0 the message of `rank` of the job, with its place; on the others nothing. */
static bool message_is(const cz_comm *comm, int rank, const char *text)
{
    const char *got = cz_error_message();
    if (comm->rank != 0) return got[0] == 0;
    char place[32];
    snprintf(place, sizeof place, "rank %d on ", rank);
    if (world->size == 1) return strcmp(got, text) == 0;
    const char *after = strstr(got, ": ");
    return begins(got, place) && after && strcmp(after + 2, text) == 0;
}

static cz_status fail_here(cz_status status)
{
    return cz_fail(status, "%s of rank %d", status == CZ_ERR_INPUT ? "file" : "memory",
                   world->rank);
}

static void check_agree(void)
{
    int rank = world->rank, last = world->size - 1;
    char text[64];
    verdict(cz_comm_agree(world, CZ_OK) == CZ_OK, "agree: all well");
    cz_status status = cz_comm_agree(world, rank == last ? CZ_STOPPED : CZ_OK);
    verdict(status == CZ_STOPPED && !cz_error_message()[0], "agree: one was stopped");

    bool ok = true;
    for (int r = 0; r <= last; r++) {
        status = cz_comm_agree(world, rank == r ? fail_here(CZ_ERR_INPUT) : CZ_STOPPED);
        snprintf(text, sizeof text, "file of rank %d", r);
        ok = ok && status == CZ_ERR_INPUT && message_is(world, r, text);
        /* An error that was agreed on is passed up and agreed on again. */
        ok = ok && cz_comm_agree(world, status) == CZ_ERR_INPUT && message_is(world, r, text);
        cz_error_clear();
    }
    verdict(ok, "agree: each rank alone fails, its message comes to rank 0 once");

    int lowest = last > 0 ? 1 : 0;
    status = cz_comm_agree(world, rank >= lowest ? fail_here(CZ_ERR_INPUT) : CZ_OK);
    snprintf(text, sizeof text, "file of rank %d", lowest);
    verdict(status == CZ_ERR_INPUT && message_is(world, lowest, text),
            "agree: of equal failures the lowest rank's");

    status = cz_comm_agree(world, fail_here(rank == last ? CZ_ERR_MEMORY : CZ_ERR_INPUT));
    snprintf(text, sizeof text, "memory of rank %d", last);
    verdict(status == CZ_ERR_MEMORY && message_is(world, last, text), "agree: the worst failure");
}

static void check_broadcast(void)
{
    const size_t size = 300001;
    unsigned char *bytes = malloc(size);
    for (size_t i = 0; i < size; i++)
        bytes[i] = world->rank == 0 ? (unsigned char)(i * 7 + i / 256) : 0;
    bool ok = cz_comm_broadcast(world, CZ_OK, bytes, size) == CZ_OK;
    for (size_t i = 0; i < size; i++) ok = ok && bytes[i] == (unsigned char)(i * 7 + i / 256);
    verdict(ok, "broadcast: bytes");
    verdict(cz_comm_broadcast(world, CZ_OK, NULL, 0) == CZ_OK, "broadcast: of nothing");

    cz_status status = world->rank == 0 ? fail_here(CZ_ERR_INPUT) : CZ_OK;
    bytes[0] = (unsigned char)(77 + world->rank);
    ok = cz_comm_broadcast(world, status, bytes, size) == CZ_ERR_INPUT;
    ok = ok && bytes[0] == 77 + world->rank;
    ok = ok && (world->rank == 0) == (strcmp(cz_error_message(), "file of rank 0") == 0);
    verdict(ok, "broadcast: of a failure, bytes are left alone");
    free(bytes);
}

static void check_split(void)
{
    cz_comm group;
    int colour = world->rank % 2, members = (world->size + 1 - colour) / 2;
    bool ok = cz_comm_split(&group, world, colour) == CZ_OK;
    ok = ok && group.rank == world->rank / 2 && group.size == members;
    ok = ok && group.node_size == members && group.node_rank == group.rank && group.host[0];
    verdict(ok, "split: groups of even and odd ranks");

    cz_status status = colour == 1 ? cz_comm_agree(&group, fail_here(CZ_ERR_INPUT)) : CZ_OK;
    char text[64];
    ok = status == (colour == 1 ? CZ_ERR_INPUT : CZ_OK);
    if (colour == 1) {
        snprintf(text, sizeof text, "file of rank %d", 1);
        ok = ok && message_is(&group, 1, text);
    }
    cz_error_clear();
    verdict(ok, "split: one group fails, the other does not notice");
    cz_comm_free(&group);
}

static unsigned char byte_of(int32_t row, size_t at)
{
    uint64_t key[2] = {(uint64_t)row, at / 8};
    return (unsigned char)(cz_hash(1, key, sizeof key) >> (at % 8 * 8));
}

/* Rows of all ranks, some of which have none, and what this rank wants of them. */
typedef struct table {
    int32_t *begin, *want;
    unsigned char *own, *got;
    int count;
    size_t row_bytes;
} table;

static table make_table(int rows_each, int count, size_t row_bytes, uint32_t seed)
{
    table t = {.count = count, .row_bytes = row_bytes};
    cz_rng rng = cz_rng_open(seed, 0, 0, 0, 0);
    t.begin = calloc((size_t)world->size + 1, sizeof *t.begin);
    for (int r = 0; r < world->size; r++) {
        int rows = r == 1 ? 0 : 1 + (int)cz_rng_below(&rng, 2 * (uint32_t)rows_each);
        t.begin[r + 1] = t.begin[r] + rows;
    }
    int32_t first = t.begin[world->rank], last = t.begin[world->rank + 1];
    t.own = malloc((size_t)(last - first) * row_bytes + 1);
    for (int32_t row = first; row < last; row++)
        for (size_t i = 0; i < row_bytes; i++)
            t.own[(size_t)(row - first) * row_bytes + i] = byte_of(row, i);
    rng = cz_rng_open(seed, (uint32_t)world->rank + 1, 0, 0, 0);
    t.want = calloc((size_t)count + 1, sizeof *t.want);
    t.got = calloc((size_t)count + 1, row_bytes);
    for (int i = 0; i < count; i++)
        t.want[i] = (int32_t)cz_rng_below(&rng, (uint32_t)t.begin[world->size]);
    return t;
}

static void free_table(table *t)
{
    free(t->begin);
    free(t->want);
    free(t->own);
    free(t->got);
}

static bool fetched(const table *t)
{
    bool ok = cz_comm_fetch_rows(world, t->got, t->want, t->count, t->own, t->begin,
                                 t->row_bytes) == CZ_OK;
    for (int i = 0; i < t->count; i++)
        for (size_t k = 0; k < t->row_bytes; k++)
            ok = ok && t->got[(size_t)i * t->row_bytes + k] == byte_of(t->want[i], k);
    return ok;
}

static void check_fetch(void)
{
    bool ok = true;
    for (uint32_t seed = 0; seed < 20; seed++) {
        /* More wanted than there are: duplicates; rank (seed mod size) wants none. */
        int count = (int)seed % world->size == world->rank ? 0 : 40 * world->rank + 50;
        table t = make_table(30, count, seed % 3 == 0 ? 1 : seed % 3 == 1 ? 13 : 512, seed);
        ok = fetched(&t) && ok;
        free_table(&t);
    }
    verdict(ok, "fetch: random rows, with duplicates and ranks that want none");

    table t = make_table(10, 0, 64, 5);
    verdict(fetched(&t), "fetch: nobody wants any");
    free_table(&t);

    t = make_table(10, 8, 64, 6);
    if (world->rank == world->size - 1) t.want[3] = t.begin[world->size];
    cz_status status =
        cz_comm_fetch_rows(world, t.got, t.want, t.count, t.own, t.begin, t.row_bytes);
    verdict(status == CZ_ERR_BUG, "fetch: a row that is not there is refused by all");
    free_table(&t);
}

/* Rows so large that they take several rounds; all are rank 0's, so it serves the others. */
static void check_fetch_rounds(void)
{
    enum { ROWS = 5, COUNT = 60 };
    const size_t words = (size_t)1 << 18;
    int32_t *begin = calloc((size_t)world->size + 1, sizeof *begin), want[COUNT];
    uint64_t *own = calloc(ROWS * words, sizeof *own), *got = calloc(COUNT * words, sizeof *got);
    for (int r = 1; r <= world->size; r++) begin[r] = ROWS;
    for (size_t i = 0; i < ROWS * words && world->rank == 0; i++) own[i] = i * 0x9E3779B97F4A7C15;
    for (int i = 0; i < COUNT; i++) want[i] = (i * 3 + world->rank) % ROWS;
    bool ok = cz_comm_fetch_rows(world, got, want, COUNT, own, begin, 8 * words) == CZ_OK;
    for (int i = 0; i < COUNT; i++)
        for (size_t k = 0; k < words; k++)
            ok = ok &&
                 got[(size_t)i * words + k] == ((size_t)want[i] * words + k) * 0x9E3779B97F4A7C15;
    verdict(ok, "fetch: 120 MB a rank, in rounds");
    free(begin);
    free(own);
    free(got);
}

typedef struct triple {
    int32_t rank, index, square;
} triple;

/* On all ranks, or on rank 0, where alone there is memory for it. */
static void check_gather(bool everywhere)
{
    bool here = everywhere || world->rank == 0;
    int *counts = calloc((size_t)world->size, sizeof *counts), total = 0;
    for (int r = 0; r < world->size; r++) total += counts[r] = r == 1 ? 0 : 3 + 5 * r;
    triple *own = calloc(64, sizeof *own), *all = here ? calloc((size_t)total, sizeof *all) : NULL;
    for (int i = 0; i < counts[world->rank]; i++) own[i] = (triple){world->rank, i, i * i};
    cz_status status = everywhere ? cz_comm_gather_all(world, all, own, counts, sizeof *own)
                                  : cz_comm_gather(world, all, own, counts, sizeof *own);
    bool ok = status == CZ_OK;
    const triple *at = all;
    for (int r = 0; r < world->size && here; r++)
        for (int i = 0; i < counts[r]; i++, at++)
            ok = ok && at->rank == r && at->index == i && at->square == i * i;
    verdict(ok, everywhere ? "gather: elements of 12 bytes, none of rank 1, on all ranks"
                           : "gather: the same on rank 0 alone");
    free(counts);
    free(own);
    free(all);
}

static void check_mpi_error(void)
{
    cz_comm gone = {.mpi = MPI_COMM_NULL, .node = MPI_COMM_NULL, .size = 2};
    bool ok = cz_comm_agree(&gone, CZ_OK) == CZ_ERR_MPI;
    verdict(ok && begins(cz_error_message(), "MPI_Iallreduce failed: ") &&
                strlen(cz_error_message()) > 40,
            "an MPI error is a status with MPI's text");
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    cz_comm comm;
    if (cz_comm_world(&comm)) return 1;
    world = &comm;
    verdict(comm.size >= 1 && comm.rank < comm.size && comm.node_size == comm.size && comm.host[0],
            "world: rank, size, node and host");
    check_agree();
    check_broadcast();
    check_split();
    check_fetch();
    check_fetch_rounds();
    check_gather(true);
    check_gather(false);
    check_mpi_error();
    cz_comm_free(&comm);
    MPI_Finalize();
    return check_done();
}

/* Products of the genes' logs, summed over cells: two ways to the same bits.
 *
 * By entries: a row of r entries adds r (r + 1) / 2 products, each to a place of its own. By
 * columns: rows are spread out, zeros and all, and TILE sums stay in registers while they run over
 * the cells that have a gene. A product then costs little, but those with 0 are made too.
 *
 * Each product is rounded to a multiple of one unit (see sum_grid()) by fma(v, w, grid), whose last
 * bit is the unit. By columns the bits of that number are added as integers, which is one operation
 * where subtracting the grid and adding would be two: all are of one binade, so that the bits tell
 * units, and the grid's are subtracted in the end. */
#include "counts_private.h"
#include "wide.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 32, ROWS = 512 }; /* columns that are summed together; rows spread out, at most */
enum { SPREAD_BLOCK = 4 * LOG_BLOCK }; /* and entries of those rows */
/* What they may take on a rank, and on a thread where that is more. */
enum { SPREAD_BYTES = 64 << 20, LEAST_BYTES = 4 << 20 };
typedef double vec __attribute__((vector_size(64)));
typedef int64_t bits __attribute__((vector_size(64)));
enum { LANES = 8, VECS = TILE / LANES };

/* The entries of a block of one thread's training rows, listed by gene. */
typedef struct listing {
    int next, last; /* rows of this thread still to come */
    int begin, end; /* those of the block */
    double *value;  /* the block's logs */
    int32_t *start; /* (genes + 2) gene g is listed in start[g] .. start[g + 1] - 1 */
    int32_t *from;  /* by entries: its entries' places in the block */
    int32_t *to;    /* by entries where their rows end; by columns the numbers of their rows */
    double *of;     /* by columns: the entries' logs */
    vec *spread;    /* by columns: (tiles, rows, VECS) */
} listing;

typedef struct products {
    const svd_input *input;
    double *sum;  /* the upper triangle, row after row */
    double *tile; /* by columns: what is added to it, tile after tile, see tile_place() */
    double grid, unit;
    bool columns;
    int threads;
    int tiles, rows; /* by columns: of a block, at most */
    listing *list;   /* (threads) */
} products;

/* TILE columns of the rows up to them, row after row: TILE * TILE numbers more than of the tile
 * before. A walk down a tile then is one through memory. */
static size_t tile_place(int number)
{
    return (size_t)TILE * TILE * ((size_t)number * ((size_t)number + 1) / 2);
}

static int tiles_of(int genes) { return (genes + TILE - 1) / TILE; }

static int rows_of(int genes, int threads)
{
    int bytes = SPREAD_BYTES / threads > LEAST_BYTES ? SPREAD_BYTES / threads : LEAST_BYTES;
    int fit = bytes / (tiles_of(genes) * TILE * (int)sizeof(double));
    return fit < 1 ? 1 : fit < ROWS ? fit : ROWS;
}

static void choose_block(listing *list, const products *job)
{
    const cz_csr *counts = job->input->counts;
    list->begin = list->end = list->next;
    if (list->next == list->last) return;
    int last = list->last;
    if (job->columns && last > list->begin + job->rows) last = list->begin + job->rows;
    int block = job->columns ? SPREAD_BLOCK : LOG_BLOCK;
    list->end = list->next = log_block_end(counts, list->begin, last, block);
}

/* Lists the thread's next block. */
static void list_block(listing *list, const products *job)
{
    const cz_csr *counts = job->input->counts;
    const uint8_t *train = job->input->train;
    choose_block(list, job);
    if (list->begin == list->end) return;
    log_values(list->value, counts, list->begin, list->end);
    int64_t first = counts->begin[list->begin];
    int32_t *start = list->start;
    memset(start, 0, ((size_t)counts->genes + 2) * sizeof *start);
    for (int i = list->begin; i < list->end; i++)
        for (int64_t k = counts->begin[i]; train[i] && k < counts->begin[i + 1]; k++)
            start[counts->gene[k] + 2]++;
    for (int g = 0; g < counts->genes; g++) start[g + 2] += start[g + 1];
    /* start[g + 1] is now where gene g starts, and filling moves it to where it ends. */
    for (int i = list->begin; i < list->end; i++) {
        for (int64_t k = counts->begin[i]; train[i] && k < counts->begin[i + 1]; k++) {
            int32_t at = start[counts->gene[k] + 1]++;
            if (job->columns) {
                list->to[at] = i - list->begin;
                list->of[at] = list->value[k - first];
            } else {
                list->from[at] = (int32_t)(k - first);
                list->to[at] = (int32_t)(counts->begin[i + 1] - first);
            }
        }
    }
}

/* The block's rows, tile after tile. */
static void spread_block(const listing *list, const products *job)
{
    const cz_csr *counts = job->input->counts;
    size_t rows = (size_t)(list->end - list->begin);
    double *spread = (double *)list->spread;
    const double *value = list->value;
    memset(spread, 0, (size_t)job->tiles * rows * TILE * sizeof *spread);
    for (size_t i = 0; i < rows; i++) {
        int64_t end = counts->begin[list->begin + (int)i + 1];
        for (int64_t k = counts->begin[list->begin + (int)i]; k < end; k++) {
            size_t gene = (size_t)counts->gene[k];
            spread[(gene / TILE * rows + i) * TILE + gene % TILE] = *value++;
        }
    }
}

/* sum[j] += v_i v_j for all listed rows that have gene i, and their genes j from i on. */
CZ_WIDE static void add_entries(double *sum, const listing *list, const int32_t *gene, int i,
                                double grid)
{
    const double *value = list->value;
    for (int32_t e = list->start[i]; e < list->start[i + 1]; e++) {
        double v = value[list->from[e]];
        for (int32_t k = list->from[e]; k < list->to[e]; k++)
            sum[gene[k]] += fma(v, value[k], grid) - grid;
    }
}

/* sum += fma(v, w, grid) bit by bit. A macro: functions that return vectors are not portable. */
#define ADD_BITS(sum, v, w, grid)                                                                  \
    do {                                                                                           \
        vec rounded = {0};                                                                         \
        for (int lane = 0; lane < LANES; lane++) rounded[lane] = fma(v, (w)[lane], grid);          \
        (sum) += (bits)rounded;                                                                    \
    } while (0)

/* row[0 .. TILE-1] += v_i v_j for all listed rows that have gene i, and the columns j of a tile. */
CZ_WIDE static void add_column(double *row, const listing *list, const vec *tile, int i,
                               double grid, double unit)
{
    bits a = {0}, b = a, c = a, d = a;
    int32_t begin = list->start[i], end = list->start[i + 1];
    for (int32_t e = begin; e < end; e++) {
        const vec *w = tile + (size_t)list->to[e] * VECS;
        double v = list->of[e];
        ADD_BITS(a, v, w[0], grid);
        ADD_BITS(b, v, w[1], grid);
        ADD_BITS(c, v, w[2], grid);
        ADD_BITS(d, v, w[3], grid);
    }
    int64_t total[VECS][LANES], of_grid;
    memcpy(&of_grid, &grid, sizeof of_grid);
    memcpy(total[0], &a, sizeof a);
    memcpy(total[1], &b, sizeof b);
    memcpy(total[2], &c, sizeof c);
    memcpy(total[3], &d, sizeof d);
    of_grid = (int64_t)((uint64_t)of_grid * (uint64_t)(end - begin));
    for (int j = 0; j < TILE; j++)
        row[j] +=
            (double)(int64_t)((uint64_t)total[j / LANES][j % LANES] - (uint64_t)of_grid) * unit;
}

/* A tile's columns, of all genes i up to them. */
static void add_columns(const products *job, const listing *list, int number)
{
    int genes = job->input->counts->genes, end = number * TILE + TILE;
    double *tile = job->tile + tile_place(number);
    const vec *spread = list->spread + (size_t)number * (size_t)(list->end - list->begin) * VECS;
    for (int i = 0; i < end && i < genes; i++)
        if (list->start[i] < list->start[i + 1])
            add_column(tile + (size_t)i * TILE, list, spread, i, job->grid, job->unit);
}

/* Adds the tiles to the triangle. */
static void take_tiles(const products *job)
{
    int genes = job->input->counts->genes;
    for (int i = 0; i < genes; i++) {
        double *row = packed_row(job->sum, genes, i);
        for (int j = i; j < genes; j++)
            row[j] += job->tile[tile_place(j / TILE) + (size_t)i * TILE + (size_t)(j % TILE)];
    }
}

/* The thread's part of the sums over all lists. */
static void add_lists(const products *job, int thread)
{
    const cz_csr *counts = job->input->counts;
    int parts = job->columns ? job->tiles : counts->genes;
    for (int part = thread; part < parts; part += job->threads) {
        for (int t = 0; t < job->threads; t++) {
            const listing *list = &job->list[t];
            if (list->begin == list->end) continue;
            if (job->columns) add_columns(job, list, part);
            else
                add_entries(packed_row(job->sum, counts->genes, part), list,
                            counts->gene + counts->begin[list->begin], part, job->grid);
        }
    }
}

/* Each thread lists rows of its own, then adds up sums of its own from all lists: so they are
 * there once. */
static cz_status multiply(void *context, int thread)
{
    products *job = context;
    listing *mine = &job->list[thread];
    for (;;) {
        bool empty = true;
        list_block(mine, job);
        if (job->columns && mine->begin < mine->end) spread_block(mine, job);
        cz_pool_barrier(job->input->pool);
        for (int t = 0; t < job->threads; t++) empty &= job->list[t].begin == job->list[t].end;
        if (empty) return CZ_OK;
        add_lists(job, thread);
        cz_pool_barrier(job->input->pool);
    }
}

static size_t spread_bytes(int genes, int threads)
{
    return (size_t)tiles_of(genes) * (size_t)rows_of(genes, threads) * TILE * sizeof(double);
}

size_t products_bytes(int genes, int threads)
{
    size_t room = SPREAD_BLOCK + (size_t)genes;
    size_t entry = 2 * sizeof(double) + 2 * sizeof(int32_t);
    size_t list = room * entry + ((size_t)genes + 2) * sizeof(int32_t);
    return (size_t)threads * (list + spread_bytes(genes, threads)) +
           tile_place(tiles_of(genes)) * sizeof(double);
}

static cz_status open_listing(listing *list, const products *job)
{
    size_t genes = (size_t)job->input->counts->genes;
    size_t room = (job->columns ? SPREAD_BLOCK : LOG_BLOCK) + genes;
    list->value = cz_alloc(room, sizeof *list->value, "the logs");
    list->start = cz_alloc(genes + 2, sizeof *list->start, "the lists of genes");
    list->to = cz_alloc(room, sizeof *list->to, "the lists of genes");
    if (!list->value || !list->start || !list->to) return CZ_ERR_MEMORY;
    if (!job->columns) {
        list->from = cz_alloc(room, sizeof *list->from, "the lists of genes");
        return list->from ? CZ_OK : CZ_ERR_MEMORY;
    }
    list->of = cz_alloc(room, sizeof *list->of, "the logs");
    list->spread = aligned_alloc(sizeof(vec), spread_bytes((int)genes, job->threads));
    if (!list->spread)
        return cz_fail(CZ_ERR_MEMORY, "no memory for %d x %d logs", job->rows, (int)genes);
    return list->of ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status open_products(products *job)
{
    int64_t rows = job->input->counts->rows;
    job->list = cz_alloc((size_t)job->threads, sizeof *job->list, "the blocks of cells");
    if (!job->list) return CZ_ERR_MEMORY;
    if (job->columns) {
        job->tile = cz_alloc(tile_place(tiles_of(job->input->counts->genes)), sizeof(double),
                             "the products");
        if (!job->tile) return CZ_ERR_MEMORY;
    }
    for (int t = 0; t < job->threads; t++) {
        listing *list = &job->list[t];
        list->next = (int)(rows * t / job->threads);
        list->last = (int)(rows * (t + 1) / job->threads);
        CZ_TRY(open_listing(list, job));
    }
    return CZ_OK;
}

static void close_products(products *job)
{
    for (int t = 0; job->list && t < job->threads; t++) {
        free(job->list[t].value);
        free(job->list[t].start);
        free(job->list[t].from);
        free(job->list[t].to);
        free(job->list[t].of);
        free(job->list[t].spread);
    }
    free(job->list);
    free(job->tile);
}

/* Where the two ways cost the same, of all values one in so many is not 0. */
enum { EVEN = 10 };

bool products_by_columns(const cz_csr *counts)
{
    return (double)counts->begin[counts->rows] * EVEN > (double)counts->rows * counts->genes;
}

cz_status sum_products(double *sum, const svd_input *input, bool columns)
{
    int genes = input->counts->genes;
    products job = {.input = input,
                    .sum = sum,
                    .grid = sum_grid((double)input->cells * input->largest * input->largest),
                    .columns = columns,
                    .threads = cz_pool_threads(input->pool),
                    .tiles = tiles_of(genes),
                    .rows = rows_of(genes, cz_pool_threads(input->pool))};
    job.unit = nextafter(job.grid, INFINITY) - job.grid;
    cz_status status = open_products(&job);
    if (!status) status = cz_pool_run(input->pool, multiply, &job);
    if (!status && columns) take_tiles(&job);
    close_products(&job);
    return status;
}

/* Sums of products of genes: by entries and by columns the same bits, on any number of threads, and
 * those of a plain loop. */
#include "../src/data/counts_private.h"
#include "check.h"
#include "czhpc/rng.h"

/* Counts of about one value in `one_in`, some rows empty or full; the caller frees. */
static cz_csr make_counts(int rows, int genes, int one_in)
{
    size_t room = (size_t)rows * (size_t)genes;
    cz_csr c = {.rows = rows, .genes = genes};
    c.begin = calloc((size_t)rows + 1, sizeof *c.begin);
    c.gene = malloc(room * sizeof *c.gene + 1);
    c.count = malloc(room * sizeof *c.count + 1);
    c.factor = malloc((size_t)rows * sizeof *c.factor + 1);
    cz_rng rng = cz_rng_open(7, (uint32_t)rows, (uint32_t)genes, 78, 0);
    for (int i = 0; i < rows; i++) {
        int64_t at = c.begin[i];
        for (int g = 0; g < genes; g++) {
            if (i % 11 == 3 || (i % 17 != 5 && cz_rng_below(&rng, (uint32_t)one_in))) continue;
            c.gene[at] = g;
            c.count[at++] = (float)(1 + cz_rng_below(&rng, 90));
        }
        c.begin[i + 1] = at;
        c.factor[i] = 1e4 / (1 + cz_rng_below(&rng, 5000));
    }
    return c;
}

static double *plain_sums(const cz_csr *c, const uint8_t *train)
{
    double *sum = calloc(packed_size(c->genes) + 1, sizeof *sum);
    double *value = calloc((size_t)c->genes + 1, sizeof *value);
    for (int i = 0; i < c->rows; i++) {
        if (!train[i]) continue;
        log_values(value, c, i, i + 1);
        int64_t first = c->begin[i], size = c->begin[i + 1] - first;
        for (int64_t a = 0; a < size; a++)
            for (int64_t b = a; b < size; b++)
                packed_row(sum, c->genes, c->gene[first + a])[c->gene[first + b]] +=
                    value[a] * value[b];
    }
    free(value);
    return sum;
}

static double *sums(const svd_input *input, int threads, bool columns)
{
    svd_input by = *input;
    double *sum = calloc(packed_size(input->counts->genes) + 1, sizeof *sum);
    cz_status status = cz_pool_open(&by.pool, threads, NULL);
    if (!status) status = sum_products(sum, &by, columns);
    cz_pool_close(by.pool);
    if (status) sum[0] = NAN;
    return sum;
}

static void check_sums(int rows, int genes, int one_in)
{
    cz_csr c = make_counts(rows, genes, one_in);
    uint8_t *train = malloc((size_t)rows + 1);
    for (int i = 0; i < rows; i++) train[i] = i % 7 != 2;
    svd_input input = {.counts = &c, .train = train, .cells = rows + 1, .largest = log1p(1e6)};
    size_t size = packed_size(genes);
    double *plain = plain_sums(&c, train), *first = sums(&input, 1, false);
    double gap = check_distance(first, plain, size);
    bool same = true;
    for (int threads = 1; threads <= 3; threads++)
        for (int columns = 0; columns < 2; columns++) {
            double *other = sums(&input, threads, columns);
            same = same && !memcmp(first, other, size * sizeof *other);
            free(other);
        }
    check(gap < 1e-12, "%d x %d, one in %d: from a plain loop %.1e", rows, genes, one_in, gap);
    check(same, "%d x %d, one in %d: the same bits both ways, on 1 to 3 threads", rows, genes,
          one_in);
    free(plain);
    free(first);
    free(train);
    cz_csr_free(&c);
}

int main(void)
{
    check_sums(1, 1, 1);
    check_sums(40, 31, 1);
    check_sums(600, 32, 2);
    check_sums(601, 33, 3);
    check_sums(1500, 200, 1); /* more entries than a block */
    check_sums(900, 301, 8);
    check_sums(50, 1700, 40);
    check_sums(700, 1100, 5); /* more rows than a block */
    cz_csr few = make_counts(100, 100, 50), many = make_counts(100, 100, 3);
    check(!products_by_columns(&few) && products_by_columns(&many),
          "few entries are taken one by one, many by columns");
    cz_csr_free(&few);
    cz_csr_free(&many);
    return check_done();
}

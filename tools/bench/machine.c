/* What a benchmark says of its machine: machine THREADS [LEVEL] prints one line of JSON, for each
 * precision the kernels' level, LEVEL at most, and the GFLOP/s of multiply-adds in registers on
 * THREADS cores at once; but fp32, only precisions that have more than portable kernels here. */
#include "czhpc/ops.h"
#include "czhpc/pool.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct measurement {
    const cz_backend *backend;
    double *gflops; /* (threads) */
} measurement;

static const struct {
    const char *name;
    cz_dtype dtype;
} precisions[] = {{"fp32", CZ_F32}, {"bf16", CZ_BF16}};

enum { PRECISIONS = sizeof precisions / sizeof *precisions };

static cz_status measure(void *context, int thread)
{
    measurement *m = context;
    m->gflops[thread] = cz_peak_gflops(m->backend);
    return CZ_OK;
}

static cz_status report(cz_pool *pool, double *gflops, int threads, cz_level allowed)
{
    const char *before = "{";
    for (int i = 0; i < PRECISIONS; i++) {
        measurement m = {cz_backend_best(precisions[i].dtype, allowed), gflops};
        double sum = 0;
        if (i > 0 && cz_backend_level(m.backend) == CZ_LEVEL_PORTABLE) continue;
        CZ_TRY(cz_pool_run(pool, measure, &m));
        for (int t = 0; t < threads; t++) sum += gflops[t];
        printf("%s\"%s\": {\"backend\": \"%s\", \"peak_gflops\": %.1f}", before, precisions[i].name,
               cz_backend_name(m.backend), sum);
        before = ", ";
    }
    puts("}");
    return CZ_OK;
}

int main(int count, char **arguments)
{
    int threads = count >= 2 ? atoi(arguments[1]) : 0;
    cz_level allowed = CZ_LEVELS - 1;
    if (threads < 1 || count > 3 || (count == 3 && !cz_level_parse(arguments[2], &allowed))) {
        fprintf(stderr, "usage: machine THREADS [LEVEL]\n");
        return 2;
    }
    cz_pool *pool = NULL;
    cz_status status = CZ_ERR_MEMORY;
    double *gflops = calloc((size_t)threads, sizeof *gflops);
    if (gflops) status = cz_pool_open(&pool, threads, NULL);
    if (!status) status = report(pool, gflops, threads, allowed);
    if (status) fprintf(stderr, "%s\n", cz_error_message());
    cz_pool_close(pool);
    free(gflops);
    return status != CZ_OK;
}

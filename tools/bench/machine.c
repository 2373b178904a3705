/* What a benchmark says of its machine: machine THREADS prints one line of JSON, the kernels'
 * level and the GFLOP/s of multiply-adds in registers on THREADS cores at once. */
#include "czhpc/ops.h"
#include "czhpc/pool.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct measurement {
    const cz_backend *backend;
    double *gflops; /* (threads) */
} measurement;

static cz_status measure(void *context, int thread)
{
    measurement *m = context;
    m->gflops[thread] = cz_peak_gflops(m->backend);
    return CZ_OK;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    measurement m = {cz_backend_cpu(CZ_F32, cz_level_best(CZ_F32)), NULL};
    cz_pool *pool = NULL;
    cz_status status = CZ_ERR_MEMORY;
    double sum = 0;
    m.gflops = calloc((size_t)threads, sizeof *m.gflops);
    if (m.gflops) status = cz_pool_open(&pool, threads);
    if (!status) status = cz_pool_run(pool, measure, &m);
    for (int t = 0; !status && t < threads; t++) sum += m.gflops[t];
    if (status) fprintf(stderr, "%s\n", cz_error_message());
    else printf("{\"backend\": \"%s\", \"peak_gflops\": %.1f}\n", cz_backend_name(m.backend), sum);
    cz_pool_close(pool);
    free(m.gflops);
    return status != CZ_OK;
}

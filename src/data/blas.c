#include "blas.h"

#include "czhpc/ops.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Of OpenBLAS; another BLAS has none of them. */
extern void openblas_set_num_threads(int threads) __attribute__((weak));
extern int openblas_get_parallel(void) __attribute__((weak));
extern char *openblas_get_corename(void) __attribute__((weak));
extern void gotoblas_dynamic_init(void) __attribute__((weak));
extern void gotoblas_dynamic_quit(void) __attribute__((weak));

/* OpenBLAS goes by the processor's model number. One that it does not know, newer than it or hidden
 * by a virtual machine, is taken for a Prescott of 2004: SSE3, a quarter of the speed of AVX-512.
 * There it is told the level that ours found, and looks again. */
static void choose_kernels(void)
{
    static const char *const core[CZ_LEVELS] = {
        [CZ_LEVEL_AVX2] = "Haswell", [CZ_LEVEL_AVX512] = "SkylakeX"};
    static const char variable[] = "OPENBLAS_CORETYPE";
    const char *name = core[cz_level_best(CZ_F32)];
    if (!gotoblas_dynamic_init || !gotoblas_dynamic_quit || !openblas_get_corename) return;
    if (!name || getenv(variable) || strcmp(openblas_get_corename(), "Prescott") != 0) return;
    setenv(variable, name, 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv(variable);
}

void blas_prepare(void)
{
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    choose_kernels();
}

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static bool has_no_locks(void) { return openblas_get_parallel && openblas_get_parallel() == 0; }

void blas_begin(void)
{
    if (has_no_locks()) pthread_mutex_lock(&turn);
}

void blas_end(void)
{
    if (has_no_locks()) pthread_mutex_unlock(&turn);
}

/* Prints the nodes of the graph of a step, one a line, as the emulation names them: preloaded into
 * a czhpc that runs on the emulated GPU (list_nodes.sh). The first graph recorded is that of a
 * whole batch. MPI_Finalize() is the last moment at which the runtime still knows. */
#include "../../cuda/emulated/emulated.h"

#include <dlfcn.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those recorded between two calls of the runtime; what is not work of a stream begins by "cuda"
 * or is a handle's. */
static void print_recorded(const char *const *name, int count)
{
    int at = 0;
    while (at < count && strcmp(name[at], "cudaStreamBeginCapture")) at++;
    for (at++; at < count && strcmp(name[at], "cudaStreamEndCapture"); at++)
        if (strncmp(name[at], "cuda", 4) && strncmp(name[at], "cublas", 6)) puts(name[at]);
}

static void list(void)
{
    const char *path = getenv("CZHPC_CUDA_PLUGIN");
    void *plugin = path ? dlopen(path, RTLD_NOW | RTLD_NOLOAD) : NULL;
    if (!plugin) return;
    int (*calls)(const char *(*)[], int);
    *(void **)&calls = dlsym(plugin, "cz_emulated_calls");
    int count = calls ? calls(NULL, 0) : 0;
    const char **name = count ? calloc((size_t)count, sizeof *name) : NULL;
    if (!name) return;
    calls((const char *(*)[])name, count);
    print_recorded(name, count);
    fflush(stdout);
    free(name);
}

int MPI_Finalize(void)
{
    list();
    return PMPI_Finalize();
}

/* Whether MPI can be handed memory of a GPU. */
#include "czhpc/comm.h"

#include <stdlib.h>
#include <string.h>

#ifdef OPEN_MPI
#include <mpi-ext.h>
#endif

static bool says_so(void)
{
    const char *told = getenv("CZHPC_CUDA_AWARE_MPI");
    if (told) return !strcmp(told, "1");
#ifdef MPIX_CUDA_AWARE_SUPPORT
    return MPIX_Query_cuda_support() == 1;
#else
    return false;
#endif
}

bool cz_comm_takes_gpu_memory(const cz_comm *comm)
{
    int all = says_so();
    if (comm->size > 1 && MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, comm->mpi))
        return false;
    return all;
}

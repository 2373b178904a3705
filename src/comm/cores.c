/* Cores of a rank, as the ranks of its node divide them. */
#include "czhpc/comm.h"
#include "czhpc/mpi_error.h"

#include <stdlib.h>

static cz_status gather_node(cz_rank_cpus *rank, const cz_rank_cpus *self, const cz_comm *comm)
{
    CZ_MPI(MPI_Allgather, self, sizeof *self, MPI_BYTE, rank, sizeof *rank, MPI_BYTE, comm->node);
    return CZ_OK;
}

cz_status cz_comm_cores(const cz_comm *comm, bool bind, cz_cores *cores)
{
    cz_rank_cpus self, *rank = cz_alloc((size_t)comm->node_size, sizeof *rank, "the ranks' cores");
    cz_topology topology;
    cz_status status = cz_comm_agree(comm, rank ? CZ_OK : CZ_ERR_MEMORY);
    if (!status) {
        cz_rank_cpus_read(&self, "");
        cz_topology_read(&topology, "");
        status = gather_node(rank, &self, comm);
    }
    if (!status) cz_cores_share(cores, &topology, rank, comm->node_size, comm->node_rank, bind);
    free(rank);
    return status;
}

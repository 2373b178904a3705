/* MPI's outcomes as ours. */
#ifndef CZ_MPI_ERROR_H
#define CZ_MPI_ERROR_H

#include "czhpc/status.h"

/* CZ_OK, or CZ_ERR_MPI with MPI's own text for `code`, which `call` returned. Local. */
cz_status cz_comm_result(const char *call, int code);

/* Makes one MPI call and passes a failure on. */
#define CZ_MPI(function, ...) CZ_TRY(cz_comm_result(#function, function(__VA_ARGS__)))

#endif

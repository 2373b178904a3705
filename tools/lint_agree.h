/* For the analyser only (tools/lint.sh includes it before every file): agreeing never turns a
 * rank's error into CZ_OK, so what was checked before it still holds after it. */
#include "czhpc/comm.h"

static inline cz_status lint_agree(const cz_comm *comm, cz_status mine)
{
    return mine ? mine : cz_comm_agree(comm, mine);
}

static inline cz_status lint_broadcast(const cz_comm *comm, cz_status status, void *bytes,
                                       size_t size)
{
    return status ? status : cz_comm_broadcast(comm, status, bytes, size);
}

#define cz_comm_agree lint_agree
#define cz_comm_broadcast lint_broadcast

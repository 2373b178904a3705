/* Which cores a rank has for its threads, and how they are bound to them.
 *
 * A rank may run where its mask lets it: that is how SLURM, containers and people confine it. Only
 * where mpirun has bound it without being asked to (Open MPI does: one or two ranks to a core each)
 * it may run where mpirun itself may. What shows that nobody asked stands at cz_launcher_read().
 * Ranks of a node that may use the same cores share them: a block of whole cores each, one after
 * another, NUMA node by NUMA node. Where some overlap otherwise, or are more than the cores, none
 * has cores of its own.
 *
 * A rank has one thread a core, and ranks of a node no more together than the CPU quota of their
 * control group or SLURM's count of CPUs lets them; run.threads may say another number. Threads
 * that are as many as the rank's own cores are bound to one each; fewer keep to its cores; more, or
 * those of a rank without cores of its own, run wherever it may.
 *
 * All of it is Local. `root` is where /proc and /sys are looked for: "", or a folder of tests. */
#ifndef CZ_CORES_H
#define CZ_CORES_H

#include "czhpc/cpus.h"

/* The machine. */
typedef struct cz_topology {
    int core[CZ_CPUS]; /* the first CPU of the core that a CPU is in */
    int node[CZ_CPUS]; /* NUMA */
} cz_topology;

/* A CPU of which /sys does not tell is a core, of node 0. */
void cz_topology_read(cz_topology *topology, const char *root);

/* What keeps the number of threads down. */
typedef enum cz_limit { CZ_LIMIT_NONE, CZ_LIMIT_QUOTA, CZ_LIMIT_SLURM } cz_limit;

/* What a rank knows of itself, and shows the others of its node. */
typedef struct cz_rank_cpus {
    cz_cpus mask;
    cz_cpus launcher; /* the mask of mpirun, or of its daemon on this node; empty: there is none */
    bool unasked;     /* `mask` is nobody's wish */
    int most;         /* threads that this node's ranks may have together, 0: any number */
    cz_limit limit;   /* what says so */
} cz_rank_cpus;

/* Of this process. The mask is that of the calling thread, before anything is bound. */
void cz_rank_cpus_read(cz_rank_cpus *self, const char *root);

/* The process that launched this one, among the ancestors of which `parent` is the nearest: one
 * called mpirun, mpiexec, orterun, prterun, orted or prted. Sets self->launcher, and
 * self->unasked: Open MPI 4 says in the environment that it bound the rank
 * (OMPI_MCA_orte_bound_at_launch), and there too whether somebody had asked for it; Open MPI 5 says
 * neither, but the arguments of its prterun do. What is not known counts as asked for. */
void cz_launcher_read(cz_rank_cpus *self, const char *root, int parent, char *const *environment);

/* The cores of a rank. */
typedef struct cz_cores {
    cz_cpus may;      /* where it may run, maybe with others */
    cz_cpus own;      /* all CPUs of its own cores */
    int count;        /* cores of its own; 0: it has none */
    int cpu[CZ_CPUS]; /* (count) the first CPU of each */
    int threads;      /* of a rank where none are asked for, at least 1 */
    bool bind;        /* false: run.binding is inherit */
    /* For cz_cores_describe(). */
    cz_cpus node, beyond; /* the cores of all ranks, and those that mpirun has beside them */
    cz_cpus left;         /* the core or cores that mpirun's default was; empty: it counts */
    cz_limit limit;       /* what `threads` is due to, beside the cores */
} cz_cores;

/* Of rank `me` of the `ranks` of a node. bind false: masks stay as they are, nothing is bound. */
void cz_cores_share(cz_cores *cores, const cz_topology *topology, const cz_rank_cpus *rank,
                    int ranks, int me, bool bind);

/* Whether each of so many threads is bound to a core for itself. */
bool cz_cores_each(const cz_cores *cores, int threads);

/* How a rank with so many threads runs, such as "on cores 0-1, a thread each"; returns `text`. */
enum { CZ_CORES_TEXT = 768 };
const char *cz_cores_describe(char text[CZ_CORES_TEXT], const cz_cores *cores, int threads);

/* The CPUs that a thread of so many is bound to, as said above. */
cz_cpus cz_cores_of_thread(const cz_cores *cores, int thread, int threads);

#endif

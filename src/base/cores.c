/* Who of a node's ranks has which cores. */
#include "czhpc/cores.h"

#include <stdio.h>
#include <string.h>

/* The first CPU in `set` of each core that has one there, NUMA node by NUMA node. */
static int list_cores(int first[CZ_CPUS], const cz_topology *t, const cz_cpus *set)
{
    cz_cpus seen = {0};
    int count = 0, highest = 0;
    for (int cpu = -1; (cpu = cz_cpus_next(set, cpu)) >= 0;)
        if (t->node[cpu] > highest) highest = t->node[cpu];
    for (int node = 0; node <= highest; node++)
        for (int cpu = -1; (cpu = cz_cpus_next(set, cpu)) >= 0;) {
            if (t->node[cpu] != node || cz_cpus_has(&seen, t->core[cpu])) continue;
            cz_cpus_add(&seen, t->core[cpu]);
            first[count++] = cpu;
        }
    return count;
}

/* Whether mpirun's masks say nothing: on all ranks of the node, or on none. */
static bool all_unasked(const cz_rank_cpus *rank, int ranks)
{
    for (int r = 0; r < ranks; r++)
        if (!rank[r].unasked) return false;
    return true;
}

static const cz_cpus *may_of(const cz_rank_cpus *rank, bool freed)
{
    return freed ? &rank->launcher : &rank->mask;
}

/* Ranks that may use the same as rank `me`, how many of them are before it, and how many may use
 * some of it. */
typedef struct sharers {
    int same, before, some;
} sharers;

static sharers count_sharers(const cz_rank_cpus *rank, int ranks, int me, bool freed)
{
    sharers s = {.same = 1, .some = 1};
    const cz_cpus *mine = may_of(&rank[me], freed);
    for (int r = 0; r < ranks; r++) {
        const cz_cpus *other = may_of(&rank[r], freed);
        if (r == me) continue;
        bool same = cz_cpus_equal(mine, other);
        s.same += same;
        s.before += same && r < me;
        s.some += cz_cpus_meet(mine, other);
    }
    return s;
}

/* The CPUs of its own cores. */
static void take_own(cz_cores *c, const cz_topology *t)
{
    for (int cpu = -1; (cpu = cz_cpus_next(&c->may, cpu)) >= 0;)
        for (int i = 0; i < c->count; i++)
            if (t->core[cpu] == t->core[c->cpu[i]]) cz_cpus_add(&c->own, cpu);
}

/* A block of the cores that all `same` ranks may use, or none. Returns how many threads it makes
 * sense to start. */
static int divide(cz_cores *c, const cz_topology *t, sharers s)
{
    int cores = list_cores(c->cpu, t, &c->may);
    if (s.some > s.same || s.same > cores) return cores / s.some > 1 ? cores / s.some : 1;
    int begin = (int)((long)cores * s.before / s.same);
    c->count = (int)((long)cores * (s.before + 1) / s.same) - begin;
    memmove(c->cpu, c->cpu + begin, (size_t)c->count * sizeof *c->cpu);
    take_own(c, t);
    return c->count;
}

static void limit_threads(cz_cores *c, const cz_rank_cpus *mine, int ranks)
{
    int most = mine->most / ranks > 1 ? mine->most / ranks : 1;
    if (!mine->most || c->threads <= most) return;
    c->threads = most;
    c->limit = mine->limit;
}

/* Cores as they are told: by their first CPUs. */
static void name_cores(cz_cpus *names, const cz_topology *t, const cz_cpus *of)
{
    int first[CZ_CPUS], count = list_cores(first, t, of);
    for (int i = 0; i < count; i++) cz_cpus_add(names, first[i]);
}

void cz_cores_share(cz_cores *c, const cz_topology *t, const cz_rank_cpus *rank, int ranks, int me,
                    bool bind)
{
    bool freed = bind && all_unasked(rank, ranks);
    *c = (cz_cores){.may = *may_of(&rank[me], freed)};
    c->bind = bind && cz_cpus_count(&c->may);
    c->threads = divide(c, t, count_sharers(rank, ranks, me, freed));
    limit_threads(c, &rank[me], ranks);
    if (!cz_cpus_within(c->count ? &c->own : &c->may, &rank[me].mask))
        name_cores(&c->left, t, &rank[me].mask);

    cz_cpus all = {0};
    for (int r = 0; r < ranks; r++) cz_cpus_add_all(&all, may_of(&rank[r], freed));
    name_cores(&c->node, t, &all);
    if (cz_cpus_within(&all, &rank[me].launcher)) name_cores(&c->beyond, t, &rank[me].launcher);
}

bool cz_cores_each(const cz_cores *c, int threads) { return c->bind && threads == c->count; }

static bool keeps_to_own(const cz_cores *c, int threads)
{
    return threads <= cz_cpus_count(&c->own);
}

cz_cpus cz_cores_of_thread(const cz_cores *c, int thread, int threads)
{
    cz_cpus one = {0};
    if (!cz_cores_each(c, threads)) return keeps_to_own(c, threads) ? c->own : c->may;
    cz_cpus_add(&one, c->cpu[thread]);
    return one;
}

/* How its threads lie on the cores. */
static const char *manner(const cz_cores *c, int threads)
{
    if (!c->count) return ", shared";
    if (threads > c->count) return ", more threads than cores";
    if (!c->bind) return ", not bound";
    return cz_cores_each(c, threads) && cz_cpus_count(&c->node) > 1 ? ", a thread each" : "";
}

static const char *const limits[] = {
    [CZ_LIMIT_NONE] = "",
    [CZ_LIMIT_QUOTA] = "; the CPU quota allows no more threads",
    [CZ_LIMIT_SLURM] = "; SLURM gives no more CPUs",
};

static const char *cores_word(const cz_cpus *names)
{
    return cz_cpus_count(names) == 1 ? "core" : "cores";
}

const char *cz_cores_describe(char text[CZ_CORES_TEXT], const cz_cores *c, int threads)
{
    char names[200], beyond[220] = "", left[240] = "";
    if (!cz_cpus_count(&c->node)) {
        snprintf(text, CZ_CORES_TEXT, "on cores that the system does not tell");
        return text;
    }
    if (!cz_cpus_equal(&c->node, &c->beyond) && cz_cpus_count(&c->beyond))
        snprintf(beyond, sizeof beyond, " of %s", cz_cpus_print(names, sizeof names, &c->beyond));
    if (cz_cpus_count(&c->left))
        snprintf(left, sizeof left, "; mpirun's default was %s %s", cores_word(&c->left),
                 cz_cpus_print(names, sizeof names, &c->left));
    cz_cpus_print(names, sizeof names, &c->node);
    snprintf(text, CZ_CORES_TEXT, "on %s %s%s%s%s%s", cores_word(&c->node), names, beyond,
             manner(c, threads), left, threads == c->threads ? limits[c->limit] : "");
    return text;
}

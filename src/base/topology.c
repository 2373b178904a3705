/* What /sys tells of the machine. */
#include "czhpc/cores.h"
#include "system.h"

#include <stdio.h>

enum { LIST_SIZE = 4096 };

static bool read_list(cz_cpus *set, const char *root, const char *path)
{
    char text[LIST_SIZE];
    return system_read(text, sizeof text, NULL, root, path) && cz_cpus_parse(set, text);
}

static void read_nodes(cz_topology *t, const char *root)
{
    char path[64];
    cz_cpus nodes, cpus;
    if (!read_list(&nodes, root, "/sys/devices/system/node/online")) return;
    for (int n = -1; (n = cz_cpus_next(&nodes, n)) >= 0;) {
        snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", n);
        if (!read_list(&cpus, root, path)) continue; /* one of memory alone */
        for (int cpu = -1; (cpu = cz_cpus_next(&cpus, cpu)) >= 0;) t->node[cpu] = n;
    }
}

static void read_cores(cz_topology *t, const char *root)
{
    char path[96];
    cz_cpus online, siblings;
    if (!read_list(&online, root, "/sys/devices/system/cpu/online")) return;
    for (int cpu = -1; (cpu = cz_cpus_next(&online, cpu)) >= 0;) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 cpu);
        if (read_list(&siblings, root, path)) t->core[cpu] = cz_cpus_next(&siblings, -1);
    }
}

void cz_topology_read(cz_topology *t, const char *root)
{
    for (int cpu = 0; cpu < CZ_CPUS; cpu++) {
        t->core[cpu] = cpu;
        t->node[cpu] = 0;
    }
    read_nodes(t, root);
    read_cores(t, root);
}

/* What keeps the threads of a process down beside its mask, and what memory is left to it. */
#include "czhpc/limits.h"
#include "czhpc/cores.h"
#include "system.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, TEXT_SIZE = 16384 };

/* A way to read a limit in the folder of a control group; INFINITY: there is none. */
typedef double (*limit_reader)(const char *root, const char *folder);

static double quotient(double quota, double period)
{
    return quota > 0 && period > 0 ? quota / period : INFINITY;
}

static double quota_2(const char *root, const char *folder)
{
    char path[PATH_SIZE + 32], text[128];
    double quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!system_read(text, sizeof text, NULL, root, path)) return INFINITY;
    return sscanf(text, "%lf %lf", &quota, &period) == 2 ? quotient(quota, period) : INFINITY;
}

static double quota_1(const char *root, const char *folder)
{
    char path[PATH_SIZE + 32], quota[64], period[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!system_read(quota, sizeof quota, NULL, root, path)) return INFINITY;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (!system_read(period, sizeof period, NULL, root, path)) return INFINITY;
    return quotient(atof(quota), atof(period));
}

/* The number behind `word` ("": the first of all) in a file; INFINITY: there is none. */
static double number_in(const char *root, const char *folder, const char *file, const char *word)
{
    char path[PATH_SIZE + 32], text[TEXT_SIZE];
    double number;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!system_read(text, sizeof text, NULL, root, path)) return INFINITY;
    const char *at = system_behind(text, word);
    return at && sscanf(at, "%lf", &number) == 1 ? number : INFINITY;
}

/* Bytes left to a group; its page cache is free to go. */
static double memory_2(const char *root, const char *folder)
{
    double most = number_in(root, folder, "memory.max", "");
    if (!isfinite(most)) return INFINITY;
    double cache = number_in(root, folder, "memory.stat", "inactive_file");
    return most - number_in(root, folder, "memory.current", "") + (isfinite(cache) ? cache : 0);
}

/* Whether a line of /proc/self/cgroup ("4:cpu,cpuacct:/a/b") is of a controller, "" of version 2.
 */
static bool line_is_of(const char *line, const char *controller)
{
    const char *list = strchr(line, ':'), *end = list ? strchr(list + 1, ':') : NULL;
    if (!end) return false;
    size_t length = strlen(controller);
    for (list++;; list++) {
        size_t name = strcspn(list, ",:");
        if (name == length && strncmp(list, controller, length) == 0) return true;
        list += name;
        if (list >= end) return false;
    }
}

/* The group of this process, "/a/b"; "": it is not told. */
static void group_of(char group[PATH_SIZE], const char *groups, const char *controller)
{
    group[0] = 0;
    for (const char *line = groups; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!line_is_of(line, controller)) continue;
        const char *path = strchr(strchr(line, ':') + 1, ':') + 1;
        snprintf(group, PATH_SIZE, "%.*s", (int)strcspn(path, "\n"), path);
        return;
    }
}

/* The least of a group and those around it. A container may see its own group as the outermost,
 * and not where /proc/self/cgroup says. */
static double least_of(const char *root, const char *mount, const char *group, limit_reader read)
{
    char folder[PATH_SIZE];
    size_t outermost = strlen(mount);
    if ((size_t)snprintf(folder, sizeof folder, "%s%s", mount, group) >= sizeof folder)
        return INFINITY;
    double least = INFINITY;
    for (;;) {
        least = fmin(least, read(root, folder));
        char *slash = strrchr(folder + outermost, '/');
        if (!slash) return least;
        *slash = 0;
    }
}

double cz_cpu_quota(const char *root)
{
    char groups[TEXT_SIZE], two[PATH_SIZE], one[PATH_SIZE];
    if (!system_read(groups, sizeof groups, NULL, root, "/proc/self/cgroup")) return INFINITY;
    group_of(two, groups, "");
    group_of(one, groups, "cpu");
    double least = least_of(root, "/sys/fs/cgroup", two, quota_2);
    least = fmin(least, least_of(root, "/sys/fs/cgroup/unified", two, quota_2));
    least = fmin(least, least_of(root, "/sys/fs/cgroup/cpu", one, quota_1));
    return fmin(least, least_of(root, "/sys/fs/cgroup/cpu,cpuacct", one, quota_1));
}

double cz_memory_left(const char *root)
{
    char groups[TEXT_SIZE], two[PATH_SIZE];
    double least = 1024 * number_in(root, "/proc", "meminfo", "MemAvailable:");
    if (!system_read(groups, sizeof groups, NULL, root, "/proc/self/cgroup")) return least;
    group_of(two, groups, "");
    return fmin(least, least_of(root, "/sys/fs/cgroup", two, memory_2));
}

/* Where SLURM keeps nobody to the CPUs that it gave, the mask is the whole node. */
static int slurm_cpus(void)
{
    const char *count = getenv("SLURM_CPUS_ON_NODE");
    return count && atoi(count) > 0 ? atoi(count) : 0;
}

void cz_rank_cpus_read(cz_rank_cpus *self, const char *root)
{
    *self = (cz_rank_cpus){0};
    cz_cpus_of_thread(&self->mask); /* empty where the system does not say */
    cz_launcher_read(self, root, (int)getppid(), environ);
    double quota = cz_cpu_quota(root);
    int slurm = slurm_cpus();
    if (isfinite(quota)) {
        self->most = quota < 1 ? 1 : (int)fmin(quota, CZ_CPUS);
        self->limit = CZ_LIMIT_QUOTA;
    }
    if (slurm && (!self->most || slurm < self->most)) {
        self->most = slurm;
        self->limit = CZ_LIMIT_SLURM;
    }
}

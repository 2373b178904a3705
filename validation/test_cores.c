/* Who has which cores, on made-up machines; and what /proc, /sys and the environment say of it. */
#include "check.h"
#include "czhpc/cores.h"
#include "czhpc/limits.h"
#include "czhpc/pool.h"

#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static cz_cpus cpus(const char *list)
{
    cz_cpus set = {0};
    if (list[0] && !cz_cpus_parse(&set, list)) check(false, "'%s' is no list of CPUs", list);
    return set;
}

static bool is(const cz_cpus *set, const char *list)
{
    cz_cpus other = cpus(list);
    return cz_cpus_equal(set, &other);
}

static void check_lists(void)
{
    static const char *const good[][2] = {{"0", "0"},         {"0-3,8\n", "0-3,8"},
                                          {"3,1,2", "1-3"},   {"0-1,64-65", "0-1,64-65"},
                                          {"63-64", "63-64"}, {"4095", "4095"}};
    static const char *const bad[] = {"",     "\n",     "-1", "1-",  "2-1",  "1,,2",
                                      "4096", "1-4096", "a",  "1 2", "1,",   "99999999999999999999",
                                      " 1",   "1-2-3",  "+1", "0x1", "1-+2", "1\n2"};
    char text[64];
    cz_cpus set;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        check(cz_cpus_parse(&set, good[i][0]) &&
                  !strcmp(cz_cpus_print(text, sizeof text, &set), good[i][1]),
              "CPUs: '%s' reads back", good[i][1]);
    int refused = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad - 1; i++)
        refused += !cz_cpus_parse(&set, bad[i]);
    check(refused == (int)(sizeof bad / sizeof *bad) - 1, "CPUs: %d texts that are no lists",
          refused);
    check(cz_cpus_parse(&set, "1\n2") && is(&set, "1"), "CPUs: a list ends with its line");

    set = cpus("0,2,4,6,8,10,12,14,16,18");
    check(!strcmp(cz_cpus_print(text, 16, &set), "0,2,4,6,8,10..."),
          "CPUs: what does not fit ends so");
    set = cpus("5,64-66");
    check(cz_cpus_next(&set, -1) == 5 && cz_cpus_next(&set, 5) == 64 &&
              cz_cpus_next(&set, 66) == -1 && cz_cpus_count(&set) == 4,
          "CPUs: one after another, and counted");
}

/* `cores` cores of `threads` CPUs each, numbered as Linux does: the second threads after all first
 * ones. Cores of `nodes` nodes follow one another, or take turns. */
static void machine(cz_topology *t, int cores, int threads, int nodes, bool turns)
{
    for (int cpu = 0; cpu < CZ_CPUS; cpu++) {
        int core = cpu < cores * threads ? cpu % cores : cpu;
        t->core[cpu] = core;
        t->node[cpu] = cpu >= cores * threads ? 0 : turns ? core % nodes : core * nodes / cores;
    }
}

/* What a rank shall get. */
typedef struct expected {
    const char *own; /* "": no cores of its own */
    int threads;
    const char *first; /* what its first thread is bound to */
} expected;

typedef struct node {
    int ranks;
    cz_rank_cpus rank[4];
} node;

/* `masks` of the ranks, and what mpirun itself may use where nobody asked for them. */
static node node_of(int ranks, const char *const *masks, const char *launcher)
{
    node n = {.ranks = ranks};
    for (int r = 0; r < ranks; r++) {
        n.rank[r].mask = cpus(masks[r]);
        n.rank[r].launcher = cpus(launcher);
        n.rank[r].unasked = launcher[0] != 0;
    }
    return n;
}

static void share(const char *what, const cz_topology *t, const node *n, bool bind,
                  const expected *wanted)
{
    bool good = true;
    char got[256] = "";
    for (int r = 0; r < n->ranks; r++) {
        cz_cores c;
        char own[64], first[64];
        cz_cores_share(&c, t, n->rank, n->ranks, r, bind);
        cz_cpus bound = cz_cores_of_thread(&c, 0, c.threads);
        good = good && c.threads == wanted[r].threads && is(&c.own, wanted[r].own) &&
               is(&bound, wanted[r].first) && c.bind == bind;
        snprintf(got + strlen(got), sizeof got - strlen(got), "[%s] x %d, %s ",
                 cz_cpus_print(own, sizeof own, &c.own), c.threads,
                 cz_cpus_print(first, sizeof first, &bound));
    }
    check(good, "cores: %s: %s", what, got);
}

#define MASKS(...)                                                                                 \
    (const char *const[]) { __VA_ARGS__ }
#define WANTED(...)                                                                                \
    (const expected[]) { __VA_ARGS__ }

/* Two cores, as a laptop or a small virtual machine has them. */
static void check_two_cores(void)
{
    cz_topology t;
    machine(&t, 2, 1, 1, false);
    node n = node_of(1, MASKS("0"), "0-1");
    share("mpirun -np 1", &t, &n, true, WANTED({"0-1", 2, "0"}));
    n = node_of(2, MASKS("0", "1"), "0-1");
    share("mpirun -np 2", &t, &n, true, WANTED({"0", 1, "0"}, {"1", 1, "1"}));
    n = node_of(1, MASKS("0"), "");
    share("mpirun -np 1 --bind-to core", &t, &n, true, WANTED({"0", 1, "0"}));
    n = node_of(2, MASKS("0-1", "0-1"), "");
    share("mpirun -np 2 --bind-to none", &t, &n, true, WANTED({"0", 1, "0"}, {"1", 1, "1"}));
    n = node_of(1, MASKS("0"), "1");
    share("taskset -c 1 mpirun -np 1", &t, &n, true, WANTED({"1", 1, "1"}));
    n = node_of(2, MASKS("0", "1"), "1");
    share("taskset -c 1 mpirun -np 2", &t, &n, true, WANTED({"", 1, "1"}, {"", 1, "1"}));
    n = node_of(3, MASKS("0-1", "0-1", "0-1"), "0-1");
    share("mpirun -np 3 --oversubscribe", &t, &n, true,
          WANTED({"", 1, "0-1"}, {"", 1, "0-1"}, {"", 1, "0-1"}));
    n = node_of(1, MASKS("0"), "0-1");
    share("inherit", &t, &n, false, WANTED({"0", 1, "0"}));
    n = node_of(2, MASKS("0", "1"), "0-1");
    n.rank[1].unasked = false;
    share("one rank was asked for its mask", &t, &n, true, WANTED({"0", 1, "0"}, {"1", 1, "1"}));
}

static void check_larger(void)
{
    cz_topology t;
    machine(&t, 8, 1, 2, false);
    node n = node_of(3, MASKS("0-7", "0-7", "0-7"), "");
    share("3 ranks on 8 cores", &t, &n, true,
          WANTED({"0-1", 2, "0"}, {"2-4", 3, "2"}, {"5-7", 3, "5"}));
    n = node_of(4, MASKS("0-3", "0-3", "4-7", "4-7"), "");
    share("sockets of two ranks each", &t, &n, true,
          WANTED({"0-1", 2, "0"}, {"2-3", 2, "2"}, {"4-5", 2, "4"}, {"6-7", 2, "6"}));
    n = node_of(2, MASKS("2-3", "2-3"), "");
    share("SLURM gave 2 of 8, to 2 ranks together", &t, &n, true,
          WANTED({"2", 1, "2"}, {"3", 1, "3"}));
    n = node_of(2, MASKS("0-5", "4-7"), "");
    share("masks that overlap", &t, &n, true, WANTED({"", 3, "0-5"}, {"", 2, "4-7"}));
    n = node_of(1, MASKS(""), "");
    cz_cores c;
    char text[CZ_CORES_TEXT];
    cz_cores_share(&c, &t, n.rank, 1, 0, true);
    check(c.threads == 1 && !c.bind && strstr(cz_cores_describe(text, &c, 1), "does not tell"),
          "cores: of a system that does not tell, %s", text);

    machine(&t, 8, 2, 2, false);
    n = node_of(2, MASKS("0-15", "0-15"), "");
    share("two threads a core", &t, &n, true, WANTED({"0-3,8-11", 4, "0"}, {"4-7,12-15", 4, "4"}));
    n = node_of(1, MASKS("0,8,9"), "");
    share("a core, and half of one", &t, &n, true, WANTED({"0,8-9", 2, "0"}));
    machine(&t, 8, 1, 2, true);
    n = node_of(2, MASKS("0-7", "0-7"), "");
    share("NUMA nodes that take turns", &t, &n, true,
          WANTED({"0,2,4,6", 4, "0"}, {"1,3,5,7", 4, "1"}));
}

/* Fewer threads than cores, as many, more. */
static void check_threads(void)
{
    cz_topology t;
    cz_cores c;
    char text[CZ_CORES_TEXT];
    machine(&t, 4, 2, 1, false);
    node n = node_of(2, MASKS("0-7", "0-7"), "");
    cz_cores_share(&c, &t, n.rank, 2, 1, true);
    cz_cpus one = cz_cores_of_thread(&c, 0, 1), two = cz_cores_of_thread(&c, 1, 2),
            four = cz_cores_of_thread(&c, 3, 4), five = cz_cores_of_thread(&c, 4, 5);
    check(is(&one, "2-3,6-7"), "cores: fewer threads keep to the rank's");
    check(is(&two, "3"), "cores: as many threads have one each");
    check(is(&four, "2-3,6-7"), "cores: as many as the rank's CPUs keep to them");
    check(is(&five, "0-7"), "cores: more threads run anywhere");
    check(!strcmp(cz_cores_describe(text, &c, 2), "on cores 0-3, a thread each") &&
              !strcmp(cz_cores_describe(text, &c, 1), "on cores 0-3") &&
              !strcmp(cz_cores_describe(text, &c, 5), "on cores 0-3, more threads than cores"),
          "cores: and that is said");

    n = node_of(1, MASKS("0"), "0-3");
    cz_cores_share(&c, &t, n.rank, 1, 0, true);
    check(!strcmp(cz_cores_describe(text, &c, 4),
                  "on cores 0-3, a thread each; mpirun's default was core 0"),
          "cores: what is freed is said: %s", text);
    n.rank[0].unasked = false;
    cz_cores_share(&c, &t, n.rank, 1, 0, true);
    check(!strcmp(cz_cores_describe(text, &c, 1), "on core 0 of 0-3"),
          "cores: what lies idle is said: %s", text);
}

static void check_limits(void)
{
    cz_topology t;
    cz_cores c;
    char text[CZ_CORES_TEXT];
    machine(&t, 8, 1, 1, false);
    node n = node_of(2, MASKS("0-7", "0-7"), "");
    for (int r = 0; r < 2; r++) n.rank[r].most = 5, n.rank[r].limit = CZ_LIMIT_QUOTA;
    share("a quota of 5 for 2 ranks", &t, &n, true, WANTED({"0-3", 2, "0-3"}, {"4-7", 2, "4-7"}));
    cz_cores_share(&c, &t, n.rank, 2, 0, true);
    check(strstr(cz_cores_describe(text, &c, 2), "quota") && c.limit == CZ_LIMIT_QUOTA,
          "cores: a quota is said: %s", text);
    for (int r = 0; r < 2; r++) n.rank[r].most = 1, n.rank[r].limit = CZ_LIMIT_SLURM;
    share("1 CPU of SLURM's for 2 ranks", &t, &n, true,
          WANTED({"0-3", 1, "0-3"}, {"4-7", 1, "4-7"}));
    for (int r = 0; r < 2; r++) n.rank[r].most = 8;
    share("limits that do not matter", &t, &n, true, WANTED({"0-3", 4, "0"}, {"4-7", 4, "4"}));
    cz_cores_share(&c, &t, n.rank, 2, 0, true);
    check(c.limit == CZ_LIMIT_NONE, "cores: they are not said");
}

/* A folder with files such as /proc/self/cgroup, for one check after another. */
static char root[64];

static void put(const char *path, const char *text, size_t size)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        mkdir(whole, 0755);
    }
    FILE *out = fopen(whole, "w");
    if (!out || fwrite(text, 1, size, out) != size || fclose(out)) {
        perror(whole);
        exit(2);
    }
}

static void put_text(const char *path, const char *text) { put(path, text, strlen(text)); }

static void clear(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", root, root);
    if (system(command)) exit(2);
}

static void quota(const char *what, double wanted)
{
    double found = cz_cpu_quota(root);
    check(found == wanted, "quota: %s: %g", what, found);
    clear();
}

static void check_quotas(void)
{
    quota("no files", INFINITY);
    put_text("/proc/self/cgroup", "0::/\n");
    quota("no limit in sight", INFINITY);
    put_text("/proc/self/cgroup", "0::/\n");
    put_text("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    quota("a container of version 2", 1.5);
    put_text("/proc/self/cgroup", "0::/a/b\n");
    put_text("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    put_text("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    quota("of an outer group", 3);
    put_text("/proc/self/cgroup", "0::/a/b\n");
    put_text("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    put_text("/sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
    quota("the least counts", 0.5);
    put_text("/proc/self/cgroup", "12:pids:/x\n4:cpuset,cpu,cpuacct:/jobs/7\n0::/\n");
    put_text("/sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_quota_us", "400000\n");
    put_text("/sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_period_us", "200000\n");
    quota("of version 1", 2);
    put_text("/proc/self/cgroup", "4:cpu:/docker/0123\n");
    put_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n");
    put_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    quota("of a container of version 1, which is elsewhere within", 2.5);
    put_text("/proc/self/cgroup", "4:cpu:/\n");
    put_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    quota("none of version 1", INFINITY);
    put_text("/proc/self/cgroup", "4:cpuset:/a\n5:cpuacct:/a\n");
    put_text("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "100000\n");
    put_text("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
    quota("of another controller's group is none", INFINITY);
    put_text("/proc/self/cgroup", "nonsense\n0:\n:\n0::/a\n");
    put_text("/sys/fs/cgroup/a/cpu.max", "twelve\n");
    quota("nonsense", INFINITY);
}

static void memory(const char *what, double wanted)
{
    double found = cz_memory_left(root);
    check(found == wanted, "memory left: %s: %g", what, found);
    clear();
}

static void put_group(const char *folder, const char *most, const char *now, const char *cache)
{
    char path[128];
    const char *file[] = {"memory.max", "memory.current", "memory.stat"};
    const char *text[] = {most, now, cache};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", folder, file[i]);
        put_text(path, text[i]);
    }
}

static void check_memory(void)
{
    const char *meminfo = "MemTotal:       900 kB\nMemFree:   10 kB\nMemAvailable:     800 kB\n";
    memory("no files", INFINITY);
    put_text("/proc/meminfo", meminfo);
    memory("the node's", 800 * 1024);
    put_text("/proc/meminfo", meminfo);
    put_text("/proc/self/cgroup", "4:memory:/x\n0::/job/step\n");
    put_group("/job", "5000\n", "3000\n", "anon 7\nactive_file 8\ninactive_file 1000\n");
    put_group("/job/step", "max\n", "3000\n", "inactive_file 1000\n");
    memory("of an outer group, whose cache is free to go", 3000);
    put_text("/proc/meminfo", meminfo);
    put_text("/proc/self/cgroup", "0::/\n");
    put_group("", "4000\n", "1000\n", "anon 7\n");
    memory("of a container, without cache", 3000);
    put_text("/proc/meminfo", meminfo);
    put_text("/proc/self/cgroup", "0::/a\n");
    put_group("/a", "9000000\n", "1\n", "\n");
    memory("the node's where a group may have more", 800 * 1024);
}

static void check_topology(void)
{
    cz_topology t;
    cz_topology_read(&t, root);
    check(t.core[7] == 7 && t.node[7] == 0, "topology: without /sys every CPU is a core");
    put_text("/sys/devices/system/cpu/online", "0-3\n");
    put_text("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2\n");
    put_text("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "1,3\n");
    put_text("/sys/devices/system/cpu/cpu2/topology/thread_siblings_list", "0,2\n");
    put_text("/sys/devices/system/node/online", "0-1\n");
    put_text("/sys/devices/system/node/node0/cpulist", "0,2\n");
    put_text("/sys/devices/system/node/node1/cpulist", "1,3\n");
    cz_topology_read(&t, root);
    check(t.core[0] == 0 && t.core[1] == 1 && t.core[2] == 0 && t.core[3] == 3,
          "topology: threads of a core; of CPU 3 nothing is told");
    check(!t.node[0] && t.node[1] == 1 && !t.node[2] && t.node[3] == 1, "topology: NUMA nodes");
    clear();
}

/* A process of /proc; a space of `arguments` ends one. */
static void process(int number, const char *name, int parent, const char *mask,
                    const char *arguments)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/status", number);
    snprintf(text, sizeof text, "Name:\t%s\nUmask:\t0022\nPPid:\t%d\nCpus_allowed_list:\t%s\n",
             name, parent, mask);
    put_text(path, text);
    snprintf(path, sizeof path, "/proc/%d/cmdline", number);
    size_t length = (size_t)snprintf(text, sizeof text, "%s ", arguments);
    for (size_t i = 0; i < length; i++)
        if (text[i] == ' ') text[i] = 0;
    put(path, text, length);
}

/* What process 31, bound to CPU 0, finds out; `four`: Open MPI 4 says that it bound it. */
static void launched(const char *what, bool four, const char *variable, const char *launcher,
                     bool unasked)
{
    char *environment[] = {four ? "OMPI_MCA_orte_bound_at_launch=1" : "PATH=/bin", (char *)variable,
                           NULL};
    cz_rank_cpus self = {.mask = cpus("0")};
    cz_launcher_read(&self, root, 30, environment);
    check(is(&self.launcher, launcher) && self.unasked == unasked, "launcher: %s", what);
}

static void check_launchers(void)
{
    launched("none can be seen", false, NULL, "", false);
    process(30, "slurmstepd", 1, "0-7", "slurmstepd");
    process(1, "init", 0, "0-7", "init");
    launched("SLURM's is none of mpirun", false, NULL, "", false);
    process(30, "mpirun", 1, "0-7", "mpirun -np 1 czhpc");
    launched("Open MPI 4, unasked", true, NULL, "0-7", true);
    launched("Open MPI 4 did not bind", false, NULL, "0-7", false);
    static const char *const asked[] = {"OMPI_MCA_hwloc_base_binding_policy=core",
                                        "OMPI_MCA_hwloc_base_bind_to_core=1",
                                        "OMPI_MCA_hwloc_base_cpu_set=1",
                                        "OMPI_MCA_hwloc_base_cpu_list=1",
                                        "OMPI_MCA_hwloc_base_use_hwthreads_as_cpus=1",
                                        "OMPI_MCA_orte_rankfile=x",
                                        "OMPI_MCA_rmaps_base_cpus_per_rank=2",
                                        "OMPI_MCA_rmaps_base_mapping_policy=ppr:1:socket:pe=2",
                                        "OMPI_MCA_rmaps_base_mapping_policy=socket:PE=1"};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        launched(asked[i], true, asked[i], "0-7", false);
    launched("where ranks go is not what they are bound to", true,
             "OMPI_MCA_rmaps_base_mapping_policy=ppr:1:node", "0-7", true);
    process(30, "bash", 29, "0", "bash mpirun.sh");
    process(29, "mpirun.openmpi", 1, "0-7", "mpirun -np 1 bash mpirun.sh");
    launched("a script in between", true, NULL, "0-7", true);
    process(30, "orted", 1, "0-7", "orted");
    launched("a daemon of Open MPI 4", true, NULL, "0-7", true);
    process(30, "orted", 1, "3", "orted");
    launched("a daemon that is bound elsewhere", true, NULL, "3", false);
    process(30, "mpirun", 1, "3", "mpirun -np 1 czhpc");
    launched("mpirun that is bound elsewhere", true, NULL, "3", true);
    process(30, "prterun", 1, "0-7", "prterun -np 1 czhpc x.yaml");
    launched("Open MPI 5, unasked", false, NULL, "0-7", true);
    launched("Open MPI 5, asked by the environment", false,
             "PRTE_MCA_hwloc_default_binding_policy=core", "0-7", false);
    process(30, "prterun", 1, "0-7", "prterun -np 1 --bind-to core czhpc");
    launched("Open MPI 5, --bind-to", false, NULL, "0-7", false);
    process(30, "prterun", 1, "0-7", "prterun --map-by slot:PE=2 czhpc");
    launched("Open MPI 5, --map-by slot:PE=2", false, NULL, "0-7", false);
    process(30, "prted", 1, "0-7", "prted --bootproxy 1");
    launched("a daemon of Open MPI 5 does not know", false, NULL, "0-7", false);
    process(30, "mpiexec.hydra", 1, "0-7", "mpiexec.hydra -n 1 czhpc");
    launched("MPICH's", false, NULL, "0-7", false);
    process(30, "bash", 30, "0-7", "bash");
    launched("a circle", false, NULL, "", false);
    clear();
}

typedef struct seen {
    cz_pool *pool;
    cz_cpus of[2];
    int round[2], wrong[2];
} seen;

static cz_status look(void *context, int thread)
{
    cz_cpus_of_thread(&((seen *)context)->of[thread]);
    return CZ_OK;
}

/* Each sees what the other wrote before it came; now and then one of them is so late that the other
 * no longer looks but sleeps. */
static cz_status meet(void *context, int thread)
{
    seen *s = context;
    for (int round = 1; round <= 20000; round++) {
        if (round % 2000 == 0 && round / 2000 % 2 == thread) usleep(20000);
        s->round[thread] = round;
        cz_pool_barrier(s->pool);
        s->wrong[thread] += s->round[!thread] != round;
        cz_pool_barrier(s->pool);
    }
    return CZ_OK;
}

/* On this machine: each thread of a pool where it shall be, the caller back where it was. */
static void check_pool(void)
{
    cz_topology t;
    cz_rank_cpus self = {0};
    cz_cores c;
    cz_cpus after;
    cz_topology_read(&t, "");
    cz_cpus_of_thread(&self.mask);
    cz_cores_share(&c, &t, &self, 1, 0, true);
    if (c.count != 2) {
        check_skip("pool: %d cores here, 2 wanted", c.count);
        return;
    }
    for (int bind = 1; bind >= 0; bind--) {
        seen s = {0};
        c.bind = bind;
        bool ok = !cz_pool_open(&s.pool, 2, &c) && !cz_pool_run(s.pool, look, &s);
        for (int thread = 0; thread < 2; thread++) {
            cz_cpus wanted = bind ? cz_cores_of_thread(&c, thread, 2) : self.mask;
            ok = ok && cz_cpus_equal(&s.of[thread], &wanted);
        }
        bool met = !cz_pool_run(s.pool, meet, &s) && !s.wrong[0] && !s.wrong[1];
        cz_pool_close(s.pool);
        cz_cpus_of_thread(&after);
        check(ok, "pool: 2 threads, %s", bind ? "a core each" : "not bound");
        check(met, "pool: 40,000 barriers of theirs, some after a sleep");
        check(cz_cpus_equal(&after, &self.mask), "pool: then its caller is where it was");
    }
}

int main(void)
{
    snprintf(root, sizeof root, "/tmp/test_cores_XXXXXX");
    if (!mkdtemp(root)) return 2;
    check_lists();
    check_two_cores();
    check_larger();
    check_threads();
    check_limits();
    check_quotas();
    check_memory();
    check_topology();
    check_launchers();
    check_pool();
    rmdir(root);
    return check_done();
}

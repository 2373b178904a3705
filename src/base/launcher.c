/* Who launched this process, and whether its mask is anybody's wish. */
#include "czhpc/cores.h"
#include "system.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ANCESTORS = 16, TEXT_SIZE = 4096 };

typedef struct process {
    char name[32];
    int parent;
    cz_cpus mask;
} process;

static bool read_process(process *p, const char *root, int number)
{
    char path[64], text[TEXT_SIZE];
    snprintf(path, sizeof path, "/proc/%d/status", number);
    if (!system_read(text, sizeof text, NULL, root, path)) return false;
    const char *name = system_behind(text, "Name:"), *parent = system_behind(text, "PPid:"),
               *mask = system_behind(text, "Cpus_allowed_list:");
    return name && parent && mask && sscanf(name, "%31s", p->name) == 1 &&
           sscanf(parent, "%d", &p->parent) == 1 && cz_cpus_parse(&p->mask, mask);
}

static bool begins_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_daemon(const char *name)
{
    return strcmp(name, "orted") == 0 || strcmp(name, "prted") == 0;
}

static bool is_launcher(const char *name)
{
    return is_daemon(name) || begins_with(name, "mpirun") || begins_with(name, "mpiexec") ||
           begins_with(name, "orterun") || begins_with(name, "prterun");
}

/* What asks for a binding, in the name of one of Open MPI's parameters or in an argument. */
static bool asks(const char *text)
{
    static const char *const words[] = {"bind_to",  "bind-to",  "binding_policy", "cpu_set",
                                        "cpu-set",  "cpu_list", "cpu-list",       "cpus_per",
                                        "cpus-per", "rankfile", "rank_file",      "hwthread"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(text, words[i])) return true;
    /* Processing elements: --map-by socket:PE=4 binds each rank to four. */
    return strcasestr(text, ":pe=") != NULL;
}

/* By the environment: 1 it was asked for, 0 it was not, -1 Open MPI 4 did not bind this rank. */
static int asked_by(char *const *environment)
{
    int asked = -1;
    for (; *environment; environment++) {
        if (!begins_with(*environment, "OMPI_MCA_") && !begins_with(*environment, "PRTE_MCA_"))
            continue;
        if (asks(*environment)) return 1;
        if (begins_with(*environment, "OMPI_MCA_orte_bound_at_launch=")) asked = 0;
    }
    return asked;
}

/* Whether an argument of a process asks, or they cannot all be read. */
static bool arguments_ask(const char *root, int number)
{
    char path[64], text[TEXT_SIZE];
    size_t length = 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", number);
    if (!system_read(text, sizeof text, &length, root, path) || length + 1 == sizeof text)
        return true;
    for (const char *word = text; word < text + length; word += strlen(word) + 1)
        if (asks(word)) return true;
    return false;
}

void cz_launcher_read(cz_rank_cpus *self, const char *root, int parent, char *const *environment)
{
    process p = {.parent = parent};
    int number = 0;
    for (int i = 0; i < ANCESTORS; i++) {
        number = p.parent;
        if (number < 1 || !read_process(&p, root, number)) return;
        if (is_launcher(p.name)) break;
    }
    if (!is_launcher(p.name)) return;
    self->launcher = p.mask;
    int asked = asked_by(environment);
    self->unasked =
        asked == 0 || (asked < 0 && begins_with(p.name, "prterun") && !arguments_ask(root, number));
    /* A daemon that a batch system bound, and that binds to cores beyond, does not tell what is
     * allowed. mpirun does: whoever binds it to some cores means its ranks. */
    if (is_daemon(p.name) && !cz_cpus_within(&self->mask, &self->launcher)) self->unasked = false;
}

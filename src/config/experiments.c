/* The list `experiments`: each entry a job with other values, over seeds and splits. */
#include "table.h"

#include <stdlib.h>
#include <string.h>

int cz_config_items(const cz_config *config)
{
    int items = 0;
    for (int e = 0; e < config->experiments; e++)
        items += config->experiment[e].seeds * config->experiment[e].splits;
    return items;
}

/* All seeds of the first split, then those of the next. */
bool cz_config_find_item(cz_config_item *which, const cz_config *config, int index)
{
    for (int e = 0; e < config->experiments; e++) {
        const cz_experiment *x = &config->experiment[e];
        int items = x->seeds * x->splits;
        if (index >= items) {
            index -= items;
            continue;
        }
        which->experiment = e;
        which->seed = x->seed[index % x->seeds];
        which->split = x->split[index / x->seeds];
        int length = snprintf(which->folder, sizeof which->folder, "%s/seed-%lld", x->name,
                              (long long)which->seed);
        if (x->splits > 1)
            snprintf(which->folder + length, sizeof which->folder - (size_t)length, "-split-%lld",
                     (long long)which->split);
        return true;
    }
    return false;
}

static cz_status apply_sets(cz_config *item, cz_origin *origin, const cz_experiment *x)
{
    for (int s = 0; s < x->sets; s++) CZ_TRY(cz_config_override(item, origin, x->set[s]));
    return CZ_OK;
}

cz_status cz_config_item_of(cz_config *item, cz_config_item *which, const cz_config *config,
                            int index)
{
    cz_origin origin[CZ_CONFIG_KEYS] = {{0}};
    if (index < 0 || !cz_config_find_item(which, config, index))
        return cz_fail(CZ_ERR_USAGE,
                       "there is no experiment %d: the configuration lists %d, numbered from 0; "
                       "--check-config shows them",
                       index, cz_config_items(config));
    const cz_experiment *x = &config->experiment[which->experiment];
    *item = *config;
    item->experiments = 0;
    CZ_TRY(apply_sets(item, origin, x));
    if (item->train.from[0]) {
        CZ_TRY(cz_config_take_best(item));
        CZ_TRY(apply_sets(item, origin, x));
        item->train.from[0] = 0;
    }
    item->run.seed = which->seed;
    item->split.seed = which->split;
    size_t length = strlen(item->run.name);
    if ((size_t)snprintf(item->run.name + length, sizeof item->run.name - length, "/%s",
                         which->folder) >= sizeof item->run.name - length)
        return cz_fail(CZ_ERR_CONFIG,
                       "the name of the run with that of its experiment is longer "
                       "than %d bytes: give the run a shorter --name",
                       CZ_NAME_MAX - 1);
    char blamed[96];
    snprintf(blamed, sizeof blamed, "experiment '%s'", x->name);
    memset(origin, 0, sizeof origin); /* a key of `set` is no override to blame */
    return cz_config_check(item, origin, blamed);
}

/* Keys that an experiment may not set: what the list itself says, or the job as a whole. */
static const char *const whole_job[] = {"run.name",   "run.results",        "run.seed",
                                        "split.seed", "run.ranks_per_item", "run.binding",
                                        "search."};

static const char *set_fault(const char *set)
{
    for (size_t i = 0; i < sizeof whole_job / sizeof *whole_job; i++)
        if (strncmp(set, whole_job[i], strlen(whole_job[i])) == 0)
            return "is the job's: seeds and splits are given beside `set`";
    return NULL;
}

static cz_status check_one(const cz_config *config, int e, const char *path)
{
    const cz_experiment *x = &config->experiment[e];
    bool known = !x->compare_to[0];
    for (int other = 0; other < config->experiments; other++) {
        const char *name = config->experiment[other].name;
        if (other < e && strcmp(name, x->name) == 0)
            return cz_fail(CZ_ERR_CONFIG, "%s: experiments: two are called '%s'", path, name);
        known = known || (other != e && strcmp(name, x->compare_to) == 0);
    }
    if (!known)
        return cz_fail(CZ_ERR_CONFIG,
                       "%s: experiments: '%s': compare_to names '%s', which is no other experiment",
                       path, x->name, x->compare_to);
    for (int s = 0; s < x->sets; s++) {
        const char *fault = set_fault(x->set[s]);
        if (fault)
            return cz_fail(CZ_ERR_CONFIG, "%s: experiments: '%s': %.*s %s", path, x->name,
                           (int)strcspn(x->set[s], "="), x->set[s], fault);
    }
    return CZ_OK;
}

cz_status cz_config_check_experiments(const cz_config *config, const char *path)
{
    cz_config *item = cz_alloc(1, sizeof *item, "a configuration");
    if (!item) return CZ_ERR_MEMORY;
    cz_status status = CZ_OK;
    const char *file = path ? path : "the configuration";
    for (int e = 0; e < config->experiments && !status; e++) status = check_one(config, e, file);
    for (int i = 0; i < cz_config_items(config) && !status; i++) {
        cz_config_item which;
        status = cz_config_item_of(item, &which, config, i);
    }
    free(item);
    return status;
}

/* A search for hyperparameters: trials, the best of them again in full, the choice. */
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "czhpc/rng.h"
#include "search_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct search {
    const cz_config *config;
    const cz_job_options *options;
    const run_folder *folder;
    const cz_comm *comm;
    cz_space space;
    char journal[2 * CZ_PATH_MAX + 32];
    cz_queue *queue;
    search_worker worker;
    /* Of rank 0. */
    cz_study *study;
    int trials; /* that the search ended with: another number, other candidates */
    int candidates;
    double *candidate;    /* (candidates, space.count) the best trials */
    search_found *chosen; /* (candidates) */
    search_found found;
} search;

/* A hash of what a study must have in common with the job that joins it: the cells, the model, and
 * what is done with a point. */
static cz_status identity(char hash[32], const search *s)
{
    static const char *const made_of[] = {
        "data.",         "synthetic.",  "split.",           "text.",         "model.",
        "train.",        "eval.",       "run.seed",         "run.precision", "search.space",
        "search.epochs", "search.fold", "search.objective", "search.seed"};
    /* The values that move count for nothing. */
    cz_config *base = cz_alloc(1, sizeof *base, "a configuration");
    if (!base) return CZ_ERR_MEMORY;
    *base = *s->config;
    cz_config_reset_space(base);
    uint64_t sum = cz_config_hash_of(base, made_of, (int)(sizeof made_of / sizeof *made_of), false);
    free(base);
    const uint64_t all[] = {sum, cz_cells_hash(&s->worker.stock.cells),
                            s->worker.stock.text.identity};
    snprintf(hash, 32, "%016llx", (unsigned long long)cz_hash(0, all, sizeof all));
    return CZ_OK;
}

/* 1: the study says that it is of this hash, 0: it says nothing, -1: it is of another. */
static cz_status compare_identity(int *same, cz_study *study, const char *hash)
{
    const cz_trials *trials;
    CZ_TRY(cz_study_read(study, &trials));
    const char *said = json_string_value(json_object_get(trials->user, "czhpc:config"));
    *same = !said ? 0 : strcmp(said, hash) == 0 ? 1 : -1;
    return CZ_OK;
}

static cz_status identify(const search *s)
{
    char hash[32];
    int same;
    CZ_TRY(identity(hash, s));
    CZ_TRY(compare_identity(&same, s->study, hash));
    if (!same) {
        /* Of two that say it at the same time the last one is heard, by both. */
        CZ_TRY(cz_study_set(s->study, false, "czhpc:config", json_string(hash)));
        CZ_TRY(compare_identity(&same, s->study, hash));
    }
    if (same > 0) return CZ_OK;
    return cz_fail(CZ_ERR_USAGE,
                   "the study '%s' is of another data set, model or search.*: give this search "
                   "another search.name or search.study",
                   cz_study_name(s->study));
}

static cz_status open_study(search *s, search_phase phase)
{
    char name[CZ_NAME_MAX + 32];
    const cz_config *config = s->config;
    snprintf(name, sizeof name, "%s", config->search.name);
    if (phase == SEARCH_CONFIRM)
        snprintf(name, sizeof name, "%s-confirm-%d", config->search.name, s->trials);
    CZ_TRY(cz_study_open(&s->study, s->journal, name,
                         config->search.objective == CZ_OBJECTIVE_ACCURACY));
    return identify(s);
}

static cz_sampling sampling_of(const cz_config *config)
{
    static const cz_sampler_kind kind[] = {[CZ_SEARCH_TPE] = CZ_SAMPLE_TPE,
                                           [CZ_SEARCH_RANDOM] = CZ_SAMPLE_RANDOM,
                                           [CZ_SEARCH_GRID] = CZ_SAMPLE_GRID};
    cz_sampling sampling = cz_sampling_default();
    sampling.kind = kind[config->search.sampler];
    sampling.seed = (uint64_t)config->search.seed;
    return sampling;
}

static cz_pruning pruning_of(const cz_config *config, search_phase phase)
{
    static const cz_pruner_kind kind[] = {[CZ_SEARCH_ALL] = CZ_PRUNE_NONE,
                                          [CZ_SEARCH_MEDIAN] = CZ_PRUNE_MEDIAN,
                                          [CZ_SEARCH_ASHA] = CZ_PRUNE_ASHA};
    cz_pruning pruning = cz_pruning_default();
    pruning.kind = phase == SEARCH_TRIALS ? kind[config->search.pruner] : CZ_PRUNE_NONE;
    return pruning;
}

static search_source source_of(search *s, search_phase phase)
{
    search_source source = {.study = s->study,
                            .phase = phase,
                            .config = s->config,
                            .space = s->worker.space,
                            .sampling = sampling_of(s->config),
                            .pruning = pruning_of(s->config, phase),
                            .limit = s->config->search.trials,
                            .candidate = s->candidate,
                            .folder = s->worker.folder};
    if (phase == SEARCH_CONFIRM) source.limit = s->candidates * s->config->search.confirm_seeds;
    else if (source.sampling.kind == CZ_SAMPLE_GRID) {
        int points = cz_grid_size(&source.sampling, &s->space);
        if (source.limit > points) source.limit = points;
    }
    return source;
}

/* Folders of trials stand beside the journal: whoever takes a trial over finds its state there. */
static void name_folders(search *s, const char *study)
{
    size_t length = strlen(s->journal);
    if (length > 4 && strcmp(s->journal + length - 4, ".log") == 0) length -= 4;
    snprintf(s->worker.folder, sizeof s->worker.folder, "%.*s.trials/%s-", (int)length, s->journal,
             study);
}

/* The dimensions of a phase; a run in full moves its seed too. */
static cz_space space_of(const search *s, search_phase phase)
{
    cz_space space = s->space;
    if (phase == SEARCH_TRIALS) return space;
    double first = (double)s->config->run.seed + 1;
    cz_dimension seed = {.kind = CZ_INTEGER,
                         .step = 1,
                         .low = first,
                         .high = first + s->config->search.confirm_seeds - 1};
    snprintf(seed.name, sizeof seed.name, "run.seed");
    space.dimension[space.count++] = seed;
    return space;
}

/* Works off the study of a phase; it stays open on rank 0. */
static cz_status work_off(search *s, search_phase phase)
{
    char study[CZ_NAME_MAX + 32] = "";
    s->worker.phase = phase;
    s->worker.space = space_of(s, phase);
    cz_status status = CZ_OK;
    if (s->comm->rank == 0) {
        status = open_study(s, phase);
        if (!status) snprintf(study, sizeof study, "%s", cz_study_name(s->study));
    }
    CZ_TRY(cz_comm_broadcast(s->comm, status, study, sizeof study));
    name_folders(s, study);
    search_source source = {0};
    if (s->comm->rank == 0) source = source_of(s, phase);
    cz_item_source items = search_items(&source);
    cz_timeline timeline = {0};
    status = cz_queue_run(s->queue, &items, search_work, &s->worker, &timeline);
    if (status <= CZ_STOPPED && s->comm->rank == 0 &&
        timeline_write(s->folder->path, study, &timeline))
        status = CZ_ERR_IO;
    cz_timeline_free(&timeline);
    return status == CZ_ERR_MPI ? status : cz_comm_agree(s->comm, status);
}

/* Whether a is better than b. */
static bool better(const cz_config *config, double a, double b)
{
    return config->search.objective == CZ_OBJECTIVE_LOSS ? a < b : a > b;
}

/* The complete trials, best first, of equals the earlier one; for the caller to free. */
static cz_status rank_trials(int **order, int *count, const search *s, const cz_trials *trials)
{
    *count = 0;
    *order = cz_alloc((size_t)trials->count + 1, sizeof **order, "the trials");
    if (!*order) return CZ_ERR_MEMORY;
    for (int i = 0; i < trials->count; i++) {
        const cz_trial *t = &trials->trial[i];
        double x[CZ_SPACE_MAX];
        if (t->state != CZ_TRIAL_COMPLETE || isnan(t->value)) continue;
        if (!search_point(x, &s->space, trials, t)) continue;
        int at = (*count)++;
        for (; at > 0 && better(s->config, t->value, trials->trial[(*order)[at - 1]].value); at--)
            (*order)[at] = (*order)[at - 1];
        (*order)[at] = i;
    }
    return CZ_OK;
}

static void print_best(const search *s, const cz_trials *trials, const int *order, int count)
{
    int ended[5] = {0};
    char point[512], value[64];
    double x[CZ_SPACE_MAX];
    for (int i = 0; i < trials->count; i++) ended[trials->trial[i].state]++;
    cz_note("Search       %d trials complete, %d ended early, %d failed; the best:",
            ended[CZ_TRIAL_COMPLETE], ended[CZ_TRIAL_PRUNED], ended[CZ_TRIAL_FAILED]);
    for (int i = 0; i < count && i < 5; i++) {
        const cz_trial *t = &trials->trial[order[i]];
        (void)search_point(x, &s->space, trials, t);
        search_describe(point, sizeof point, &s->space, x);
        search_value_text(value, s->config, t->value);
        cz_note("  trial %6d  %s  %s", t->number, value, point);
    }
}

static bool same_point(const search *s, const double *x, const double *y)
{
    return memcmp(x, y, (size_t)s->space.count * sizeof *x) == 0;
}

/* The best trials of different points, at most `wanted`. */
static void list_candidates(search *s, const cz_trials *trials, const int *order, int count,
                            int wanted)
{
    for (int i = 0; i < count && s->candidates < wanted; i++) {
        const cz_trial *t = &trials->trial[order[i]];
        search_found *found = &s->chosen[s->candidates];
        bool there = false;
        *found = (search_found){
            .value = t->value, .trial = t->number, .confirm_mean = NAN, .confirm_sd = NAN};
        (void)search_point(found->x, &s->space, trials, t);
        for (int c = 0; c < s->candidates; c++)
            there = there || same_point(s, s->chosen[c].x, found->x);
        if (there) continue;
        memcpy(s->candidate + (size_t)s->candidates * (size_t)s->space.count, found->x,
               (size_t)s->space.count * sizeof *found->x);
        s->candidates++;
    }
}

/* The trials that may be chosen: the best one, or those that are to be confirmed. Rank 0. */
static cz_status take_candidates(search *s)
{
    const cz_trials *trials;
    int *order = NULL, count = 0, wanted = s->config->search.confirm;
    CZ_TRY(cz_study_read(s->study, &trials));
    cz_status status = rank_trials(&order, &count, s, trials);
    if (!status) print_best(s, trials, order, count);
    if (!status && !count)
        status =
            cz_fail(CZ_ERR_DIVERGED,
                    "no trial of the search ended well: see search.space, and czhpc.log of the "
                    "trials in %s*",
                    s->worker.folder);
    if (wanted < 1) wanted = 1;
    size_t n = (size_t)wanted;
    s->trials = trials->count;
    s->candidate = cz_alloc(n * (size_t)s->space.count, sizeof *s->candidate, "candidates");
    s->chosen = cz_alloc(n, sizeof *s->chosen, "candidates");
    if (!status && (!s->candidate || !s->chosen)) status = CZ_ERR_MEMORY;
    if (!status) list_candidates(s, trials, order, count, wanted);
    free(order);
    return status;
}

/* Mean and spread of a candidate's runs in full. */
static void sum_up(search_found *found, const search *s, const cz_trials *trials)
{
    double sum = 0, squares = 0;
    int n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < trials->count; i++) {
            double x[CZ_SPACE_MAX];
            const cz_trial *t = &trials->trial[i];
            if (t->state != CZ_TRIAL_COMPLETE || !search_point(x, &s->space, trials, t)) continue;
            if (!same_point(s, x, found->x)) continue;
            if (pass == 0) sum += t->value, n++;
            else squares += (t->value - sum / n) * (t->value - sum / n);
        }
    found->confirmed = n;
    found->confirm_mean = n ? sum / n : NAN;
    found->confirm_sd = n > 1 ? sqrt(squares / (n - 1)) : NAN;
}

/* The candidate that did best in full. Rank 0. */
static cz_status choose_confirmed(search *s)
{
    const cz_trials *trials;
    int best = -1;
    CZ_TRY(cz_study_read(s->study, &trials));
    for (int c = 0; c < s->candidates; c++) {
        char value[64];
        search_found *found = &s->chosen[c];
        sum_up(found, s, trials);
        search_value_text(value, s->config, found->confirm_mean);
        cz_note("In full      trial %d: validation %s, mean of %d", found->trial, value,
                found->confirmed);
        if (!found->confirmed) continue;
        if (best < 0 || better(s->config, found->confirm_mean, s->chosen[best].confirm_mean))
            best = c;
    }
    if (best < 0)
        return cz_fail(CZ_ERR_DIVERGED,
                       "none of the best trials could be trained in full: see "
                       "czhpc.log in %s*",
                       s->worker.folder);
    s->found = s->chosen[best];
    return CZ_OK;
}

static cz_status finish_trials(search *s)
{
    CZ_TRY(take_candidates(s));
    s->found = s->chosen[0];
    cz_study_close(s->study);
    s->study = NULL;
    return CZ_OK;
}

static cz_status search_phases(search *s)
{
    CZ_TRY(work_off(s, SEARCH_TRIALS));
    cz_status status = cz_comm_agree(s->comm, s->comm->rank ? CZ_OK : finish_trials(s));
    if (!status && s->config->search.confirm) {
        CZ_TRY(work_off(s, SEARCH_CONFIRM));
        status = s->comm->rank ? CZ_OK : choose_confirmed(s);
    }
    return cz_comm_broadcast(s->comm, status, &s->found, sizeof s->found);
}

static cz_status open_search(search *s)
{
    cz_cores cores;
    const cz_config *config = s->config;
    gpu_choice gpu;
    CZ_TRY(cz_config_space(&s->space, config));
    if (!s->space.count)
        return cz_fail(CZ_ERR_CONFIG, "search.space is empty: nothing is left to search");
    if (config->search.study[0])
        snprintf(s->journal, sizeof s->journal, "%s", config->search.study);
    else snprintf(s->journal, sizeof s->journal, "%s/study.log", s->folder->path);
    CZ_TRY(choose_cores(&cores, config, s->comm));
    CZ_TRY(choose_gpu(&gpu, config, s->comm));
    CZ_TRY(cz_queue_open(&s->queue, s->comm, config->search.ranks_per_trial, s->options->stop));
    s->worker = (search_worker){.config = config,
                                .stock = stock_of(cz_queue_group(s->queue), &cores, &gpu)};
    cz_note("Search       %d trials of %d epochs by %d group%s of %d rank%s; study '%s' in %s",
            config->search.trials, config->search.epochs, cz_queue_groups(s->queue),
            cz_queue_groups(s->queue) == 1 ? "" : "s", config->search.ranks_per_trial,
            config->search.ranks_per_trial == 1 ? "" : "s", config->search.name, s->journal);
    /* Before there are trials: rank 0 answers nobody while it loads. */
    CZ_TRY(cz_comm_agree(s->comm, search_prepare(&s->worker)));
    return memory_budget(&s->worker.budget, config, s->comm);
}

static void close_search(search *s)
{
    cz_study_close(s->study);
    free(s->worker.fold);
    stock_empty(&s->worker.stock);
    cz_queue_close(s->queue);
    free(s->candidate);
    free(s->chosen);
}

cz_status run_search(cz_config *best, const cz_config *config, const cz_job_options *options,
                     const run_folder *folder, const cz_comm *comm)
{
    CZ_PHASE("search");
    search s = {.config = config, .options = options, .folder = folder, .comm = comm};
    cz_status status = open_search(&s);
    if (!status) status = search_phases(&s);
    if (!status) {
        char point[512];
        *best = *config;
        status = cz_config_set_point(best, &s.space, s.found.x);
        search_describe(point, sizeof point, &s.space, s.found.x);
        cz_note("Chosen       trial %d: %s", s.found.trial, point);
    }
    if (!status && comm->rank == 0)
        status = search_write_best(folder->path, config, &s.space, &s.found);
    if (status == CZ_ERR_MPI) return status;
    close_search(&s);
    return cz_comm_agree(comm, status);
}

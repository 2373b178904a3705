/* A search: the study on rank 0, the trials on the groups. Private to src/job. */
#ifndef CZ_SEARCH_PARTS_H
#define CZ_SEARCH_PARTS_H

#include "czhpc/sampler.h"
#include "room.h"

/* What is done with each point. */
typedef enum search_phase {
    SEARCH_TRIALS,  /* search.epochs on the training cells but a fold, judged on the fold */
    SEARCH_CONFIRM, /* in full, judged on the validation cells */
} search_phase;

/* What a group is told of a trial. */
typedef struct search_item {
    int number;
    bool taken; /* goes on where another job left it */
    double x[CZ_SPACE_MAX];
} search_item;

/* A study as a source of items. */
typedef struct search_source {
    cz_study *study;
    search_phase phase;
    const cz_config *config;
    cz_space space; /* of the phase: of SEARCH_CONFIRM with run.seed as the last */
    cz_sampling sampling;
    cz_pruning pruning;
    int limit;               /* trials of the study */
    const double *candidate; /* SEARCH_CONFIRM: (candidates, space->count - 1) */
    const char *folder;      /* of a trial, without its number */
} search_source;

cz_item_source search_items(search_source *source);

/* What a group works with. */
typedef struct search_worker {
    const cz_config *config;
    search_phase phase;
    cz_space space;
    char folder[2 * CZ_PATH_MAX + 2 * CZ_NAME_MAX]; /* of a trial, without its number */
    stock stock;
    uint8_t *fold; /* split of the cells for SEARCH_TRIALS */
    double budget; /* bytes that this rank may hold */
} search_worker;

/* The stock and the fold, before there are trials. Collective over the group. */
cz_status search_prepare(search_worker *worker);

cz_status search_work(void *context, cz_queue *queue, const cz_item *item, const cz_comm *group,
                      cz_item_outcome *outcome);

/* The point of a trial in the space's dimensions. false: it lacks one. */
bool search_point(double *x, const cz_space *space, const cz_trials *trials, const cz_trial *trial);
/* "lr 0.00083, dropout 0.21". */
void search_describe(char *text, size_t size, const cz_space *space, const double *x);
/* The objective's value for people: "accuracy 61.20 %" or "loss 1.2034". */
void search_value_text(char text[64], const cz_config *config, double value);

/* What was found. */
typedef struct search_found {
    double x[CZ_SPACE_MAX];
    double value;         /* of the objective on the search's fold */
    int trial, confirmed; /* runs in full that the choice rests on */
    double confirm_mean, confirm_sd;
} search_found;

/* best_hyperparameters.json. CZ_ERR_IO. */
cz_status search_write_best(const char *folder, const cz_config *config, const cz_space *space,
                            const search_found *found);

#endif

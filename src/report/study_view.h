/* A study as its report sees it: parameters by name, trials by rank, importance. Private to
 * src/report; Local. */
#ifndef CZ_STUDY_VIEW_H
#define CZ_STUDY_VIEW_H

#include "czhpc/study.h"
#include "regression_tree.h"

/* A parameter: all dimensions that agree but for their bounds. */
typedef struct study_param {
    const cz_dimension *about; /* the latest of them */
    double low, high;          /* of all of them, and of all values */
    int complete;              /* complete trials with a finite value that have it */
    double share;              /* its importance, NAN: not known */
} study_param;

typedef struct study_view {
    const char *name;
    const cz_trials *trials;
    int params;
    study_param *param;  /* (params) in the order in which trials first had them */
    double *value;       /* (trials, params), NAN: none */
    int *ranked;         /* (trials) numbers: complete ones best first, pruned ones by their last
                            value, failed, running, waiting ones */
    int *important;      /* (params) the most important first, those without a share last */
    int complete;        /* complete trials with a finite value */
    int *finite;         /* (complete) they, best first */
    const char *unknown; /* why no importance is known; NULL: it is */
} study_view;

/* Free with study_view_free(), also after an error. CZ_ERR_MEMORY. */
cz_status study_view_make(study_view *view, const cz_trials *trials, const char *name);
void study_view_free(study_view *view);

static inline double study_value(const study_view *view, int trial, int param)
{
    return view->value[(size_t)trial * view->params + param];
}

/* The share of each parameter in the variance, by fANOVA on the complete trials with a finite
 * value, in space as it was sampled: log where log, whole numbers and steps widened by half a step,
 * choices equally likely. Not known of what some of those trials do not have. */
cz_status study_importance(study_view *view);

/* A parameter's name; of an empty one two quotes. */
static inline const char *study_param_name(const study_param *param)
{
    return param->about->name[0] ? param->about->name : "\"\"";
}

/* A value as people read it: a number, a choice as text. */
enum { STUDY_TEXT = 112 };
const char *study_text(char text[STUDY_TEXT], const study_param *param, double value);

/* Where a value stands between the ends of its parameter: 0 to 1, log where log. */
double study_place(const study_param *param, double value);

/* The ends of the values of complete trials, and of pruned ones; false: there are none, or they
 * are too far apart to be drawn. */
bool study_range(const study_view *view, bool pruned, double *low, double *high);

/* "complete", "pruned", ... */
const char *study_state(cz_trial_state state);

#endif

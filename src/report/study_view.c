#include "study_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A trial's place among the others. */
typedef struct rank {
    int state; /* 0 is best */
    double key;
    int number;
} rank;

static int by_rank(const void *a, const void *b)
{
    const rank *x = a, *y = b;
    if (x->state != y->state) return x->state - y->state;
    if (isnan(x->key) != isnan(y->key)) return isnan(x->key) ? 1 : -1;
    if (x->key != y->key && !isnan(x->key)) return x->key < y->key ? -1 : 1;
    return x->number - y->number;
}

static cz_status rank_trials(study_view *view)
{
    static const int state[] = {[CZ_TRIAL_COMPLETE] = 0,
                                [CZ_TRIAL_PRUNED] = 1,
                                [CZ_TRIAL_FAILED] = 2,
                                [CZ_TRIAL_RUNNING] = 3,
                                [CZ_TRIAL_WAITING] = 4};
    const cz_trials *trials = view->trials;
    rank *all = cz_alloc((size_t)trials->count + 1, sizeof *all, "a study");
    if (!all) return CZ_ERR_MEMORY;
    for (int i = 0; i < trials->count; i++) {
        const cz_trial *t = &trials->trial[i];
        bool ranks = t->state == CZ_TRIAL_COMPLETE || t->state == CZ_TRIAL_PRUNED;
        double key = trials->maximise ? -t->value : t->value;
        all[i] = (rank){state[t->state], ranks ? key : 0, i};
    }
    qsort(all, (size_t)trials->count, sizeof *all, by_rank);
    for (int i = 0; i < trials->count; i++) {
        const cz_trial *t = &trials->trial[all[i].number];
        view->ranked[i] = all[i].number;
        if (t->state == CZ_TRIAL_COMPLETE && isfinite(t->value))
            view->finite[view->complete++] = all[i].number;
    }
    free(all);
    return CZ_OK;
}

static int find_param(const study_view *view, const cz_dimension *dimension)
{
    for (int p = 0; p < view->params; p++)
        if (cz_dimension_agrees(view->param[p].about, dimension)) return p;
    return -1;
}

/* The parameter of every dimension that a trial of the study has. of (dimensions), -1: none has it.
 */
static void find_params(study_view *view, int *of)
{
    const cz_trials *trials = view->trials;
    for (int d = 0; d < trials->dimensions; d++) of[d] = -1;
    for (int i = 0; i < trials->count; i++)
        for (int p = 0; p < trials->trial[i].params; p++) {
            int d = trials->trial[i].param[p].dimension;
            const cz_dimension *about = &trials->dimension[d];
            if (of[d] >= 0) continue;
            of[d] = find_param(view, about);
            if (of[d] < 0) {
                of[d] = view->params++;
                view->param[of[d]] = (study_param){about, about->low, about->high, 0, NAN};
            }
            study_param *param = &view->param[of[d]];
            param->about = about;
            param->low = fmin(param->low, about->low);
            param->high = fmax(param->high, about->high);
        }
}

static void fill_values(study_view *view, const int *of)
{
    size_t cells = (size_t)view->trials->count * (size_t)view->params;
    for (size_t i = 0; i < cells; i++) view->value[i] = NAN;
    for (int i = 0; i < view->trials->count; i++) {
        const cz_trial *t = &view->trials->trial[i];
        for (int p = 0; p < t->params; p++) {
            study_param *param = &view->param[of[t->param[p].dimension]];
            double value = t->param[p].value;
            if (param->about->log && value <= 0) continue;
            view->value[(size_t)i * view->params + of[t->param[p].dimension]] = value;
            param->low = fmin(param->low, value);
            param->high = fmax(param->high, value);
            param->complete += t->state == CZ_TRIAL_COMPLETE && isfinite(t->value);
        }
    }
}

/* Stable, and of few: the most important first. */
static void order_params(study_view *view)
{
    for (int p = 0; p < view->params; p++) {
        double share = view->param[p].share;
        int at = p;
        while (at > 0) {
            double before = view->param[view->important[at - 1]].share;
            if (isnan(share) || share <= before) break;
            view->important[at] = view->important[at - 1];
            at--;
        }
        view->important[at] = p;
    }
}

cz_status study_view_make(study_view *view, const cz_trials *trials, const char *name)
{
    const char *what = "a study";
    *view = (study_view){.trials = trials, .name = name};
    size_t dimensions = (size_t)trials->dimensions + 1, count = (size_t)trials->count + 1;
    int *of = cz_alloc(dimensions, sizeof *of, what);
    view->param = cz_alloc(dimensions, sizeof *view->param, what);
    view->important = cz_alloc(dimensions, sizeof *view->important, what);
    view->ranked = cz_alloc(count, sizeof *view->ranked, what);
    view->finite = cz_alloc(count, sizeof *view->finite, what);
    bool whole = of && view->param && view->important && view->ranked && view->finite;
    cz_status status = whole ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) {
        find_params(view, of);
        view->value = cz_alloc(count * ((size_t)view->params + 1), sizeof *view->value, what);
        status = view->value ? CZ_OK : CZ_ERR_MEMORY;
    }
    if (!status) {
        fill_values(view, of);
        status = rank_trials(view);
    }
    free(of);
    if (!status) status = study_importance(view);
    if (!status) order_params(view);
    return status;
}

void study_view_free(study_view *view)
{
    free(view->param);
    free(view->value);
    free(view->ranked);
    free(view->finite);
    free(view->important);
}

/* Whether a text without its quotes would be read as something else: null, "1", "". */
static bool needs_quotes(const char *text)
{
    json_t *other = json_loads(text, JSON_DECODE_ANY, NULL);
    json_decref(other);
    return other || !*text || strchr(text, ' ') == text;
}

static void choice_text(char text[STUDY_TEXT], const char *json)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    const char *string = json_string_value(value);
    bool bare = string && !needs_quotes(string);
    snprintf(text, STUDY_TEXT, "%s", bare ? string : json);
    json_decref(value);
}

const char *study_text(char text[STUDY_TEXT], const study_param *param, double value)
{
    const cz_dimension *about = param->about;
    if (isnan(value)) snprintf(text, STUDY_TEXT, "-");
    else if (about->kind == CZ_CATEGORICAL) choice_text(text, about->choice[(int)value]);
    else if (about->kind == CZ_INTEGER && fabs(value) < 1e15)
        snprintf(text, STUDY_TEXT, "%.0f", value);
    else snprintf(text, STUDY_TEXT, "%.5g", value);
    return text;
}

double study_place(const study_param *param, double value)
{
    double low = param->low, high = param->high;
    if (isnan(value) || !(low < high)) return isnan(value) ? NAN : 0.5;
    if (param->about->log) return log(value / low) / log(high / low);
    return (value / 2 - low / 2) / (high / 2 - low / 2);
}

bool study_range(const study_view *view, bool pruned, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int i = 0; i < view->trials->count; i++) {
        const cz_trial *t = &view->trials->trial[i];
        bool counts = t->state == CZ_TRIAL_COMPLETE || (pruned && t->state == CZ_TRIAL_PRUNED);
        if (!counts || !isfinite(t->value)) continue;
        *low = fmin(*low, t->value);
        *high = fmax(*high, t->value);
    }
    return *low <= *high && isfinite(*high - *low);
}

const char *study_state(cz_trial_state state)
{
    static const char *const names[] = {[CZ_TRIAL_RUNNING] = "running",
                                        [CZ_TRIAL_COMPLETE] = "complete",
                                        [CZ_TRIAL_PRUNED] = "pruned",
                                        [CZ_TRIAL_FAILED] = "failed",
                                        [CZ_TRIAL_WAITING] = "waiting"};
    return names[state];
}

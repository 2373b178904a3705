/* The importance of a study's parameters. */
#include "fanova.h"
#include "study_view.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST = 4 };

/* The parameters that count, and the trials as a forest sees them. */
typedef struct sample {
    tree_data data;
    int *param;      /* (axes) */
    tree_axis *axis; /* (axes) */
    double *x, *y;
} sample;

static tree_axis axis_of(const study_param *param)
{
    const cz_dimension *about = param->about;
    double half = about->step / 2;
    if (about->kind == CZ_CATEGORICAL) return (tree_axis){.choices = about->choices};
    double low = param->low - half, high = param->high + half;
    return about->log ? (tree_axis){log(low), log(high), 0} : (tree_axis){low, high, 0};
}

/* Whether all trials that count have it, and not all of them the same by force. */
static bool is_common(const study_view *view, const study_param *param)
{
    return param->complete == view->complete && param->low < param->high;
}

static void fill(sample *s, const study_view *view)
{
    for (int p = 0; p < view->params; p++) {
        if (!is_common(view, &view->param[p])) continue;
        s->param[s->data.axes] = p;
        s->axis[s->data.axes++] = axis_of(&view->param[p]);
    }
    for (int i = 0; i < view->complete; i++) {
        s->y[i] = view->trials->trial[view->finite[i]].value;
        for (int a = 0; a < s->data.axes; a++) {
            double value = study_value(view, view->finite[i], s->param[a]);
            bool in_log = view->param[s->param[a]].about->log;
            s->x[(size_t)i * s->data.axes + a] = in_log ? log(value) : value;
        }
    }
}

static cz_status make(sample *s, const study_view *view)
{
    const char *what = "the importance of parameters";
    size_t params = (size_t)view->params, n = (size_t)view->complete;
    s->param = cz_alloc(params, sizeof *s->param, what);
    s->axis = cz_alloc(params, sizeof *s->axis, what);
    s->x = cz_alloc(n * params, sizeof *s->x, what);
    s->y = cz_alloc(n, sizeof *s->y, what);
    if (!s->param || !s->axis || !s->x || !s->y) return CZ_ERR_MEMORY;
    fill(s, view);
    s->data.n = view->complete;
    s->data.axis = s->axis;
    s->data.x = s->x;
    s->data.y = s->y;
    return CZ_OK;
}

/* The best and the worst value are the ends. */
static const char *why_unknown(const study_view *view)
{
    const cz_trial *trial = view->trials->trial;
    int n = view->complete, common = 0;
    for (int p = 0; p < view->params; p++) common += is_common(view, &view->param[p]);
    if (n < LEAST) return "it takes at least 4 complete trials";
    if (trial[view->finite[0]].value == trial[view->finite[n - 1]].value)
        return "all complete trials have the same value";
    return common ? NULL : "no parameter varies that all complete trials have";
}

cz_status study_importance(study_view *view)
{
    sample s = {0};
    view->unknown = why_unknown(view);
    if (view->unknown) return CZ_OK;
    cz_status status = make(&s, view);
    double *share = cz_alloc((size_t)view->params, sizeof *share, "the importance of parameters");
    if (!status && !share) status = CZ_ERR_MEMORY;
    if (!status) status = fanova(share, &s.data, 0);
    for (int p = 0; p < view->params && !status; p++)
        if (view->param[p].complete == view->complete) view->param[p].share = 0;
    for (int a = 0; a < s.data.axes && !status; a++) view->param[s.param[a]].share = share[a];
    free(share);
    free(s.param);
    free(s.axis);
    free(s.x);
    free(s.y);
    return status;
}

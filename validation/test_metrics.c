/* Every figure of a head against scikit-learn, SciPy and NumPy (make_metrics.py):
 *   test_metrics [METRICS.json]      else the committed fixture */
#include "check.h"
#include "czhpc/results.h"
#include "czhpc/status.h"

#include <jansson.h>

/* The cells of one case, their evaluations, and what is expected. */
typedef struct made_case {
    const char *name;
    cz_cells cells;
    cz_evaluation part[CZ_SPLITS]; /* validation and test */
    json_t *expected;              /* of each head */
} made_case;

static int32_t *int_list(json_t *list)
{
    size_t n = json_array_size(list);
    int32_t *values = calloc(n + 1, sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return values;
}

static float *float_list(json_t *list)
{
    size_t n = json_array_size(list);
    float *values = calloc(n + 1, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_array_get(list, i);
        values[i] = json_is_null(one) ? NAN : (float)json_number_value(one);
    }
    return values;
}

static void read_column(cz_column *column, json_t *c, const char *name, const char *classes)
{
    snprintf(column->name, sizeof column->name, "%s", name);
    column->classes = (int)json_integer_value(json_object_get(c, classes));
    column->code = int_list(json_object_get(c, name));
}

static void read_cells(cz_cells *cells, json_t *c)
{
    static const char *const measure[] = {"counts", "percentage", "constant"};
    int32_t *split = int_list(json_object_get(c, "split"));
    *cells = (cz_cells){.n = (int)json_array_size(json_object_get(c, "split")),
                        .adversaries = 1,
                        .measures = sizeof measure / sizeof *measure};
    cells->split = calloc((size_t)cells->n, 1);
    for (int i = 0; i < cells->n; i++) cells->split[i] = (uint8_t)split[i];
    free(split);
    read_column(&cells->target, c, "target", "classes");
    read_column(&cells->label, c, "label", "labels");
    read_column(&cells->adversary[0], c, "adversary", "adversaries");
    cells->measure = float_list(json_object_get(c, "measure"));
    for (int m = 0; m < cells->measures; m++)
        snprintf(cells->measure_name[m], sizeof cells->measure_name[m], "%s", measure[m]);
}

static void read_part(cz_evaluation *e, const cz_cells *cells, json_t *c, cz_split part,
                      const char *name)
{
    *e = (cz_evaluation){.heads = 2, .row = calloc((size_t)cells->n, sizeof *e->row)};
    for (int i = 0; i < cells->n; i++)
        if (cells->split[i] == part) e->row[e->n++] = i;
    for (int h = 0; h < 2; h++) {
        json_t *best = json_array_get(json_object_get(c, "best"), (size_t)h);
        json_t *log_prob = json_array_get(json_object_get(c, "log_prob"), (size_t)h);
        e->best[h] = int_list(json_object_get(best, name));
        e->log_prob[h] = float_list(json_object_get(log_prob, name));
    }
}

static void read_case(made_case *made, json_t *c)
{
    made->name = json_string_value(json_object_get(c, "name"));
    made->expected = json_object_get(c, "expected");
    read_cells(&made->cells, c);
    read_part(&made->part[CZ_VALIDATION], &made->cells, c, CZ_VALIDATION, "validation");
    read_part(&made->part[CZ_TEST], &made->cells, c, CZ_TEST, "test");
}

static void free_case(made_case *made)
{
    cz_evaluation_free(&made->part[CZ_VALIDATION]);
    cz_evaluation_free(&made->part[CZ_TEST]);
    cz_cells_free(&made->cells);
}

/* The largest gap met so far, and the figure that had it. */
typedef struct widest {
    double gap;
    const char *figure;
} widest;

static void compare(widest *w, const char *figure, double got, json_t *expected)
{
    double want = json_is_number(expected) ? json_number_value(expected) : (double)NAN;
    double gap = fabs(got - want) / fmax(1, fabs(want));
    if (isnan(got) && json_is_null(expected)) return;
    if (isnan(gap)) gap = INFINITY;
    if (gap > w->gap) *w = (widest){gap, figure};
}

static void compare_share(widest *w, const char *figure, const cz_share *got, json_t *expected)
{
    double all[] = {got->n, got->value, got->low, got->high};
    for (size_t i = 0; i < 4; i++) compare(w, figure, all[i], json_array_get(expected, i));
}

static void compare_bins(widest *w, const char *figure, const cz_bin *bin, json_t *expected)
{
    for (size_t b = 0; b < CZ_BINS; b++) {
        double all[] = {bin[b].n, bin[b].confidence, bin[b].accuracy};
        json_t *one = json_array_get(expected, b);
        for (size_t i = 0; i < 3; i++) compare(w, figure, all[i], json_array_get(one, i));
    }
}

static void compare_classes(widest *w, const cz_head_result *r, json_t *expected)
{
    json_t *of_class = json_object_get(expected, "of_class");
    json_t *confusion = json_object_get(expected, "confusion");
    for (size_t c = 0; c < json_array_size(of_class); c++) {
        const cz_class_result *one = &r->of_class[c];
        json_t *all = json_array_get(of_class, c), *row = json_array_get(confusion, c);
        compare_share(w, "recall", &one->recall, json_array_get(all, 0));
        compare(w, "predicted", one->predicted, json_array_get(all, 1));
        compare(w, "precision", one->precision, json_array_get(all, 2));
        compare(w, "f1", one->f1, json_array_get(all, 3));
        compare(w, "auroc", one->auroc, json_array_get(all, 4));
        for (size_t k = 0; k < (size_t)r->classes; k++)
            compare(w, "confusion", r->confusion[c * (size_t)r->classes + k],
                    json_array_get(row, k));
    }
}

static widest compare_head(const cz_head_result *r, json_t *expected)
{
    widest w = {0, "none"};
    json_t *plain = json_object_get(expected, "plain"),
           *scaled = json_object_get(expected, "scaled");
    compare(&w, "n", r->n, json_object_get(expected, "n"));
    compare_share(&w, "accuracy", &r->accuracy, json_object_get(expected, "accuracy"));
    compare(&w, "balanced_accuracy", r->balanced_accuracy,
            json_object_get(expected, "balanced_accuracy"));
    compare(&w, "macro_f1", r->macro_f1, json_object_get(expected, "macro_f1"));
    compare(&w, "macro_auroc", r->macro_auroc, json_object_get(expected, "macro_auroc"));
    compare(&w, "top3", r->top3, json_object_get(expected, "top3"));
    compare(&w, "loss", r->loss, json_array_get(plain, 0));
    compare(&w, "brier", r->brier, json_array_get(plain, 1));
    compare(&w, "calibration_error", r->calibration_error, json_array_get(plain, 2));
    compare(&w, "temperature", r->temperature, json_object_get(expected, "temperature"));
    compare(&w, "scaled_loss", r->scaled_loss, json_array_get(scaled, 0));
    compare(&w, "scaled_brier", r->scaled_brier, json_array_get(scaled, 1));
    compare(&w, "scaled_calibration_error", r->scaled_calibration_error, json_array_get(scaled, 2));
    compare_bins(&w, "bins", r->bin, json_object_get(expected, "bins"));
    compare_bins(&w, "scaled bins", r->scaled_bin, json_object_get(expected, "scaled_bins"));
    compare_share(&w, "majority", &r->majority, json_object_get(expected, "majority"));
    compare_classes(&w, r, expected);
    return w;
}

static void check_case(const made_case *made)
{
    cz_results results;
    if (!check(!cz_results_make(&results, &made->part[CZ_TEST], &made->part[CZ_VALIDATION],
                                &made->cells),
               "%s: figures are made %s", made->name, cz_error_message()))
        return;
    for (int h = 0; h < 2; h++) {
        const cz_head_result *r = &results.head[h];
        json_t *expected = json_array_get(made->expected, (size_t)h);
        widest w = compare_head(r, expected);
        if (h == 0) {
            json_t *of_label = json_object_get(expected, "of_label");
            compare_share(&w, "from_label", &r->from_label,
                          json_object_get(expected, "from_label"));
            compare_share(&w, "from_quality", &r->from_quality,
                          json_object_get(expected, "from_quality"));
            for (size_t l = 0; l < json_array_size(of_label); l++)
                compare_share(&w, "of_label", &results.of_label[l], json_array_get(of_label, l));
        } else {
            compare_share(&w, "floor", &r->floor, json_object_get(expected, "floor"));
        }
        check(w.gap < TOL_METRICS, "%s: %s, %d classes, %d cells: largest gap %.1e (%s)",
              made->name, r->name, r->classes, r->n, w.gap, w.figure);
    }
    cz_results_free(&results);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "validation/fixtures/metrics.json";
    json_error_t error;
    json_t *all = json_load_file(path, 0, &error), *one;
    size_t i;
    MPI_Init(&argc, &argv); /* the discriminant's sums are collective, over this process alone */
    check(json_array_size(all) > 0, "%s: %zu cases %s", path, json_array_size(all), error.text);
    json_array_foreach(all, i, one)
    {
        made_case made;
        read_case(&made, one);
        check_case(&made);
        free_case(&made);
    }
    json_decref(all);
    MPI_Finalize();
    return check_done();
}

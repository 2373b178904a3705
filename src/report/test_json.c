/* The figures of the test cells, for summary.json. */
#include "summary.h"
#include "words.h"

static void set_number(json_t *to, const char *key, double value)
{
    json_object_set_new(to, key, number_json(value));
}

/* KEY and KEY_interval; n stands beside them once. */
static void set_share(json_t *to, const char *key, const cz_share *share)
{
    char interval[64];
    snprintf(interval, sizeof interval, "%s_interval", key);
    set_number(to, key, share->value);
    json_object_set_new(to, interval,
                        json_pack("[o, o]", number_json(share->low), number_json(share->high)));
}

static json_t *class_json(const cz_class_result *one, const char *name)
{
    json_t *j = json_object();
    json_object_set_new(j, "name", text_json(name));
    json_object_set_new(j, "n", json_integer(one->recall.n));
    set_share(j, "recall", &one->recall);
    json_object_set_new(j, "predicted", json_integer(one->predicted));
    set_number(j, "precision", one->precision);
    set_number(j, "f1", one->f1);
    set_number(j, "auroc", one->auroc);
    return j;
}

static json_t *bins_json(const cz_bin *bin)
{
    json_t *all = json_array();
    for (int b = 0; b < CZ_BINS; b++)
        json_array_append_new(all, json_pack("{s:i, s:o, s:o}", "n", bin[b].n, "confidence",
                                             number_json(bin[b].confidence), "accuracy",
                                             number_json(bin[b].accuracy)));
    return all;
}

static void set_scores(json_t *j, const cz_head_result *r)
{
    set_share(j, "accuracy", &r->accuracy);
    set_number(j, "balanced_accuracy", r->balanced_accuracy);
    set_number(j, "macro_f1", r->macro_f1);
    set_number(j, "macro_auroc", r->macro_auroc);
    set_number(j, "top3", r->top3);
    set_number(j, "loss", r->loss);
    set_number(j, "brier", r->brier);
    set_number(j, "calibration_error", r->calibration_error);
    set_number(j, "temperature", r->temperature);
    set_number(j, "scaled_loss", r->scaled_loss);
    set_number(j, "scaled_brier", r->scaled_brier);
    set_number(j, "scaled_calibration_error", r->scaled_calibration_error);
}

static void set_baselines(json_t *j, const cz_head_result *r, const cz_optimum *optimum)
{
    set_number(j, "chance", r->chance);
    set_share(j, "majority", &r->majority);
    if (r->adversary) {
        set_share(j, "floor", &r->floor);
        return;
    }
    set_share(j, "from_label", &r->from_label);
    set_share(j, "from_quality", &r->from_quality);
    set_number(j, "bayes", optimum->with_label);
    set_number(j, "bayes_without_label", optimum->without_label);
    set_number(j, "linear_discriminant", optimum->discriminant);
}

static json_t *head_json(const cz_head_result *r, const cz_column *column,
                         const cz_optimum *optimum)
{
    json_t *j = json_object(), *classes = json_array();
    json_object_set_new(j, "name", text_json(r->name));
    json_object_set_new(j, "role", json_string(r->adversary ? "adversary" : "target"));
    json_object_set_new(j, "classes", json_integer(r->classes));
    json_object_set_new(j, "n", json_integer(r->n));
    set_scores(j, r);
    set_baselines(j, r, optimum);
    for (int c = 0; c < r->classes; c++)
        json_array_append_new(classes, class_json(&r->of_class[c], column->class_name[c]));
    json_object_set_new(j, "per_class", classes);
    json_object_set_new(j, "reliability", bins_json(r->bin));
    json_object_set_new(j, "scaled_reliability", bins_json(r->scaled_bin));
    return j;
}

static json_t *label_json(const cz_share *share, const char *name)
{
    json_t *j = json_object();
    json_object_set_new(j, "name", text_json(name));
    json_object_set_new(j, "n", json_integer(share->n));
    set_share(j, "accuracy", share);
    return j;
}

json_t *test_json(const cz_summary *s)
{
    const cz_column *label = &s->cells->label;
    json_t *heads = json_array(), *labels = json_array();
    for (int h = 0; h < s->results->heads; h++)
        json_array_append_new(
            heads, head_json(&s->results->head[h], cz_head_column(s->cells, h), &s->optimum));
    for (int l = 0; l < label->classes; l++)
        json_array_append_new(labels, label_json(&s->results->of_label[l], label->class_name[l]));
    return json_pack("{s:o, s:o}", "heads", heads, "per_label", labels);
}

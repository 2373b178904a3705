/* The figures of the test cells as tables of at most 100 columns. */
#include "metrics.h"
#include "summary.h"
#include "words.h"

#include "czhpc/log.h"

#include <math.h>

enum { NAME = 24, WHAT = 48 };

/* A number in `width` columns, "-" where undefined. */
static const char *figure(char buffer[32], double value, int width, int digits)
{
    if (isfinite(value)) snprintf(buffer, 32, "%*.*f", width, digits, value);
    else snprintf(buffer, 32, "%*s", width, "-");
    return buffer;
}

/* "70.13 [67.97, 72.20]", "-" where undefined. */
static const char *interval(char buffer[64], const cz_share *share)
{
    if (share->n)
        snprintf(buffer, 64, "%6.2f [%.2f, %.2f]", 100 * share->value, 100 * share->low,
                 100 * share->high);
    else snprintf(buffer, 64, "%6s", "-");
    return buffer;
}

static const char *head_name(char buffer[SHOWN_MAX], const cz_head_result *r)
{
    char name[CZ_NAME_MAX + 16];
    snprintf(name, sizeof name, "%s%s", r->name, r->adversary ? " (held out)" : "");
    return shown(buffer, name, NAME);
}

static void print_scores(const cz_results *results)
{
    cz_note("  %*s %7s %-23s %8s %8s %11s %7s", -NAME, "shares in %", "n", "accuracy [95 %]",
            "balanced", "macro-F1", "macro-AUROC", "top-3");
    for (int h = 0; h < results->heads; h++) {
        const cz_head_result *r = &results->head[h];
        char name[SHOWN_MAX], share[64], number[4][32];
        cz_note("  %s %7d %-23s %s %s %s %s", head_name(name, r), r->n,
                interval(share, &r->accuracy), figure(number[0], 100 * r->balanced_accuracy, 9, 2),
                figure(number[1], 100 * r->macro_f1, 8, 2),
                figure(number[2], r->macro_auroc, 11, 4), figure(number[3], 100 * r->top3, 7, 2));
    }
}

static void print_quality(const char *name, double loss, double brier, double error)
{
    char shown_name[SHOWN_MAX], number[3][32];
    cz_note("  %s %s %s %s", shown(shown_name, name, WHAT), figure(number[0], loss, 8, 4),
            figure(number[1], brier, 8, 4), figure(number[2], error, 19, 4));
}

static void print_probabilities(const cz_results *results)
{
    cz_note("  %*s %8s %8s %19s", -WHAT, "probabilities", "loss", "Brier", "calibration error");
    for (int h = 0; h < results->heads; h++) {
        const cz_head_result *r = &results->head[h];
        char scaled[96], name[SHOWN_MAX];
        print_quality(head_name(name, r), r->loss, r->brier, r->calibration_error);
        if (!isfinite(r->temperature)) continue;
        snprintf(scaled, sizeof scaled, "  logits over T = %.3f, fitted on validation",
                 r->temperature);
        print_quality(scaled, r->scaled_loss, r->scaled_brier, r->scaled_calibration_error);
    }
}

static void print_baseline(const char *text, const cz_share *share)
{
    char name[SHOWN_MAX], value[64];
    if (share->n)
        cz_note("    %s %7d %s", shown(name, text, WHAT), share->n, interval(value, share));
}

/* An accuracy on the n known test cells; NAN is not printed. */
static void print_accuracy(const char *text, double accuracy, int n)
{
    if (!isfinite(accuracy)) return;
    cz_share share = share_of((int)lround(accuracy * n), n);
    print_baseline(text, &share);
}

static void print_baselines(const cz_head_result *r, const cz_summary *s)
{
    char text[CZ_NAME_MAX + 64], name[SHOWN_MAX];
    cz_note("  %s to be held against", head_name(name, r));
    snprintf(text, sizeof text, "chance, 1 of %d classes", r->classes);
    cz_note("    %s %7s %6.2f", shown(name, text, WHAT), "", 100 * r->chance);
    print_baseline("always the commonest class of training", &r->majority);
    snprintf(text, sizeof text, "the commonest of the predicted %s: floor", s->cells->target.name);
    print_baseline(text, &r->floor);
    if (r->adversary) return;
    snprintf(text, sizeof text, "the commonest of the cell's %s", s->cells->label.name);
    print_baseline(text, &r->from_label);
    print_baseline("depth and quality alone, linear discriminant", &r->from_quality);
    print_accuracy("features and label, linear discriminant", s->optimum.discriminant, r->n);
    print_accuracy("best possible without the label", s->optimum.without_label, r->n);
    print_accuracy("best possible with the label", s->optimum.with_label, r->n);
}

void test_print(const cz_summary *s)
{
    print_scores(s->results);
    print_probabilities(s->results);
    for (int h = 0; h < s->results->heads; h++) print_baselines(&s->results->head[h], s);
}

/* Which epoch is the best, and when to stop. */
#include "trainer.h"

/* The reference's rule: training accuracy rose while validation (and test accuracy, where it is
 * known) fell. It stops after three such epochs in a row, the default of train.patience. */
static void reference_rule(cz_trainer *t, const cz_epoch_report *r)
{
    double *last = t->progress.partial;
    bool worse = r->epoch > 1 && r->train.accuracy[0] > last[LAST_TRAIN] &&
                 r->validation.accuracy[0] < last[LAST_VALIDATION] &&
                 (!r->has_test || r->test.accuracy[0] < last[LAST_TEST]);
    t->progress.stale = worse ? t->progress.stale + 1 : 0;
}

static void patience_rule(cz_trainer *t, const cz_epoch_report *r)
{
    /* LAST_VALIDATION keeps the lowest validation loss. */
    double *lowest = &t->progress.partial[LAST_VALIDATION];
    bool improved = r->epoch == 1 || r->validation.loss[0] < *lowest;
    if (improved) *lowest = r->validation.loss[0];
    t->progress.stale = improved ? 0 : t->progress.stale + 1;
}

void stopping_update(cz_trainer *t, const cz_epoch_report *r, bool *best, bool *stop)
{
    const cz_config *config = t->setup.config;
    double value =
        config->eval.select == CZ_SELECT_TEST ? r->test.accuracy[0] : r->validation.accuracy[0];
    *best = t->progress.best_epoch < 0 || value > t->progress.best_value;
    if (*best) {
        t->progress.best_epoch = r->epoch - 1;
        t->progress.best_value = value;
    }
    double *last = t->progress.partial;
    if (config->train.stopping == CZ_STOPPING_REFERENCE) {
        reference_rule(t, r);
        last[LAST_TRAIN] = r->train.accuracy[0];
        last[LAST_VALIDATION] = r->validation.accuracy[0];
        last[LAST_TEST] = r->test.accuracy[0];
    } else if (config->train.stopping == CZ_STOPPING_PATIENCE) {
        patience_rule(t, r);
    }
    *stop =
        config->train.stopping != CZ_STOPPING_NONE && t->progress.stale >= config->train.patience;
}

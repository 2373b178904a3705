#include "czhpc/study.h"

#include <math.h>
#include <string.h>

double cz_trial_param(const cz_trials *trials, const cz_trial *trial, const char *name)
{
    for (int i = 0; i < trial->params; i++)
        if (!strcmp(trials->dimension[trial->param[i].dimension].name, name))
            return trial->param[i].value;
    return NAN;
}

int cz_trials_best(const cz_trials *trials)
{
    int best = -1;
    for (int i = 0; i < trials->count; i++) {
        const cz_trial *trial = &trials->trial[i];
        if (trial->state != CZ_TRIAL_COMPLETE || isnan(trial->value)) continue;
        double record = best < 0 ? NAN : trials->trial[best].value;
        bool better = trials->maximise ? trial->value > record : trial->value < record;
        if (best < 0 || better) best = i;
    }
    return best;
}

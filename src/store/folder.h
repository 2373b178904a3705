/* The files of a folder of checkpoints, as rank 0 sees them: names, order, retention.
 *
 *   phase-P-epoch-EEE-step-SSSSSS.h5   a state; the order of names is that of training
 *   best.h5                            a hard link to (or copy of) the best of them
 *   latest                             one line: the name of the newest
 *   *.tmp                              being written, or left by a run that was killed
 * Private to src/store. */
#ifndef CZ_STORE_FOLDER_H
#define CZ_STORE_FOLDER_H

#include "czhpc/status.h"

enum { CZ_STATE_NAME = 96 };
typedef struct cz_state_name {
    int phase, epoch, step; /* best.h5: all -1 */
    char text[CZ_STATE_NAME];
} cz_state_name;

/* The name of a state. */
cz_state_name cz_folder_name(int phase, int epoch, int step);

/* The states of a folder in the order in which they are to be tried: the one that `latest`
 * names, older ones from new to old, then newer ones (which a killed run had not yet made
 * official), then best.h5. `names` (count) is for the caller to free(); none where there is
 * no such folder. CZ_ERR_INPUT: the folder cannot be read. Local. */
cz_status cz_folder_list(cz_state_name **names, int *count, const char *folder);

/* Removes what a killed run left half written. Local. */
cz_status cz_folder_clean(const char *folder);

/* Makes `name` the best: best.h5 is replaced at once. Local. CZ_ERR_IO. */
cz_status cz_folder_set_best(const char *folder, const cz_state_name *name);

/* Makes `name` the latest, then removes all states but the last `keep` up to it: older ones,
 * and newer ones, which belong to a course that was given up when an earlier state was
 * resumed. Local. CZ_ERR_IO. */
cz_status cz_folder_set_latest(const char *folder, const cz_state_name *name, int keep);

#endif

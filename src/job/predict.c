/* The predictions of all cells: those of validation and test are there; the training cells, most of
 * a large file, are evaluated in pieces, so that memory stays bounded. */
#include "czhpc/profile.h"
#include "czhpc/report.h"
#include "room.h"

#include <stdlib.h>

/* The next rows from `at` that hold at most CZ_PREDICTED_CELLS training cells, which `row` lists;
 * returns their end. */
static int next_piece(int32_t *row, int *count, const cz_cells *cells, int at)
{
    *count = 0;
    for (; at < cells->n; at++) {
        if (cells->split[at] != CZ_TRAIN) continue;
        if (*count == CZ_PREDICTED_CELLS) break;
        row[(*count)++] = at;
    }
    return at;
}

cz_status write_predictions(const char *path, cz_trainer *trainer, const cz_cells *cells,
                            const cz_evaluation *validation, const cz_evaluation *test,
                            const cz_comm *comm)
{
    CZ_PHASE("predictions");
    cz_predictions *out = NULL;
    int next[CZ_SPLITS] = {0}, count;
    int32_t *row = cz_alloc(CZ_PREDICTED_CELLS, sizeof *row, "the cells to predict");
    cz_status status = row ? CZ_OK : CZ_ERR_MEMORY;
    if (!status && comm->rank == 0) status = cz_predictions_open(&out, path, cells);
    status = cz_comm_agree(comm, status);
    for (int begin = 0, end; begin < cells->n && !status; begin = end) {
        cz_evaluation train = {0};
        end = next_piece(row, &count, cells, begin);
        status = cz_trainer_evaluate_rows(trainer, row, count, &train);
        const cz_evaluation *of[CZ_SPLITS] = {&train, validation, test};
        next[CZ_TRAIN] = 0;
        for (int i = begin; i < end && !status && comm->rank == 0; i++) {
            int part = cells->split[i];
            cz_predictions_add(out, of[part], next[part]++);
        }
        cz_evaluation_free(&train);
    }
    if (status) cz_predictions_close(out, false);
    else status = cz_comm_agree(comm, cz_predictions_close(out, true));
    free(row);
    return status;
}

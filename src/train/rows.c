/* Cells brought to the rank that computes on them. */
#include "trainer.h"

#include <stdlib.h>

static cz_status resize(void **array, int count, size_t size)
{
    void *larger = realloc(*array, (size_t)(count ? count : 1) * size);
    if (!larger) return cz_fail(CZ_ERR_MEMORY, "no memory for %d cells: use more ranks", count);
    *array = larger;
    return CZ_OK;
}

int portion_cells(int width, int unit)
{
    const int64_t bytes = 8 << 20;
    int64_t units = bytes / ((int64_t)width * (int64_t)sizeof(float) * unit);
    return unit * (int)(units > 1 ? units : 1);
}

cz_status row_set_reserve(row_set *set, const cz_trainer *t, int capacity)
{
    size_t width = (size_t)t->setup.cells->width;
    if (capacity <= set->capacity) return CZ_OK;
    CZ_TRY(resize((void **)&set->x, capacity, width * sizeof *set->x));
    CZ_TRY(resize((void **)&set->row, capacity, sizeof *set->row));
    CZ_TRY(resize((void **)&set->place, capacity, sizeof *set->place));
    CZ_TRY(resize((void **)&set->cell, capacity, sizeof *set->cell));
    CZ_TRY(resize((void **)&set->label, capacity, sizeof *set->label));
    for (int h = 0; h < t->heads; h++)
        CZ_TRY(resize((void **)&set->code[h], capacity, sizeof **set->code));
    set->capacity = capacity;
    return CZ_OK;
}

cz_status row_set_fill(row_set *set, const cz_trainer *t)
{
    const cz_cells *cells = t->setup.cells;
    for (int i = 0; i < set->count; i++) {
        int row = set->row[i];
        set->place[i] = i;
        set->cell[i] = (uint32_t)row;
        set->label[i] = cells->label.code[row];
        for (int h = 0; h < t->heads; h++) set->code[h][i] = cz_head_column(cells, h)->code[row];
    }
    return cz_comm_fetch_rows(t->setup.comm, set->x, set->row, set->count, cells->x, cells->begin,
                              (size_t)cells->width * sizeof *cells->x);
}

void row_set_free(row_set *set)
{
    free(set->x);
    free(set->row);
    free(set->place);
    free(set->cell);
    free(set->label);
    for (int h = 0; h < CZ_MAX_HEADS; h++) free(set->code[h]);
    *set = (row_set){0};
}

cz_batch row_set_batch(const row_set *set, const cz_trainer *t, int begin, int end)
{
    cz_batch batch = {
        .cells = end - begin,
        .x = cz_matrix(set->x, CZ_F32, set->count, t->setup.cells->width),
        .row = set->place + begin,
        .cell = set->cell + begin,
        .label = set->label + begin,
    };
    for (int h = 0; h < t->heads; h++) batch.code[h] = set->code[h] + begin;
    return batch;
}

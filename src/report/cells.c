#include "cells.h"

#include "csv.h"
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "words.h"

#include <stdlib.h>

const char *split_name(cz_split part)
{
    static const char *const name[CZ_SPLITS] = {"train", "validation", "test"};
    return name[part];
}

int split_count(const cz_cells *cells, cz_split part)
{
    int count = 0;
    for (int i = 0; i < cells->n; i++) count += cells->split[i] == part;
    return count;
}

const char *cell_name(const cz_cells *cells, int row, char *buffer, size_t size)
{
    if (cells->cell_name && cells->cell_name[row]) return cells->cell_name[row];
    snprintf(buffer, size, "%d", row);
    return buffer;
}

static void print_column(const cz_column *column, const cz_cells *cells)
{
    enum { SHOWN = 20 };
    int *count = calloc((size_t)column->classes + 1, sizeof *count);
    char name[SHOWN_MAX];
    if (!count) return;
    for (int i = 0; i < cells->n; i++)
        count[column->code[i] < 0 ? column->classes : column->code[i]]++;
    cz_log("%s: %d classes", column->name, column->classes);
    for (int c = 0; c < column->classes && c < SHOWN; c++)
        cz_log("  %7d  %s", count[c], shown(name, column->class_name[c], 60));
    if (column->classes > SHOWN) cz_log("  and %d more", column->classes - SHOWN);
    if (count[column->classes]) cz_log("  %7d  unknown", count[column->classes]);
    free(count);
}

void cz_cells_print(const cz_cells *cells, const cz_config *config)
{
    const cz_data_facts *f = &cells->facts;
    cz_note("Cells        %d from %s", cells->n, f->source);
    if (f->dropped) cz_note("Left out     %d of %d cells", f->dropped, f->read);
    cz_note("Features     %s", f->features);
    cz_note("%-12s %d classes", cells->target.name, cells->target.classes);
    cz_note("%-12s %d classes%s", cells->label.name, cells->label.classes,
            config->model.text ? "" : " (not used: text is disabled)");
    for (int a = 0; a < cells->adversaries; a++)
        cz_note("%-12s %d classes, held out", cells->adversary[a].name,
                cells->adversary[a].classes);
    cz_note("Split        %s: %d train, %d validation, %d test", config->split.method,
            split_count(cells, CZ_TRAIN), split_count(cells, CZ_VALIDATION),
            split_count(cells, CZ_TEST));
    for (int r = 0; r < f->rules; r++)
        cz_note("%-12s %s: %s", r ? "" : "Rules", f->rule[r].name, f->rule[r].text);
    print_column(&cells->target, cells);
    print_column(&cells->label, cells);
    for (int a = 0; a < cells->adversaries; a++) print_column(&cells->adversary[a], cells);
}

json_t *data_json(const cz_cells *cells)
{
    const cz_data_facts *f = &cells->facts;
    json_t *rules = json_array();
    for (int r = 0; r < f->rules; r++)
        json_array_append_new(rules, json_pack("{s:s, s:I, s:o}", "name", f->rule[r].name, "count",
                                               (json_int_t)f->rule[r].count, "text",
                                               text_json(f->rule[r].text)));
    return json_pack("{s:i, s:i, s:o, s:o}", "read", f->read, "left_out", f->dropped, "features",
                     text_json(f->features), "rules", rules);
}

cz_status cz_split_write(const char *path, const cz_cells *cells)
{
    cz_new_file file;
    CZ_TRY(cz_new_file_open(&file, path));
    FILE *out = file.out;
    fputs("cell,split\n", out);
    for (int i = 0; i < cells->n; i++) {
        char number[24];
        csv_text(out, "", cell_name(cells, i, number, sizeof number), ",");
        fputs(split_name(cells->split[i]), out);
        fputc('\n', out);
    }
    return cz_new_file_close(&file);
}

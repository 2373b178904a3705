/* Where attention goes: the latents on the tokens of a cell, these on the tokens of its text; where
 * there is a choice. */
#include "clustering.h"
#include "figures.h"
#include "heatmap.h"

#include <stdlib.h>

typedef struct axis_numbers {
    char (*text)[16];
    char **name;
} axis_numbers;

/* "1", "2", ... in an order, NULL: as they come. */
static cz_status number_axis(axis_numbers *axis, const int *order, int count)
{
    axis->text = cz_alloc((size_t)count, sizeof *axis->text, "the names in a figure");
    axis->name = cz_alloc((size_t)count, sizeof *axis->name, "the names in a figure");
    if (!axis->text || !axis->name) return CZ_ERR_MEMORY;
    for (int i = 0; i < count; i++) {
        snprintf(axis->text[i], sizeof *axis->text, "%d", (order ? order[i] : i) + 1);
        axis->name[i] = axis->text[i];
    }
    return CZ_OK;
}

static void axis_free(axis_numbers *axis)
{
    free(axis->text);
    free(axis->name);
}

/* Colours tell the values apart, but do not blow up less than a tenth of the even share. */
static void choose_range(heatmap *map, double even)
{
    size_t n = (size_t)map->row.count * map->column.count;
    map->low = 0.9 * even;
    map->high = 1.1 * even;
    for (size_t i = 0; i < n; i++) {
        if (map->value[i] < map->low) map->low = map->value[i];
        if (map->value[i] > map->high) map->high = map->value[i];
    }
}

/* Numbers the rows, in an order, and the columns of a map whose rows sum to 1, and writes it. */
static cz_status write_map(figure_list *list, const char *name, heatmap map, const int *order)
{
    axis_numbers rows = {0}, columns = {0};
    char title[96];
    double even = 1.0 / map.column.count;
    cz_status status = number_axis(&rows, order, map.row.count);
    if (!status) status = number_axis(&columns, NULL, map.column.count);
    snprintf(title, sizeof title, "%s (even share: %.3g)", map.column.title, even);
    map.column.title = title;
    map.scale = "share of attention";
    map.row.name = rows.name;
    map.column.name = columns.name;
    choose_range(&map, even);
    if (!status) status = heatmap_write(list, name, &map);
    axis_free(&rows);
    axis_free(&columns);
    return status;
}

static cz_status write_latents(figure_list *list, const cz_attention *a)
{
    size_t rows = (size_t)a->latents, columns = (size_t)a->tokens;
    int *order = cz_alloc(rows, sizeof *order, "the order of latents");
    double *value = cz_alloc(rows * columns, sizeof *value, "attention in order");
    cz_status status = order && value ? CZ_OK : CZ_ERR_MEMORY;
    if (!status) status = cluster_order(order, a->resampler, a->latents, a->tokens);
    for (size_t i = 0; i < rows * columns && !status; i++)
        value[i] = a->resampler[(size_t)order[i / columns] * columns + i % columns];
    heatmap map = {.width = a->tokens > 24 ? FIGURE_PAGE : FIGURE_COLUMN,
                   .title = "Attention of latents on tokens, mean over heads",
                   .row = {"latent (clustered)", a->latents, NULL},
                   .column = {"token of the expression", a->tokens, NULL},
                   .value = value};
    if (!status) status = write_map(list, "perceiver_attention_heatmap", map, order);
    free(order);
    free(value);
    return status;
}

cz_status attention_write(figure_list *list, const cz_attention *attention)
{
    if (attention->latents > 0 && attention->tokens > 1) CZ_TRY(write_latents(list, attention));
    if (!attention->fusion || attention->text_tokens < 2) return CZ_OK;
    heatmap map = {.width = attention->text_tokens > 24 ? FIGURE_PAGE : FIGURE_COLUMN,
                   .title = "Attention of expression on text, mean over heads",
                   .row = {"token of the expression", attention->tokens, NULL},
                   .column = {"token of the text", attention->text_tokens, NULL},
                   .value = attention->fusion};
    return write_map(list, "text_attention_heatmap", map, NULL);
}

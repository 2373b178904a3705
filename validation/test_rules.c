/* The rules on which cells stay, and the splits, on tables made by hand. */
#include "../src/data/column.h"
#include "../src/data/rules.h"
#include "check.h"
#include "czhpc/rng.h"

enum { MOST = 4000 };

static uint8_t keep[MOST];

/* A column of n cells: one word of `words` each, "-" = missing, in turns. */
static cz_column column_of(const char *name, const char *words, int n)
{
    cz_column column = {0};
    char text[1024], *word[64], *rest = NULL;
    int count = 0;
    snprintf(text, sizeof text, "%s", words);
    for (char *w = strtok_r(text, ",", &rest); w; w = strtok_r(NULL, ",", &rest)) word[count++] = w;
    snprintf(column.name, sizeof column.name, "%s", name);
    column.code = calloc((size_t)n, sizeof *column.code);
    column.class_name = calloc((size_t)count, sizeof *column.class_name);
    for (int i = 0; i < n; i++) {
        const char *w = word[i % count];
        int k = 0;
        while (k < column.classes && strcmp(column.class_name[k], w) != 0) k++;
        column.code[i] = strcmp(w, "-") ? k : -1;
        if (column.code[i] == column.classes) column.class_name[column.classes++] = strdup(w);
    }
    return column;
}

static cz_config defaults(void)
{
    cz_config config;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_H5AD;
    return config;
}

/* n cells of the donors and sexes, every row another. */
static cz_cells cells_of(int n, const char *donors, const char *sexes)
{
    cz_cells cells = {.n = n, .facts.read = n, .facts.source = "hand.h5ad"};
    cells.target = column_of("donor_id", donors, n);
    cells.label = column_of("cell_type", "T cell,B cell", n);
    if (sexes) cells.adversary[cells.adversaries++] = column_of("sex", sexes, n);
    cells.row_hash = calloc((size_t)n, sizeof *cells.row_hash);
    cells.cell_name = calloc((size_t)n, sizeof *cells.cell_name);
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "cell_%d", i);
        cells.cell_name[i] = strdup(name);
        cells.row_hash[i] = cz_hash(0, name, strlen(name));
    }
    return cells;
}

/* The line of a rule, "" if it said nothing. */
static const char *said(const cz_cells *cells, const char *rule)
{
    for (int r = 0; r < cells->facts.rules; r++)
        if (!strcmp(cells->facts.rule[r].name, rule)) return cells->facts.rule[r].text;
    return "";
}

static bool says(const cz_cells *cells, const char *rule, const char *text)
{
    if (!strcmp(said(cells, rule), text)) return true;
    printf("     %s: '%s', expected '%s'\n", rule, said(cells, rule), text);
    return false;
}

static bool refused(cz_status got, cz_status expected, const char *words)
{
    bool right = got == expected && strstr(cz_error_message(), words);
    if (!right) printf("     status %d: '%s', expected '%s'\n", got, cz_error_message(), words);
    cz_error_clear();
    return right;
}

static void check_review(void)
{
    cz_config config = defaults();
    uint8_t empty[10] = {0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    cz_cells cells = cells_of(10, "a,b,c,a,b", "male,female");
    cells.begin = calloc(4, sizeof *cells.begin);
    memcpy(cells.begin, (int32_t[]){0, 3, 6, 10}, 4 * sizeof *cells.begin);
    cells.row_hash[8] = cells.row_hash[1]; /* both of donor b */
    config.data.missing = CZ_MISSING_ERROR;
    check(refused(rules_review(&cells, keep, empty, &config), CZ_ERR_INPUT,
                  "1 of 10 cells have no counts above 0: data.missing=drop"),
          "cells without counts are refused, with the remedy");
    config.data.missing = CZ_MISSING_DROP;
    config.data.duplicates = CZ_DUPLICATES_DROP;
    config.data.min_cells = 2;
    bool right = !rules_review(&cells, keep, empty, &config);
    check(right && !memcmp(keep, (uint8_t[]){1, 1, 0, 1, 1, 1, 1, 0, 0, 1}, 10),
          "left out: no counts, a duplicate, a class that is then too small");
    check(says(&cells, "no counts", "1 of 10 cells left out: no counts above 0") &&
              says(&cells, "duplicates",
                   "1 of 9 cells left out: their features equal an earlier cell's") &&
              says(&cells, "minimal cells",
                   "1 of 8 cells left out: 1 classes of donor_id have fewer than 2: c"),
          "each with its line");
    right = !cells_keep(&cells, keep, 3);
    check(right && cells.n == 7 && cells.target.classes == 2 && cells.facts.dropped == 3 &&
              !memcmp(cells.begin, (int32_t[]){0, 2, 5, 7}, 4 * sizeof *cells.begin) &&
              !strcmp(cells.cell_name[6], "cell_9") &&
              !strcmp(cells.target.class_name[cells.target.code[6]], "b"),
          "what stays moves up: names, classes, shards");
    cz_cells_free(&cells);
}

int main(void)
{
    check_review();
    return check_done();
}

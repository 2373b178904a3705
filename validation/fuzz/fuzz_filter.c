/* An entry of data.filter: parsed, and applied to a table of cells whose columns have names that
 * filters must quote. The first byte says what becomes of missing values. */
#include "czhpc/data.h"
#include "data/rules.h"
#include "fuzz.h"

enum { CELLS = 12, COLUMNS = 4 };

static char *names[] = {"male", "female", " a|b ", "=\"\\", "", "nan"};
enum { NAMES = sizeof names / sizeof *names };
static int32_t code[CELLS];

/* Key, sign and values within the text, each ended, and the values in their order. */
static void check_parsed(const cz_filter *filter)
{
    fuzz_must(memchr(filter->key, 0, sizeof filter->key));
    fuzz_must(filter->values >= 1 && filter->values <= CZ_PATH_MAX / 2);
    for (int i = 0; i < filter->values; i++) {
        int at = filter->value[i];
        fuzz_must(at >= 0 && at < CZ_PATH_MAX);
        fuzz_must(memchr(filter->text + at, 0, (size_t)(CZ_PATH_MAX - at)));
        fuzz_must(!i || at > filter->value[i - 1]);
    }
}

static cell_table make_table(void)
{
    static const char *const keys[COLUMNS] = {"donor_id", "cell_type", "sex", "a = b"};
    cell_table table = {.n = CELLS, .files = 1, .first = {0, CELLS}, .columns = COLUMNS};
    for (int i = 0; i < CELLS; i++) code[i] = i % (NAMES + 1) - 1;
    for (int k = 0; k < COLUMNS; k++) {
        table.column[k] = (cz_column){.classes = NAMES, .class_name = names, .code = code};
        snprintf(table.column[k].name, sizeof table.column[k].name, "%s", keys[k]);
    }
    return table;
}

static void apply(const char *text, const cz_filter *filter, bool drop)
{
    static cz_config config;
    static cell_table table;
    cz_cells cells = {0};
    uint8_t keep[CELLS] = {0};
    table = make_table();
    /* A key that the file lacks is refused when the file is read. */
    if (!cell_table_column(&table, filter->key)) return;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_H5AD;
    config.data.missing = drop ? CZ_MISSING_DROP : CZ_MISSING_ERROR;
    config.data.filter.count = 1;
    snprintf(config.data.filter.text[0], CZ_PATH_MAX, "%s", text);
    snprintf(cells.facts.source, sizeof cells.facts.source, "cells.h5ad");
    cz_status status = rules_choose(&cells, keep, &table, &config);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_INPUT)) fuzz_must(count_kept(keep, CELLS) > 0);
    cz_cells_free(&cells);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cz_filter filter;
    if (size > CZ_PATH_MAX) return -1; /* texts of a configuration end before */
    char *text = malloc(size + 1);
    if (!text) exit(2);
    memcpy(text, data, size);
    text[size] = 0;
    const char *rest = size ? text + 1 : text, *wrong = cz_config_filter(&filter, rest);
    if (wrong) fuzz_must(wrong[0]);
    else {
        check_parsed(&filter);
        apply(rest, &filter, text[0] & 1);
    }
    free(text);
    return 0;
}

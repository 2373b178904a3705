/* A configuration and its keys, for people. */
#include "table.h"

#include "czhpc/text.h"

#include <stdlib.h>
#include <string.h>

/* Begins a section where the table does; true if it did. */
static bool begins_section(int index)
{
    if (!index) return true;
    int length = cz_key_section(&cz_keys[index]) + 1;
    return strncmp(cz_keys[index].name, cz_keys[index - 1].name, (size_t)length) != 0;
}

static const char *key_name(const cz_key *key) { return key->name + cz_key_section(key) + 1; }

static bool has_range(const cz_key *key)
{
    return key->kind != CZ_KIND_TEXT && key->kind != CZ_KIND_PATH && key->kind != CZ_KIND_PATHS;
}

static void print_numbers(const char *name, const int64_t *number, int count, FILE *out)
{
    fprintf(out, "    %s: [", name);
    for (int i = 0; i < count; i++) fprintf(out, "%s%lld", i ? ", " : "", (long long)number[i]);
    fputs("]\n", out);
}

/* Printed as the key prints its values; `scratch`: a configuration to set them in. */
static void print_experiment(const cz_experiment *x, cz_config *scratch, FILE *out)
{
    cz_origin origin[CZ_CONFIG_KEYS];
    fprintf(out, "  - name: \"%s\"\n", x->name);
    if (x->sets) fputs("    set:\n", out);
    for (int s = 0; s < x->sets; s++) {
        char name[CZ_NAME_MAX];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(x->set[s], "="), x->set[s]);
        if (cz_config_override(scratch, origin, x->set[s])) continue; /* checked when it was read */
        fprintf(out, "      %s: ", name);
        cz_key_write(scratch, &cz_keys[cz_key_find(name)], out);
        fputc('\n', out);
    }
    print_numbers("seeds", x->seed, x->seeds, out);
    print_numbers("splits", x->split, x->splits, out);
    if (x->compare_to[0]) fprintf(out, "    compare_to: \"%s\"\n", x->compare_to);
}

static cz_status print_experiments(const cz_config *config, FILE *out)
{
    cz_config *scratch = cz_alloc(1, sizeof *scratch, "a configuration");
    if (!scratch) return CZ_ERR_MEMORY;
    fputs("\nexperiments:\n", out);
    for (int e = 0; e < config->experiments; e++) {
        *scratch = *config;
        print_experiment(&config->experiment[e], scratch, out);
    }
    free(scratch);
    return CZ_OK;
}

cz_status cz_config_print(const cz_config *config, FILE *out)
{
    char expected[160];
    for (int i = 0; i < cz_key_count; i++) {
        const cz_key *key = &cz_keys[i];
        if (begins_section(i))
            fprintf(out, "%s%.*s:\n", i ? "\n" : "", cz_key_section(key), key->name);
        fprintf(out, "  # %s\n", key->help);
        if (has_range(key)) {
            cz_key_expected(key, expected, sizeof expected);
            fprintf(out, "  # (%s)\n", expected);
        }
        fprintf(out, "  %s: ", key_name(key));
        cz_key_write(config, key, out);
        fputc('\n', out);
    }
    if (config->experiments) CZ_TRY(print_experiments(config, out));
    return ferror(out) ? cz_fail(CZ_ERR_IO, "the configuration could not be written") : CZ_OK;
}

/* A default, on further lines where it is a long list. */
static void print_folded(const char *text, int column, FILE *out)
{
    enum { WIDTH = 80, INDENT = 8 };
    while (*text) {
        const char *comma = strstr(text, ", ");
        int length = comma ? (int)(comma - text) + 1 : (int)strlen(text);
        bool fold = column + 1 + length > WIDTH && column > INDENT;
        if (fold) column = fprintf(out, "\n%*s", INDENT - 1, "") - 1;
        column += fprintf(out, " %.*s", length, text);
        text += length + (comma != NULL);
    }
    fputc('\n', out);
}

void cz_config_help(FILE *out)
{
    char expected[160];
    fputs("Keys of a configuration file, each with its default, what is possible, and\n"
          "what it does. A file gives those that differ:\n\n"
          "  train:\n"
          "    epochs: 20\n\n"
          "and --set train.epochs=20 on the command line does the same.\n\n"
          "`experiments`, beside the sections, lists jobs that differ in some keys:\n\n"
          "  experiments:\n"
          "    - name: base\n"
          "      seeds: [0, 1, 2]        # run.seed; else the configuration's\n"
          "    - name: no-text\n"
          "      set:\n"
          "        model.text: false     # any key but the job's own\n"
          "      seeds: [0, 1, 2]\n"
          "      splits: [0]             # split.seed; else the configuration's\n"
          "      compare_to: base        # the table has the differences\n",
          out);
    for (int i = 0; i < cz_key_count; i++) {
        const cz_key *key = &cz_keys[i];
        const char *preset = key->preset[0] ? key->preset : "\"\"";
        if (begins_section(i)) fputc('\n', out);
        int column = fprintf(out, "%s:", key->name);
        print_folded(preset, column, out);
        fprintf(out, "    %s\n", key->help);
        if (!has_range(key)) continue;
        cz_key_expected(key, expected, sizeof expected);
        fprintf(out, "    (%s)\n", expected);
    }
}

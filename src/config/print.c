/* A configuration and its keys, for people. */
#include "table.h"

#include "czhpc/text.h"

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
    return ferror(out) ? cz_fail(CZ_ERR_IO, "the configuration could not be written") : CZ_OK;
}

void cz_config_help(FILE *out)
{
    char expected[160];
    fputs("Keys of a configuration file, each with its default, what is possible, and\n"
          "what it does. A file gives those that differ:\n\n"
          "  train:\n"
          "    epochs: 20\n\n"
          "and --set train.epochs=20 on the command line does the same.\n",
          out);
    for (int i = 0; i < cz_key_count; i++) {
        const cz_key *key = &cz_keys[i];
        const char *preset = key->preset[0] ? key->preset : "\"\"";
        if (begins_section(i)) fputc('\n', out);
        fprintf(out, "%s: %s\n    %s\n", key->name, preset, key->help);
        if (!has_range(key)) continue;
        cz_key_expected(key, expected, sizeof expected);
        fprintf(out, "    (%s)\n", expected);
    }
}

/* The entries of `experiments` in a configuration file. */
#include "reader.h"

#include "czhpc/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const members[] = {"name", "set", "seeds", "splits", "compare_to"};
enum { NAME, SET, SEEDS, SPLITS, COMPARE_TO, MEMBERS };

static cz_status expect(const reader *r, yaml_event_type_t type, const char *member,
                        const char *what)
{
    if (r->event.type == type) return CZ_OK;
    return cz_config_fail(r->path, reader_here(r), "experiments: %s: expected %s", member, what);
}

/* The name of a folder, and of a line in a table. */
static cz_status read_name(const reader *r, const char *member, char name[64])
{
    CZ_TRY(expect(r, YAML_SCALAR_EVENT, member, "a name"));
    cz_value value = reader_scalar(r);
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+";
    bool fits = value.length && value.length < 64 && value.text[0] != '.' &&
                strspn(value.text, good) == value.length;
    if (fits) return cz_text_copy(name, 64, value.text) ? CZ_OK : CZ_ERR_BUG;
    return cz_config_fail(r->path, reader_here(r),
                          "experiments: %s: expected a name of at most 63 letters, digits and . _ "
                          "- +, found '%.80s'",
                          member, value.text);
}

static cz_status read_number(const reader *r, const char *member, int64_t *number)
{
    char *end;
    CZ_TRY(expect(r, YAML_SCALAR_EVENT, member, "whole numbers, such as [0, 1, 2]"));
    cz_value value = reader_scalar(r);
    errno = 0;
    *number = strtoll(value.text, &end, 10);
    if (value.length && !*end && !errno && *number >= 0 && value.text[0] != ' ') return CZ_OK;
    return cz_config_fail(r->path, reader_here(r),
                          "experiments: %s: expected a whole number of at least 0, found '%.80s'",
                          member, value.text);
}

/* One number, or a list of different ones. */
static cz_status read_numbers(reader *r, const char *member, int64_t *number, int *count)
{
    bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
    *count = 0;
    for (;;) {
        if (list) CZ_TRY(reader_next(r));
        if (list && r->event.type == YAML_SEQUENCE_END_EVENT) break;
        if (*count == CZ_EXPERIMENT_SEEDS)
            return cz_config_fail(r->path, reader_here(r), "experiments: %s: more than %d", member,
                                  CZ_EXPERIMENT_SEEDS);
        CZ_TRY(read_number(r, member, &number[*count]));
        for (int i = 0; i < *count; i++)
            if (number[i] == number[*count])
                return cz_config_fail(r->path, reader_here(r), "experiments: %s: %lld twice",
                                      member, (long long)number[i]);
        ++*count;
        if (!list) return CZ_OK;
    }
    if (*count) return CZ_OK;
    return cz_config_fail(r->path, reader_here(r), "experiments: %s: the list is empty", member);
}

/* Adds to a value's text; false: it does not fit. */
static bool add(char text[256], const char *more)
{
    size_t used = strlen(text);
    return cz_text_copy(text + used, 256 - used, more);
}

/* An entry of a list, in YAML's quotes. */
static bool add_quoted(char text[256], const char *word)
{
    bool fits = add(text, "\"");
    for (; *word && fits; word++) {
        char one[3] = {*word};
        if (*word == '"' || *word == '\\') snprintf(one, sizeof one, "\\%c", *word);
        fits = add(text, one);
    }
    return fits && add(text, "\"");
}

/* The value of a key of `set`, the current event, behind "KEY=" in `text`. */
static cz_status read_setting(reader *r, const char *name, char text[256])
{
    bool fits = true, list = r->event.type == YAML_SEQUENCE_START_EVENT;
    if (list) fits = add(text, "[");
    for (int i = 0;; i++) {
        if (list) CZ_TRY(reader_next(r));
        if (list && r->event.type == YAML_SEQUENCE_END_EVENT) break;
        CZ_TRY(expect(r, YAML_SCALAR_EVENT, name, "a value or a list"));
        if (list && i) fits = fits && add(text, ", ");
        const char *word = reader_scalar(r).text;
        fits = fits && (list ? add_quoted(text, word) : add(text, word));
        if (!list) break;
    }
    if (list) fits = fits && add(text, "]");
    if (fits) return CZ_OK;
    return cz_config_fail(r->path, reader_here(r), "experiments: set: the value of %s is too long",
                          name);
}

/* Whether the key takes the value, which stands at `place`. */
static cz_status try_setting(const reader *r, cz_origin place, const cz_config *config,
                             const char *text)
{
    cz_origin origin[CZ_CONFIG_KEYS];
    cz_config *scratch = cz_alloc(1, sizeof *scratch, "a configuration");
    if (!scratch) return CZ_ERR_MEMORY;
    *scratch = *config;
    cz_status status = cz_config_override(scratch, origin, text);
    free(scratch);
    if (!status) return CZ_OK;
    char why[512];
    const char *colon = strstr(cz_error_message(), ": ");
    snprintf(why, sizeof why, "%s", colon ? colon + 2 : cz_error_message());
    cz_error_clear();
    return cz_config_fail(r->path, place, "experiments: set: %s", why);
}

static cz_status read_set(reader *r, const cz_config *config, cz_experiment *x)
{
    CZ_TRY(expect(r, YAML_MAPPING_START_EVENT, "set", "keys, such as train.lr: 1e-3"));
    for (;;) {
        char name[CZ_NAME_MAX];
        CZ_TRY(reader_next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return CZ_OK;
        CZ_TRY(expect(r, YAML_SCALAR_EVENT, "set", "the full name of a key"));
        snprintf(name, sizeof name, "%s", reader_scalar(r).text);
        if (cz_key_find(name) < 0) return reader_unknown_key(r, name);
        if (x->sets == CZ_EXPERIMENT_SETS)
            return cz_config_fail(r->path, reader_here(r), "experiments: set: more than %d keys",
                                  CZ_EXPERIMENT_SETS);
        char *text = x->set[x->sets++];
        snprintf(text, 256, "%s=", name);
        CZ_TRY(reader_next(r));
        cz_origin place = reader_here(r);
        CZ_TRY(read_setting(r, name, text));
        CZ_TRY(try_setting(r, place, config, text));
    }
}

static cz_status read_member(reader *r, const cz_config *config, cz_experiment *x, int member)
{
    switch (member) {
    case NAME:
        return read_name(r, "name", x->name);
    case SET:
        return read_set(r, config, x);
    case SEEDS:
        return read_numbers(r, "seeds", x->seed, &x->seeds);
    case SPLITS:
        return read_numbers(r, "splits", x->split, &x->splits);
    default:
        return read_name(r, "compare_to", x->compare_to);
    }
}

static cz_status find_member(const reader *r, bool given[MEMBERS], int *member)
{
    CZ_TRY(expect(r, YAML_SCALAR_EVENT, "an entry", "name, set, seeds, splits or compare_to"));
    const char *word = reader_scalar(r).text;
    for (*member = 0; *member < MEMBERS; ++*member)
        if (strcmp(word, members[*member]) == 0) break;
    if (*member == MEMBERS) {
        const char *nearest = cz_text_nearest(word, members, MEMBERS);
        return cz_config_fail(r->path, reader_here(r),
                              "experiments: '%.80s' is unknown%s%s%s: an entry has name, set, "
                              "seeds, splits and compare_to",
                              word, nearest ? ", did you mean '" : "", nearest ? nearest : "",
                              nearest ? "'?" : "");
    }
    if (given[*member])
        return cz_config_fail(r->path, reader_here(r), "experiments: '%s' stands here again", word);
    given[*member] = true;
    return CZ_OK;
}

static cz_status read_experiment(reader *r, const cz_config *config, cz_experiment *x)
{
    bool given[MEMBERS] = {false};
    cz_origin place = reader_here(r);
    CZ_TRY(expect(r, YAML_MAPPING_START_EVENT, "an entry", "keys, such as name: base"));
    for (;;) {
        int member;
        CZ_TRY(reader_next(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) break;
        CZ_TRY(find_member(r, given, &member));
        CZ_TRY(reader_next(r));
        CZ_TRY(read_member(r, config, x, member));
    }
    if (given[NAME]) return CZ_OK;
    return cz_config_fail(r->path, place, "experiments: an entry has no name");
}

cz_status experiments_parse(reader *r, cz_config *config)
{
    CZ_TRY(expect(r, YAML_SEQUENCE_START_EVENT, "the section", "a list, each entry with a name"));
    for (;;) {
        CZ_TRY(reader_next(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return CZ_OK;
        if (config->experiments == CZ_EXPERIMENTS_MAX)
            return cz_config_fail(r->path, reader_here(r), "experiments: more than %d entries",
                                  CZ_EXPERIMENTS_MAX);
        CZ_TRY(read_experiment(r, config, &config->experiment[config->experiments++]));
    }
}

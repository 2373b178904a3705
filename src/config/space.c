/* The entries of search.space, and a configuration at a point of the space. */
#include "table.h"

#include "czhpc/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char form[] = "expected KEY = LOW .. HIGH [step S] [log], or KEY = A | B | C";

/* The text from `from` to `end` without the spaces around it; false: it does not fit. */
static bool trimmed(char *to, size_t size, const char *from, const char *end)
{
    while (from < end && *from == ' ') from++;
    while (end > from && end[-1] == ' ') end--;
    if ((size_t)(end - from) >= size) return false;
    memcpy(to, from, (size_t)(end - from));
    to[end - from] = 0;
    return true;
}

static bool is_number(const cz_key *key)
{
    return key->kind == CZ_KIND_INT || key->kind == CZ_KIND_WHOLE || key->kind == CZ_KIND_REAL;
}

/* One number at *at, and the spaces behind it. */
static bool take_number(double *number, const char **at)
{
    char *end;
    *number = strtod(*at, &end);
    if (end == *at || !isfinite(*number)) return false;
    while (*end == ' ') end++;
    *at = end;
    return true;
}

/* What is wrong with a range, NULL for nothing. */
static const char *range_fault(const cz_dimension *d)
{
    double steps = d->step > 0 ? (d->high - d->low) / d->step : 0;
    bool whole = d->low == floor(d->low) && d->high == floor(d->high) && d->step == floor(d->step);
    if (d->low > d->high) return "LOW is above HIGH";
    if (d->log && d->low <= 0) return "log needs LOW above 0";
    if (d->kind == CZ_INTEGER && !whole) return "the key takes whole numbers";
    if (d->step < 0 || (d->log && d->step > (d->kind == CZ_INTEGER ? 1 : 0)))
        return "a step is above 0, and does not go with log";
    if (fabs(steps - round(steps)) > 1e-9) return "HIGH is no whole number of steps above LOW";
    return NULL;
}

/* "LOW .. HIGH [step S] [log]"; returns what is wrong. */
static const char *read_range(cz_dimension *d, const cz_key *key, const char *text)
{
    char low[64];
    const char *dots = strstr(text, ".."), *at = low;
    if (!is_number(key)) return "the key takes no numbers: write KEY = A | B";
    if (!trimmed(low, sizeof low, text, dots) || !take_number(&d->low, &at) || *at) return form;
    at = dots + 2;
    if (!take_number(&d->high, &at)) return form;
    d->kind = key->kind == CZ_KIND_REAL ? CZ_FLOAT : CZ_INTEGER;
    d->step = d->kind == CZ_INTEGER ? 1 : 0;
    while (*at) {
        if (strncmp(at, "log", 3) == 0 && (!at[3] || at[3] == ' ') && !d->log) {
            d->log = true;
            at += 3;
        } else if (strncmp(at, "step ", 5) == 0) {
            at += 5;
            if (!take_number(&d->step, &at) || d->step <= 0) return form;
        } else return form;
        at += strspn(at, " ");
    }
    return range_fault(d);
}

/* A choice as JSON, numbers as Python prints them: a study compares the texts. */
static void write_choice(char choice[CZ_SPACE_CHOICE], const cz_key *key, const char *word)
{
    char *end;
    double number = strtod(word, &end);
    bool is_text = !is_number(key) && key->kind != CZ_KIND_BOOL;
    if (key->kind == CZ_KIND_REAL && !*end) {
        char shortest[CZ_NUMBER_MAX];
        cz_text_float(shortest, number, 53);
        snprintf(choice, CZ_SPACE_CHOICE, "%s", shortest);
    } else snprintf(choice, CZ_SPACE_CHOICE, is_text ? "\"%s\"" : "%s", word);
}

/* "A | B | C"; returns what is wrong. */
static const char *read_choices(cz_dimension *d, const cz_key *key, const char *text)
{
    d->kind = CZ_CATEGORICAL;
    for (;;) {
        char word[CZ_SPACE_CHOICE - 2];
        const char *end = text + strcspn(text, "|");
        if (!trimmed(word, sizeof word, text, end)) return "a choice is too long";
        if (!word[0]) return form;
        if (strpbrk(word, "\"\\")) return "a choice may not contain a quote or a backslash";
        if (d->choices == CZ_SPACE_CHOICES) return "more than 16 choices";
        write_choice(d->choice[d->choices], key, word);
        for (int c = 0; c < d->choices; c++)
            if (strcmp(d->choice[c], d->choice[d->choices]) == 0)
                return "a choice stands there twice";
        d->choices++;
        if (!*end) return NULL;
        text = end + 1;
    }
}

/* Gives the configuration one value; false with the reason. */
static bool set_value(cz_config *config, const cz_dimension *d, double x,
                      char reason[CZ_REASON_MAX])
{
    char word[CZ_SPACE_CHOICE];
    if (d->kind == CZ_CATEGORICAL) {
        const char *choice = d->choice[(int)x];
        bool quoted = choice[0] == '"';
        snprintf(word, sizeof word, "%.*s", (int)strlen(choice) - 2 * quoted, choice + quoted);
    } else if (d->kind == CZ_INTEGER) snprintf(word, sizeof word, "%.0f", x);
    else cz_text_number(word, x);
    cz_value value = {.text = word, .length = strlen(word)};
    return cz_key_set(config, &cz_keys[cz_key_find(d->name)], &value, reason);
}

/* Whether the key takes all that it may be given; `config` is scratch. */
static const char *values_fault(cz_config *config, const cz_dimension *d,
                                char reason[CZ_REASON_MAX])
{
    if (d->kind != CZ_CATEGORICAL)
        return set_value(config, d, d->low, reason) && set_value(config, d, d->high, reason)
                   ? NULL
                   : reason;
    for (int c = 0; c < d->choices; c++)
        if (!set_value(config, d, c, reason)) return reason;
    return NULL;
}

static const char *const moved[] = {"model.", "train."};
static const char *const fixed[] = {"model.text", "train.epochs", "train.from"};

static bool may_move(const cz_key *key)
{
    bool may = false;
    for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
        may = may || strncmp(key->name, moved[i], strlen(moved[i])) == 0;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        may = may && strcmp(key->name, fixed[i]) != 0;
    return may;
}

/* One entry; returns what is wrong. `scratch`: a configuration to try values on. */
static const char *read_entry(cz_dimension *d, const char *text, cz_config *scratch,
                              char reason[CZ_REASON_MAX])
{
    const char *equals = strchr(text, '=');
    *d = (cz_dimension){0};
    if (!equals || !trimmed(d->name, sizeof d->name, text, equals)) return form;
    int index = cz_key_find(d->name);
    if (index < 0) {
        const char *nearest = cz_key_nearest(d->name);
        snprintf(reason, CZ_REASON_MAX, "key '%s' is unknown%s%s%s", d->name,
                 nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
        return reason;
    }
    if (!may_move(&cz_keys[index]))
        return "a search moves keys of model and train, but for model.text, train.epochs and "
               "train.from";
    const char *values = equals + 1 + strspn(equals + 1, " ");
    const char *wrong = strstr(values, "..") ? read_range(d, &cz_keys[index], values)
                                             : read_choices(d, &cz_keys[index], values);
    return wrong ? wrong : values_fault(scratch, d, reason);
}

static const char *read_space(cz_space *space, const cz_config *config, cz_config *scratch,
                              char text[CZ_REASON_MAX])
{
    char reason[CZ_REASON_MAX];
    const cz_texts *entries = &config->search.space;
    *space = (cz_space){0};
    for (int i = 0; i < entries->count; i++) {
        cz_dimension *d = &space->dimension[i];
        const char *wrong = read_entry(d, entries->text[i], scratch, reason);
        for (int j = 0; j < i && !wrong; j++)
            if (strcmp(space->dimension[j].name, d->name) == 0) wrong = "the key moves already";
        if (wrong) {
            snprintf(text, CZ_REASON_MAX, "'%.160s': %.300s", entries->text[i], wrong);
            return text;
        }
        space->count++;
    }
    return NULL;
}

_Static_assert((int)CZ_TEXTS_MAX <= (int)CZ_SPACE_MAX, "every entry needs a dimension");

const char *cz_config_space_fault(cz_space *space, const cz_config *config,
                                  char text[CZ_REASON_MAX])
{
    cz_config *scratch = malloc(sizeof *scratch);
    if (!scratch) return "no memory for a configuration";
    *scratch = *config;
    const char *wrong = read_space(space, config, scratch, text);
    free(scratch);
    return wrong;
}

cz_status cz_config_space(cz_space *space, const cz_config *config)
{
    char text[CZ_REASON_MAX];
    const char *wrong = cz_config_space_fault(space, config, text);
    return wrong ? cz_fail(CZ_ERR_CONFIG, "key 'search.space': %s", wrong) : CZ_OK;
}

cz_status cz_config_set_point(cz_config *config, const cz_space *space, const double *x)
{
    char reason[CZ_REASON_MAX];
    cz_origin origin[CZ_CONFIG_KEYS] = {{0}};
    for (int i = 0; i < space->count; i++)
        if (!set_value(config, &space->dimension[i], x[i], reason))
            return cz_fail(CZ_ERR_CONFIG, "key '%s': %s", space->dimension[i].name, reason);
    return cz_config_check(config, origin, NULL);
}

void cz_config_reset_space(cz_config *config)
{
    cz_space space;
    char reason[CZ_REASON_MAX];
    if (cz_config_space_fault(&space, config, reason)) return;
    for (int i = 0; i < space.count; i++) {
        const cz_key *key = &cz_keys[cz_key_find(space.dimension[i].name)];
        cz_value preset = {.text = key->preset, .length = strlen(key->preset)};
        (void)cz_key_set(config, key, &preset, reason);
    }
}

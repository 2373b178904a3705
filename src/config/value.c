/* One value: read from a word, written as a word. */
#include "table.h"

#include "czhpc/text.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *member(const cz_config *config, const cz_key *key)
{
    return (char *)(uintptr_t)config + key->offset;
}

static int read_enum(const cz_config *config, const cz_key *key)
{
    int value;
    memcpy(&value, member(config, key), sizeof value);
    return value;
}

static size_t append(char *text, size_t size, size_t used, const char *more)
{
    int length = snprintf(text + used, size - used, "%s", more);
    used += (size_t)length;
    return used < size ? used : size - 1;
}

static size_t append_limit(char *text, size_t size, size_t used, const char *before, double limit)
{
    char number[CZ_NUMBER_MAX];
    cz_text_number(number, limit);
    used = append(text, size, used, before);
    return append(text, size, used, number);
}

static void expected_number(const cz_key *key, char *text, size_t size)
{
    size_t used = append(text, size, 0, key->kind == CZ_KIND_REAL ? "a number" : "a whole number");
    if (key->max == INFINITY) {
        used = append_limit(text, size, used, " ", key->min);
        append(text, size, used, " or more");
    } else if (!key->above && !key->below) {
        used = append_limit(text, size, used, " from ", key->min);
        append_limit(text, size, used, " to ", key->max);
    } else {
        used = append_limit(text, size, used, key->above ? " above " : " from ", key->min);
        append_limit(text, size, used, key->below ? ", below " : ", at most ", key->max);
    }
}

bool cz_key_takes_list(const cz_key *key)
{
    return key->kind == CZ_KIND_NAMES || key->kind == CZ_KIND_TEXTS || key->kind == CZ_KIND_PATHS;
}

void cz_key_expected(const cz_key *key, char *text, size_t size)
{
    size_t used = 0;
    switch (key->kind) {
    case CZ_KIND_BOOL:
        append(text, size, 0, "true or false");
        break;
    case CZ_KIND_INT:
    case CZ_KIND_WHOLE:
    case CZ_KIND_REAL:
        expected_number(key, text, size);
        break;
    case CZ_KIND_CHOICE:
    case CZ_KIND_WORD:
        for (int i = 0; key->choice[i]; i++) {
            const char *between = !i ? "" : key->choice[i + 1] ? ", " : " or ";
            used = append(text, size, used, between);
            used = append(text, size, used, key->choice[i]);
        }
        break;
    case CZ_KIND_TEXT:
        append(text, size, 0, key->may_be_empty ? "a text or \"\"" : "a text");
        break;
    case CZ_KIND_PATH:
        append(text, size, 0, key->may_be_empty ? "a file or \"\"" : "a file");
        break;
    case CZ_KIND_NAMES:
        snprintf(text, size, "a list of at most %d names, such as [a, b] or []", CZ_KEYS_MAX);
        break;
    case CZ_KIND_TEXTS:
        snprintf(text, size, "a text, or a list of at most %d, such as [a, b] or []", CZ_TEXTS_MAX);
        break;
    case CZ_KIND_PATHS:
        snprintf(text, size, "a file, or a list of at most %d", CZ_TEXTS_MAX);
        break;
    }
}

/* "expected ..., found '...'" and what more there is to say. */
static bool refuse(const cz_key *key, const cz_value *value, const char *more,
                   char reason[CZ_REASON_MAX])
{
    char expected[160], found[80];
    cz_key_expected(key, expected, sizeof expected);
    if (value->list) snprintf(found, sizeof found, "a list");
    else if (!value->length && !value->quoted) snprintf(found, sizeof found, "nothing");
    else {
        /* Cut between characters: the message stays UTF-8. */
        size_t shown = value->length < 60 ? value->length : 60;
        shown = cz_text_utf8(value->text, shown);
        snprintf(found, sizeof found, "%s'%.*s'%s", value->quoted ? "the text " : "", (int)shown,
                 value->text, value->length > shown ? "..." : "");
    }
    snprintf(reason, CZ_REASON_MAX, "expected %s, found %s%s", expected, found, more);
    return false;
}

/* Decimal digits alone: no blanks, no hexadecimal, no inf or nan, which strtod() would take. */
static bool looks_like_number(const char *text, bool whole)
{
    text += *text == '-' || *text == '+';
    size_t digits = strspn(text, "0123456789");
    text += digits;
    if (whole) return digits && !*text;
    if (*text == '.') {
        size_t more = strspn(++text, "0123456789");
        text += more;
        digits += more;
    }
    if (!digits) return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        size_t power = strspn(text, "0123456789");
        if (!power) return false;
        text += power;
    }
    return !*text;
}

static bool set_number(cz_config *config, const cz_key *key, const cz_value *value,
                       const char *word, char reason[CZ_REASON_MAX])
{
    bool whole = key->kind != CZ_KIND_REAL;
    if (value->quoted) return refuse(key, value, ": leave out the quotes", reason);
    if (!looks_like_number(word, whole)) {
        const char *more = whole && strpbrk(word, "eE") && looks_like_number(word, false)
                               ? ": write all its digits"
                               : "";
        return refuse(key, value, strchr(word, ',') ? ": write a decimal point" : more, reason);
    }
    errno = 0;
    double real = strtod(word, NULL);
    long long number = whole ? strtoll(word, NULL, 10) : 0;
    /* Underflow sets ERANGE too, and is as good as 0. */
    bool outside = real < key->min || real > key->max || (key->above && real == key->min) ||
                   (key->below && real == key->max) || !isfinite(real) ||
                   (whole && errno == ERANGE);
    if (outside) return refuse(key, value, "", reason);
    if (key->kind == CZ_KIND_REAL) *(double *)member(config, key) = real;
    else if (key->kind == CZ_KIND_INT) *(int *)member(config, key) = (int)number;
    else *(int64_t *)member(config, key) = number;
    return true;
}

static bool set_choice(cz_config *config, const cz_key *key, const cz_value *value,
                       const char *word, char reason[CZ_REASON_MAX])
{
    int count = 0;
    for (; key->choice[count]; count++) {
        if (strcmp(key->choice[count], word) != 0) continue;
        if (key->kind == CZ_KIND_WORD) return cz_text_copy(member(config, key), key->size, word);
        memcpy(member(config, key), &count, sizeof count);
        return true;
    }
    char more[80] = "";
    const char *nearest = cz_text_nearest(word, key->choice, count);
    if (nearest) snprintf(more, sizeof more, ", did you mean '%s'?", nearest);
    return refuse(key, value, more, reason);
}

/* Controls, and what YAML takes for the end of a line: C0, DEL, C1, U+2028, U+2029, U+FFFE. */
static bool breaks_text(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x20 || at[0] == 0x7F) return true;
    if (left >= 2 && at[0] == 0xC2 && at[1] < 0xA0) return true;
    if (left < 3) return false;
    return (at[0] == 0xE2 && at[1] == 0x80 && (at[2] == 0xA8 || at[2] == 0xA9)) ||
           (at[0] == 0xEF && at[1] == 0xBF && at[2] >= 0xBE);
}

static bool copy_text(char *to, size_t size, const cz_value *value, bool may_be_empty,
                      const cz_key *key, char reason[CZ_REASON_MAX])
{
    if (!value->length && !may_be_empty) return refuse(key, value, "", reason);
    if (value->length >= size) {
        char more[80];
        snprintf(more, sizeof more, ", which has %zu bytes: at most %zu are possible",
                 value->length, size - 1);
        return refuse(key, value, more, reason);
    }
    for (size_t i = 0; i < value->length; i++)
        if (breaks_text(value->text + i, value->length - i)) {
            snprintf(reason, CZ_REASON_MAX,
                     "byte %zu of the text is a control character or the end of a line", i + 1);
            return false;
        }
    size_t good = cz_text_utf8(value->text, value->length);
    if (good < value->length) {
        snprintf(reason, CZ_REASON_MAX, "byte %zu of the text (0x%02X) is not UTF-8", good + 1,
                 (unsigned char)value->text[good]);
        return false;
    }
    memcpy(to, value->text, value->length);
    to[value->length] = 0;
    return true;
}

static bool set_bool(cz_config *config, const cz_key *key, const cz_value *value, const char *word,
                     char reason[CZ_REASON_MAX])
{
    bool yes = !value->quoted && strcmp(word, "true") == 0;
    if (!yes && (value->quoted || strcmp(word, "false") != 0))
        return refuse(key, value, "", reason);
    *(bool *)member(config, key) = yes;
    return true;
}

bool cz_key_set(cz_config *config, const cz_key *key, const cz_value *value,
                char reason[CZ_REASON_MAX])
{
    char word[CZ_PATH_MAX] = "";
    bool single = key->kind == CZ_KIND_PATHS || key->kind == CZ_KIND_TEXTS;
    if (value->list != cz_key_takes_list(key) && !single) return refuse(key, value, "", reason);
    if (value->list) {
        memset(member(config, key), 0, key->size);
        return true;
    }
    /* No number or choice is that long; texts are measured in copy_text(). */
    if (value->length < sizeof word && !memchr(value->text, 0, value->length)) {
        memcpy(word, value->text, value->length);
        word[value->length] = 0;
    }
    switch (key->kind) {
    case CZ_KIND_BOOL:
        return set_bool(config, key, value, word, reason);
    case CZ_KIND_INT:
    case CZ_KIND_WHOLE:
    case CZ_KIND_REAL:
        return set_number(config, key, value, word, reason);
    case CZ_KIND_CHOICE:
    case CZ_KIND_WORD:
        return set_choice(config, key, value, word, reason);
    case CZ_KIND_TEXT:
    case CZ_KIND_PATH:
        return copy_text(member(config, key), key->size, value, key->may_be_empty, key, reason);
    case CZ_KIND_TEXTS:
    case CZ_KIND_PATHS:
        memset(member(config, key), 0, key->size);
        return !value->length || cz_key_append(config, key, value, reason);
    case CZ_KIND_NAMES:
        break;
    }
    return refuse(key, value, "", reason);
}

/* The entries of a list, of either type. */
typedef struct entries {
    int *count, most;
    char *first;
    size_t size;
} entries;

static entries entries_of(const cz_config *config, const cz_key *key)
{
    cz_names *names = member(config, key);
    cz_texts *texts = member(config, key);
    return key->kind == CZ_KIND_NAMES
               ? (entries){&names->count, CZ_KEYS_MAX, names->name[0], sizeof names->name[0]}
               : (entries){&texts->count, CZ_TEXTS_MAX, texts->text[0], sizeof texts->text[0]};
}

bool cz_key_append(cz_config *config, const cz_key *key, const cz_value *value,
                   char reason[CZ_REASON_MAX])
{
    entries list = entries_of(config, key);
    if (*list.count == list.most) {
        snprintf(reason, CZ_REASON_MAX, "the list has more than %d entries", list.most);
        return false;
    }
    if (!value->length) {
        snprintf(reason, CZ_REASON_MAX, "an entry of the list is empty");
        return false;
    }
    char *entry = list.first + (size_t)*list.count * list.size;
    if (!copy_text(entry, list.size, value, false, key, reason)) {
        entry[0] = 0;
        return false;
    }
    for (const char *other = list.first; other < entry; other += list.size)
        if (strcmp(other, entry) == 0) {
            snprintf(reason, CZ_REASON_MAX, "'%s' stands twice in the list", entry);
            return false;
        }
    ++*list.count;
    return true;
}

static void write_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (const char *at = text; *at; at++) {
        if (*at == '"' || *at == '\\') fputc('\\', out);
        fputc(*at, out);
    }
    fputc('"', out);
}

void cz_key_write(const cz_config *config, const cz_key *key, FILE *out)
{
    const void *at = member(config, key);
    char number[CZ_NUMBER_MAX];
    entries list;
    switch (key->kind) {
    case CZ_KIND_BOOL:
        fputs(*(const bool *)at ? "true" : "false", out);
        break;
    case CZ_KIND_INT:
        fprintf(out, "%d", *(const int *)at);
        break;
    case CZ_KIND_WHOLE:
        fprintf(out, "%lld", (long long)*(const int64_t *)at);
        break;
    case CZ_KIND_REAL:
        cz_text_number(number, *(const double *)at);
        fputs(number, out);
        break;
    case CZ_KIND_CHOICE:
        fputs(key->choice[read_enum(config, key)], out);
        break;
    case CZ_KIND_WORD:
        fputs(at, out);
        break;
    case CZ_KIND_TEXT:
    case CZ_KIND_PATH:
        write_text(at, out);
        break;
    case CZ_KIND_NAMES:
    case CZ_KIND_TEXTS:
    case CZ_KIND_PATHS:
        list = entries_of(config, key);
        fputc('[', out);
        for (int i = 0; i < *list.count; i++) {
            if (i) fputs(", ", out);
            write_text(list.first + (size_t)i * list.size, out);
        }
        fputc(']', out);
        break;
    }
}

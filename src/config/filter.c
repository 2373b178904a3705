/* The entries of data.filter. */
#include "czhpc/config.h"

#include <string.h>

static const char form[] = "expected KEY = A | B, or KEY != A | B; what contains | or = stands in "
                           "double quotes";

static const char *skip_spaces(const char *at)
{
    while (*at == ' ' || *at == '\t') at++;
    return at;
}

/* A word up to one of `ends`, or in double quotes; into filter->text at *used. Returns what is
 * wrong, else NULL with *at behind the word and the spaces after it. */
static const char *read_word(cz_filter *filter, int *used, const char **at, const char *ends)
{
    char *to = filter->text + *used;
    const char *from = skip_spaces(*at);
    size_t length = 0;
    if (*from == '"') {
        for (from++; *from && *from != '"'; from++) {
            if (*from == '\\' && *++from != '"' && *from != '\\')
                return "in double quotes a backslash stands only before another, or before a quote";
            to[length++] = *from;
        }
        if (!*from++) return "the double quotes do not end";
    } else {
        length = strcspn(from, ends);
        /* "KEY != A": the mark belongs to the sign, not to the key. */
        if (ends[0] == '=' && from[length] == '=' && length && from[length - 1] == '!') length--;
        memcpy(to, from, length);
        from += length;
        while (length && (to[length - 1] == ' ' || to[length - 1] == '\t')) length--;
        if (!length && *from == '=') return form;
        if (!length) return "a column or a value is empty: an empty text is written \"\"";
    }
    to[length] = 0;
    *used += (int)length + 1;
    *at = skip_spaces(from);
    return NULL;
}

const char *cz_config_filter(cz_filter *filter, const char *text)
{
    const char *at = text, *wrong;
    int used = 0;
    memset(filter, 0, sizeof *filter);
    if ((wrong = read_word(filter, &used, &at, "="))) return wrong;
    if (used > CZ_NAME_MAX) return "the name of the column is too long";
    memcpy(filter->key, filter->text, (size_t)used);
    filter->negated = *at == '!';
    at += filter->negated;
    if (*at++ != '=' || !filter->key[0]) return form;
    for (;;) {
        filter->value[filter->values++] = used;
        if ((wrong = read_word(filter, &used, &at, "|="))) return wrong;
        if (!*at) return NULL;
        if (*at++ != '|') return form;
    }
}

/* What is said of the rules. */
#include "rules.h"

#include "czhpc/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names come out of files: one line of UTF-8, whatever they hold. */
static void make_plain(char *text, bool cut)
{
    size_t size = strlen(text), at;
    while ((at = cz_text_utf8(text, size)) < size) {
        /* The last character may have been cut in two. */
        if (cut && size - at < 4) text[size = at] = 0;
        else text[at] = '?';
    }
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127) *text = '?';
}

void rules_say(cz_data_facts *facts, const char *name, int64_t count, const char *format, ...)
{
    if (facts->rules == CZ_RULES_MAX) return;
    cz_rule *rule = &facts->rule[facts->rules++];
    *rule = (cz_rule){.count = count};
    snprintf(rule->name, sizeof rule->name, "%s", name);
    va_list arguments;
    va_start(arguments, format);
    bool cut =
        vsnprintf(rule->text, sizeof rule->text, format, arguments) >= (int)sizeof rule->text;
    va_end(arguments);
    if (cut) rule->text[sizeof rule->text - 4] = 0;
    make_plain(rule->text, cut);
    if (cut) strcat(rule->text, "...");
}

void rules_name(char text[RULES_NAMES], const cz_column *column, const uint8_t *marked)
{
    enum { SHOWN = 5, TAIL = sizeof " and 2147483647 more" };
    size_t used = 0;
    int shown = 0, all = 0;
    text[0] = 0;
    for (int k = 0; k < column->classes; k++) {
        if (!marked[k]) continue;
        size_t size = strlen(column->class_name[k]);
        all++;
        if (shown < all - 1 || shown == SHOWN || used + size + 2 + TAIL > RULES_NAMES) continue;
        used += (size_t)sprintf(text + used, "%s%s", used ? ", " : "", column->class_name[k]);
        shown++;
    }
    if (all > shown && shown) sprintf(text + used, " and %d more", all - shown);
    else if (all > shown) sprintf(text, "%d with long names", all);
}

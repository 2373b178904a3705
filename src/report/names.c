#include "names.h"
#include "czhpc/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELLIPSIS "\xE2\x80\xA6"
#define REPLACEMENT "\xEF\xBF\xBD"

/* Bytes of an ellipsis, of a number behind the name and of the end of the string. */
enum { RESERVED = 20 };

/* The character at `at`, which is not at the end; *size 0 where it is not UTF-8. */
static uint32_t decode(const char *at, size_t *size)
{
    unsigned char first = (unsigned char)at[0];
    size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    *size = 0;
    if (strnlen(at, length) < length || cz_text_utf8(at, length) < length) return 0;
    *size = length;
    if (length == 1) return first;
    uint32_t code = first & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) code = code << 6 | ((unsigned char)at[i] & 0x3F);
    return code;
}

const char *name_character(const char **text, size_t *size)
{
    const char *at = *text;
    uint32_t code = decode(at, size);
    *text += *size ? *size : 1;
    if (!*size) {
        *size = strlen(REPLACEMENT);
        return REPLACEMENT;
    }
    bool space = code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029;
    if (!space) return at;
    *size = 1;
    return " ";
}

/* Blocks that the font has without a hole. */
static bool drawable(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } block[] = {{0x20, 0x7E},     {0xA0, 0x2E9},    {0x300, 0x34F},   {0x38E, 0x3A1},
                 {0x3A3, 0x525},   {0x1E00, 0x1EFB}, {0x2010, 0x2027}, {0x2030, 0x205E},
                 {0x2074, 0x208E}, {0x20A0, 0x20B5}, {0x2190, 0x2311}, {0x2500, 0x269C},
                 {0xFFFD, 0xFFFD}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        if (code >= block[i].first && code <= block[i].last) return true;
    return false;
}

size_t name_drawn(char drawn[DRAWN_CHARACTER], const char **text)
{
    size_t size;
    const char *at = name_character(text, &size);
    uint32_t code = decode(at, &size);
    if (drawable(code)) snprintf(drawn, DRAWN_CHARACTER, "%.*s", (int)size, at);
    else snprintf(drawn, DRAWN_CHARACTER, "<U+%04X>", (unsigned)code);
    return strlen(drawn);
}

void name_write(FILE *out, const char *text)
{
    for (; *text; text++) fputc((unsigned char)*text < ' ' || *text == 0x7F ? ' ' : *text, out);
}

/* Advances of the printable ASCII characters of DejaVu Sans, hundredths of an em. */
static const unsigned char advance[95] = {
    32, 40, 46, 84, 64, 95, 78, 27, 39,  39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77, 75, 29, 29, 66, 56, 86, 75, 79,
    60, 79, 69, 63, 61, 73, 68, 99, 69,  61, 69, 39, 34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63,
    63, 28, 28, 58, 28, 97, 63, 61, 63,  63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84};

/* Of text that is clean. */
static double clean_width(const char *text, size_t bytes)
{
    double width = 0;
    for (size_t at = 0, size = 1; at < bytes && size; at += size) {
        uint32_t code = decode(text + at, &size);
        if (code >= ' ' && code < 0x7F) width += advance[code - ' '] / 100.0;
        else if (code < 0x300 || code >= 0x350) width += code < 0x400 ? 0.7 : 1; /* marks: 0 */
    }
    return width;
}

double name_width(const char *text)
{
    double width = 0;
    while (*text) {
        char drawn[DRAWN_CHARACTER];
        size_t size = name_drawn(drawn, &text);
        width += clean_width(drawn, size);
    }
    return width;
}

/* A clean copy, and where its characters begin. */
typedef struct clean_text {
    char *text;
    size_t *begin; /* (characters + 1) */
    size_t characters;
} clean_text;

static bool clean(clean_text *to, const char *text)
{
    size_t bytes = strlen(text), at = 0;
    *to =
        (clean_text){malloc(4 * bytes + DRAWN_CHARACTER), malloc((bytes + 1) * sizeof(size_t)), 0};
    if (!to->text || !to->begin) return false;
    while (*text) {
        to->begin[to->characters++] = at;
        at += name_drawn(to->text + at, &text);
    }
    to->begin[to->characters] = at;
    to->text[at] = 0;
    return true;
}

static void clean_free(clean_text *text)
{
    free(text->text);
    free(text->begin);
}

/* The first or last characters of a text within a width and a number of bytes. */
static size_t part(const clean_text *text, bool last, double width, size_t bytes)
{
    size_t taken = 0, used = 0;
    for (; taken < text->characters; taken++) {
        size_t i = last ? text->characters - 1 - taken : taken;
        size_t size = text->begin[i + 1] - text->begin[i];
        width -= clean_width(text->text + text->begin[i], size);
        used += size;
        if (width < 0 || used > bytes) break;
    }
    return taken;
}

/* `head` of the width goes to the beginning of the name. */
static shown_name shorten(const char *text, double width, double head)
{
    shown_name shown = {""};
    size_t room = sizeof shown.text - RESERVED;
    clean_text whole = {0};
    if (!clean(&whole, text)) {
        clean_free(&whole);
        return shown; /* without memory a figure may lack a name */
    }
    size_t n = whole.characters;
    if (whole.begin[n] <= room && name_width(whole.text) <= width) {
        memcpy(shown.text, whole.text, whole.begin[n] + 1);
    } else {
        double left = fmax(width - name_width(ELLIPSIS), 0);
        size_t first = part(&whole, false, left * head, (size_t)((double)room * head));
        size_t last = part(&whole, true, left * (1 - head), (size_t)((double)room * (1 - head)));
        if (first + last > n) last = n - first;
        snprintf(shown.text, sizeof shown.text, "%.*s" ELLIPSIS "%s", (int)whole.begin[first],
                 whole.text, whole.text + whole.begin[n - last]);
    }
    clean_free(&whole);
    return shown;
}

shown_name name_shorten(const char *text, double width) { return shorten(text, width, 0.5); }

/* Names before i that read as name i does. */
static int alike_before(const shown_name *name, int i)
{
    int alike = 0;
    for (int j = 0; j < i; j++) alike += strcmp(name[j].text, name[i].text) == 0;
    return alike;
}

static bool distinct(const shown_name *name, int count)
{
    for (int i = 1; i < count; i++)
        if (alike_before(name, i)) return false;
    return true;
}

static void number_alike(shown_name *shown, char *const *name, int count, double width)
{
    for (int i = 0; i < count; i++) {
        char number[16] = "";
        for (int k = 2; alike_before(shown, i); k++) {
            snprintf(number, sizeof number, " (%d)", k);
            shown[i] = shorten(name[i], width - name_width(number), 0.5);
            strcat(shown[i].text, number);
        }
    }
}

shown_name *names_fit(char *const *name, int count, double width)
{
    static const double heads[] = {0.3, 0.7, 0.1, 0.9, 0.5};
    shown_name *shown = cz_alloc((size_t)count, sizeof *shown, "the names in a figure");
    if (!shown) return NULL;
    for (int i = 0; i < count; i++) shown[i] = shorten(name[i], width, 0.5);
    for (size_t k = 0; k < sizeof heads / sizeof *heads && !distinct(shown, count); k++)
        for (int i = 0; i < count; i++) shown[i] = shorten(name[i], width, heads[k]);
    number_alike(shown, name, count, width);
    return shown;
}

double names_width(const shown_name *name, int count)
{
    double widest = 0;
    for (int i = 0; i < count; i++) widest = fmax(widest, name_width(name[i].text));
    return widest;
}

/* Near names, UTF-8, numbers that read back. */
#include "check.h"

#include "czhpc/rng.h"
#include "czhpc/text.h"

static void check_distances(void)
{
    static const struct {
        const char *a, *b;
        int edits; /* in halves */
    } cases[] = {
        {"", "", 0},           {"", "abc", 6},           {"lr", "lr", 0},        {"lrr", "lr", 2},
        {"trian", "train", 2}, {"kitten", "sitting", 6}, {"Sex", "sex", 1},      {"ABC", "abc", 3},
        {"ca", "abc", 6},      {"donor", "dnoro", 4},    {"a cat", "an act", 4},
    };
    int good = 0, count = (int)(sizeof cases / sizeof *cases);
    for (int i = 0; i < count; i++) {
        int there = cz_text_distance(cases[i].a, cases[i].b);
        int back = cz_text_distance(cases[i].b, cases[i].a);
        if (there == cases[i].edits && back == there) good++;
        else printf("  '%s' '%s': %d, %d\n", cases[i].a, cases[i].b, there, back);
    }
    check(good == count, "edit distances of %d pairs, both ways", count);
    char a[600], b[600];
    memset(a, 'a', sizeof a - 1);
    memset(b, 'b', sizeof b - 1);
    a[sizeof a - 1] = b[sizeof b - 1] = 0;
    check(cz_text_distance(a, b) == 510, "names are compared to 255 bytes");
}

static void check_nearest(void)
{
    static const char *const names[] = {"astrocyte", "neuron", "B cell", "T cell", "lr", "x"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"astrocytes", "astrocyte"},
        {"nueron", "neuron"},
        {"b cell", "B cell"},
        {"t cel", "T cell"},
        {"hepatocyte", NULL},
        {"lrr", "lr"},
        {"zq", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = cz_text_nearest(cases[i].word, names, 6);
        bool same =
            got && cases[i].nearest ? !strcmp(got, cases[i].nearest) : got == cases[i].nearest;
        check(same, "nearest to '%s' is %s", cases[i].word, got ? got : "nothing");
    }
    check(!cz_text_nearest("a", NULL, 0), "nothing is near among no names");
}

static void check_utf8(void)
{
    static const struct {
        const char *what, *text;
        size_t good, size;
    } cases[] = {
        {"nothing", "", 0, 0},
        {"ASCII", "abc", 3, 3},
        {"two, three and four bytes", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA7\xAC", 9, 9},
        {"the last code point", "\xF4\x8F\xBF\xBF", 4, 4},
        {"Latin-1", "caf\xE9", 3, 4},
        {"a lone continuation", "a\x80", 1, 2},
        {"a character cut short", "ab\xE2\x82", 2, 4},
        {"an overlong slash", "\xC0\xAF", 0, 2},
        {"an overlong euro", "x\xF0\x82\x82\xAC", 1, 5},
        {"a surrogate", "\xED\xA0\x80", 0, 3},
        {"beyond the last code point", "\xF4\x90\x80\x80", 0, 4},
        {"byte FF", "\xFF", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cz_text_utf8(cases[i].text, cases[i].size) == cases[i].good, "UTF-8: %s",
              cases[i].what);
}

static void check_numbers(void)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},       {10000, "10000"},  {1e-3, "0.001"},
        {0.1, "0.1"},   {1e300, "1e+300"}, {5.947012811791727e-4, "0.0005947012811791727"},
        {-2.5, "-2.5"}, {31780, "31780"},  {1e15, "1e+15"},
    };
    char number[CZ_NUMBER_MAX];
    int good = 0, count = (int)(sizeof cases / sizeof *cases);
    for (int i = 0; i < count; i++) {
        cz_text_number(number, cases[i].value);
        if (!strcmp(number, cases[i].text)) good++;
        else printf("  %s instead of %s\n", number, cases[i].text);
    }
    check(good == count, "numbers are written short");

    cz_rng rng = cz_rng_open(1, 0, 0, 0, 0);
    int same = 0, tries = 20000;
    for (int i = 0; i < tries; i++) {
        uint64_t bits = (uint64_t)cz_rng_u32(&rng) << 32 | cz_rng_u32(&rng);
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) value = 1.0 / 3;
        cz_text_number(number, value);
        back = strtod(number, NULL);
        same += memcmp(&back, &value, sizeof value) == 0;
    }
    check(same == tries, "%d doubles of random bits read back to the same bits", tries);
}

static void check_copies(void)
{
    char to[4] = "zzz";
    check(cz_text_copy(to, sizeof to, "abc") && !strcmp(to, "abc"), "a text that just fits");
    check(!cz_text_copy(to, sizeof to, "abcd") && !to[0], "a text that does not fit");
}

int main(void)
{
    check_distances();
    check_nearest();
    check_utf8();
    check_numbers();
    check_copies();
    return check_done();
}

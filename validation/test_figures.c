/* Figures of any labels: they are drawn, print the labels and run nothing; the order of clustered
 * rows. Where gnuplot is missing, scripts and data alone. */
#include "../src/report/clustering.h"
#include "../src/report/gnuplot.h"
#include "../src/report/names.h"
#include "check.h"
#include "czhpc/report.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 150 };

/* Each would leave a file if anything of it ran; the last ones are hard to print. */
static const char *const hostile[] = {
    "\"; system(\"touch ran_1\")",
    "'; system('touch ran_2') #",
    "`touch ran_3`",
    "$(touch ran_4)",
    "\\\"; system(\"touch ran_5\") \\",
    "\\'; system('touch ran_6')",
    "\n!touch ran_7\n",
    "\nset print '|touch ran_8'\nprint 1\n",
    "@system \"touch ran_9\" @ARG1 ${x} $x",
    "{/Bold x}_{sub}^{super} &{y} ~a{b}",
    "%s %n %d %% %20000c 100 %",
    "a\tb\r\nc\vd",
    "'",
    "a''; system(\"touch ran_d\") #",
    "'"
    "''b'"
    "''; system('touch ran_e') #",
    "''\"\"\\",
    "\xCE\xB1\xCE\xB2 T cell \xE4\xB8\xAD \xF0\x9F\xA7\xAC \xC3\xA9",
    "\xFF\xC3 not UTF-8 \xED\xA0\x80",
    "",
    "# a comment; e\n\n\nNaN ?",
    "a label of exactly sixty characters, as they do exist: type A",
    "a label of exactly sixty characters, as they do exist: type B",
    "a label of sixty characters, type A, as they do exist in obs",
    "a label of sixty characters, type B, as they do exist in obs",
};
enum { HOSTILE = sizeof hostile / sizeof *hostile };

/* A made-up set of cells and what was found on it. */
typedef struct made {
    cz_cells cells;
    cz_results results;
    cz_attention attention;
    char *name[MOST], text[MOST][160];
    cz_share of_label[MOST];
    int confusion[MOST * MOST];
    double resampler[MOST * 64], fusion[64 * 64];
} made;

static void make_names(made *m, int classes, bool plain)
{
    for (int c = 0; c < classes; c++) {
        if (plain) snprintf(m->text[c], sizeof m->text[c], "donor_%d", c);
        else if (c < HOSTILE) snprintf(m->text[c], sizeof m->text[c], "%s", hostile[c]);
        else snprintf(m->text[c], sizeof m->text[c], "%s %d", hostile[c % HOSTILE], c);
        m->name[c] = m->text[c];
    }
}

static void make_head(made *m, int classes, bool known)
{
    cz_head_result *r = &m->results.head[0];
    *r = (cz_head_result){.name = m->cells.target.name, .classes = classes, .n = 100 * classes};
    r->accuracy = r->majority = (cz_share){100, known ? 0.6 : NAN, 0.5, 0.7};
    r->majority.value = known ? 0.1 : NAN;
    r->temperature = known ? 1.25 : NAN;
    r->calibration_error = r->scaled_calibration_error = known ? 0.05 : NAN;
    r->confusion = m->confusion;
    for (int i = 0; i < classes * classes && known; i++)
        m->confusion[i] = i % (classes + 1) == 0 ? 900 + i % 97 : i % 7;
    /* A class without cells has no shares. */
    for (int c = 0; c < classes; c++)
        if (classes > 2) m->confusion[c] = 0;
    for (int b = 0; b < CZ_BINS && known; b++) {
        double at = (b + 0.6) / CZ_BINS;
        r->bin[b] = b % 4 == 1 ? (cz_bin){0, NAN, NAN} : (cz_bin){10 * b + 1, at, at * at};
        r->scaled_bin[b] = (cz_bin){10 * b + 1, at, 0.9 * at};
    }
}

static void make(made *m, int classes, bool plain, bool known, bool text)
{
    memset(m, 0, sizeof *m);
    make_names(m, classes, plain);
    cz_cells *cells = &m->cells;
    snprintf(cells->target.name, sizeof cells->target.name, "%s",
             plain ? "donor_id" : "`touch ran_a` '; system('touch ran_b') {/Bold x} %s");
    snprintf(cells->label.name, sizeof cells->label.name, "%s",
             plain ? "cell_type" : "\"; system(\"touch ran_c\")");
    cells->target.classes = cells->label.classes = classes;
    cells->target.class_name = cells->label.class_name = m->name;
    make_head(m, classes, known);
    m->results.heads = 1;
    m->results.of_label = m->of_label;
    for (int c = 0; c < classes; c++) {
        double p = (c * 37 % 100) / 100.0;
        m->of_label[c] = known ? (cz_share){c * c * 13 + 1, p, p * 0.8, p + 0.2 * (1 - p)}
                               : (cz_share){0, NAN, NAN, NAN};
    }
    cz_attention *a = &m->attention;
    *a = (cz_attention){classes > 60 ? 100 : 61, 8, m->resampler, text ? 8 : 0,
                        text ? m->fusion : NULL};
    for (int i = 0; i < a->latents * a->tokens; i++)
        m->resampler[i] = known ? 0.125 + 0.1 * sin(i % 8 * (i / 8 % 5)) : NAN;
    for (int i = 0; i < 64; i++) m->fusion[i] = 0.125 + 0.05 * cos(i);
}

static bool has_gnuplot(void) { return system("command -v gnuplot >/dev/null 2>&1") == 0; }

static bool leaves_nothing(const char *folder)
{
    struct dirent *entry;
    DIR *files = opendir(folder);
    bool found = false;
    while (files && (entry = readdir(files))) found |= strstr(entry->d_name, "ran_") != NULL;
    if (files) closedir(files);
    return files && !found;
}

static bool begins(const char *folder, const char *name, const char *ending, const char *magic)
{
    char path[512], first[8] = "";
    struct stat file;
    snprintf(path, sizeof path, "%s/figures/%s.%s", folder, name, ending);
    FILE *in = fopen(path, "rb");
    size_t got = in ? fread(first, 1, strlen(magic), in) : 0;
    bool whole = in && fstat(fileno(in), &file) == 0 && file.st_size > 2000;
    if (in) fclose(in);
    return whole && got == strlen(magic) && !memcmp(first, magic, got);
}

static void write_metrics(const char *folder, const char *head)
{
    char path[512];
    snprintf(path, sizeof path, "%s/metrics.jsonl", folder);
    FILE *out = fopen(path, "w");
    if (!out) return;
    for (int epoch = 1; epoch <= 3; epoch++) {
        fprintf(out, "{\"epoch\": %d, \"train\": {\"", epoch);
        for (const char *at = head; *at; at++) fprintf(out, "%s%c", *at == '"' ? "\\" : "", *at);
        fprintf(out, "\": {\"accuracy\": 0.%d, \"loss\": 1.%d}}}\n", epoch, epoch);
    }
    fclose(out);
}

static void test_drawing(const char *what, int classes, bool plain, bool known, bool text)
{
    static made m;
    static const char *const names[] = {"training_curves",
                                        "confusion_matrix",
                                        "accuracy_by_label",
                                        "reliability",
                                        "perceiver_attention_heatmap",
                                        "text_attention_heatmap"};
    char folder[] = "/tmp/figures_XXXXXX", command[600], figures[512];
    bool drawn = false, pictures = true;
    if (!mkdtemp(folder)) {
        check(false, "no temporary folder");
        return;
    }
    make(&m, classes, plain, known, text);
    write_metrics(folder, m.cells.target.name);
    cz_status status = cz_figures_draw(folder, &m.cells, &m.results, &m.attention, &drawn);
    for (int i = 0; i < 5 + text; i++) {
        if (!known && !strcmp(names[i], "accuracy_by_label")) continue;
        bool there =
            begins(folder, names[i], "png", "\x89PNG") && begins(folder, names[i], "pdf", "%PDF-1");
        if (!there) printf("     %s is missing\n", names[i]);
        pictures = pictures && there;
    }
    snprintf(command, sizeof command, "tools/figures.sh %s >/dev/null", folder);
    bool again = system(command) == 0;
    snprintf(figures, sizeof figures, "%s/figures", folder);
    check(!status && drawn && pictures, "%s: drawn", what);
    check(again, "%s: drawn again by tools/figures.sh", what);
    check(access(strcat(figures, "/gnuplot.log"), F_OK) != 0, "%s: gnuplot has nothing to say",
          what);
    *strrchr(figures, '/') = 0;
    check(leaves_nothing(figures) && leaves_nothing("."), "%s: no label ran", what);
    snprintf(command, sizeof command, "rm -r %s", folder);
    if (getenv("KEEP_FIGURES")) printf("     %s\n", folder);
    else if (system(command)) printf("     %s stays\n", folder);
}

static void test_names(void)
{
    char *name[HOSTILE + 2];
    for (int i = 0; i < HOSTILE; i++) name[i] = (char *)hostile[i];
    name[HOSTILE] = name[HOSTILE + 1] = (char *)hostile[0];
    for (int width = 8; width <= 40; width += 8) {
        shown_name *shown = names_fit(name, HOSTILE + 2, width);
        int alike = 0;
        double widest = shown ? names_width(shown, HOSTILE + 2) : INFINITY;
        for (int i = 0; shown && i < HOSTILE + 2; i++)
            for (int j = 0; j < i; j++) alike += !strcmp(shown[i].text, shown[j].text);
        check(!alike && widest <= width, "names within %d em stay distinct (%.2f em)", width,
              widest);
        free(shown);
    }
    check(!strcmp(name_shorten("a\tb\n\xFF", 20).text, "a b \xEF\xBF\xBD"),
          "controls and stray bytes");
    check(!strcmp(name_shorten("\xE4\xB8\xAD \xCE\xB1", 20).text, "<U+4E2D> \xCE\xB1"),
          "other scripts");
    check(!strcmp(name_shorten("plain {text} $x `y` 100 %", 99).text, "plain {text} $x `y` 100 %"),
          "other names print as they are");
}

/* gnuplot itself reads each label back. */
static void test_quoting(void)
{
    char path[] = "/tmp/quoting_XXXXXX", command[64], line[1024];
    int wrong = 0, file = mkstemp(path);
    FILE *script = file >= 0 ? fdopen(file, "w") : NULL;
    for (int i = 0; i < HOSTILE && script; i++) {
        fputs("set print '-'\nprint ", script);
        figure_quote(script, hostile[i]);
        fputc('\n', script);
    }
    if (script) fclose(script);
    snprintf(command, sizeof command, "gnuplot -d %s 2>&1", path);
    FILE *said = popen(command, "r");
    for (int i = 0; i < HOSTILE; i++) {
        shown_name shown = name_shorten(hostile[i], INFINITY);
        const char *want = shown.text;
        bool same = said && fgets(line, sizeof line, said) && strlen(line) == strlen(want) + 1 &&
                    !strncmp(line, want, strlen(want));
        if (!same) printf("     '%s' reads as %s", want, line);
        wrong += !same;
    }
    check(said && !wrong && pclose(said) == 0, "gnuplot reads %d labels as they stand", HOSTILE);
    unlink(path);
}

/* rows columns, the rows, then the leaves as scipy orders them; several such. */
static void test_clustering(void)
{
    FILE *in = fopen("validation/fixtures/clustering.txt", "r");
    int rows, columns, cases = 0;
    double x[64 * 64];
    while (in && fscanf(in, "%d %d", &rows, &columns) == 2 && rows <= 64 && columns <= 64) {
        int order[64], want, wrong = 0;
        for (int i = 0; i < rows * columns; i++) wrong += fscanf(in, "%lf", &x[i]) != 1;
        wrong += cluster_order(order, x, rows, columns) != CZ_OK;
        for (int i = 0; i < rows; i++) wrong += fscanf(in, "%d", &want) != 1 || want != order[i];
        check(!wrong, "%d rows of %d stand in scipy's order", rows, columns);
        cases++;
    }
    check(cases > 0, "%d cases of validation/fixtures/clustering.txt", cases);
    if (in) fclose(in);
    double nans[6] = {NAN, 1, 1, NAN, 1, 1};
    int order[3] = {-1, -1, -1};
    check(cluster_order(order, nans, 3, 2) == CZ_OK && order[0] + order[1] + order[2] == 3 &&
              order[0] * order[1] * order[2] == 0,
          "rows that are not numbers stand somewhere");
}

int main(void)
{
    test_names();
    test_clustering();
    if (!has_gnuplot()) {
        check_skip("drawing: gnuplot is missing");
        return check_done();
    }
    test_quoting();
    test_drawing("14 donors", 14, true, true, true);
    test_drawing("hostile labels", HOSTILE, false, true, true);
    test_drawing("40 hostile labels", 40, false, true, false);
    test_drawing("1 class", 1, true, true, true);
    test_drawing("2 classes", 2, true, true, false);
    test_drawing("more classes than names fit", MOST, false, true, false);
    test_drawing("nothing known", 3, true, false, true);
    return check_done();
}

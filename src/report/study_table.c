/* A study in words: what it is, its trials best first, the importance of its parameters. */
#include "study_table.h"
#include "csv.h"
#include "czhpc/file.h"
#include "czhpc/text.h"
#include "words.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* Widths in characters. */
enum { WIDTH = 100, NAME = 30, CELL = 24, FIRST = 6, STATE = 8, VALUE = 11, GAP = 2 };

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static void print_head(FILE *out, const study_view *view)
{
    static const cz_trial_state order[] = {CZ_TRIAL_COMPLETE, CZ_TRIAL_PRUNED, CZ_TRIAL_FAILED,
                                           CZ_TRIAL_RUNNING, CZ_TRIAL_WAITING};
    const cz_trials *trials = view->trials;
    int count[5] = {0}, best = cz_trials_best(trials);
    char name[256], number[CZ_NUMBER_MAX];
    const char *separator = ": ";
    for (int i = 0; i < trials->count; i++) count[trials->trial[i].state]++;
    fprintf(out, "Study        %s, %s\nTrials       %d",
            cz_text_printable(name, sizeof name, view->name),
            trials->maximise ? "maximises" : "minimises", trials->count);
    for (int s = 0; s < 5; s++) {
        if (!count[order[s]]) continue;
        fprintf(out, "%s%d %s", separator, count[order[s]], study_state(order[s]));
        separator = ", ";
    }
    if (best < 0) fputs("\nBest         none is complete\n", out);
    else {
        cz_text_number(number, trials->trial[best].value);
        fprintf(out, "\nBest         %s, trial %d\n", number, best);
    }
}

static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++) width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

/* What a trial's column takes: its title, and the widest of its values. */
static int column_width(const study_view *view, int param, int rows)
{
    char text[STUDY_TEXT];
    const study_param *of = &view->param[param];
    int width = width_of(study_param_name(of)), widest = 1;
    if (width > NAME) width = NAME;
    for (int i = 0; i < rows; i++) {
        int its = width_of(study_text(text, of, study_value(view, view->ranked[i], param)));
        if (its > widest) widest = its;
    }
    if (widest > CELL) widest = CELL;
    return widest > width ? widest : width;
}

/* "12 s", "3.5 hours". */
static void age_text(char *text, size_t size, double seconds)
{
    static const struct {
        double seconds;
        const char *name;
    } units[] = {{86400, "days"}, {3600, "hours"}, {60, "minutes"}};
    for (int u = 0; u < 3; u++) {
        if (seconds < 2 * units[u].seconds) continue;
        snprintf(text, size, "%.1f %s", seconds / units[u].seconds, units[u].name);
        return;
    }
    snprintf(text, size, "%.0f s", seconds);
}

/* When a running trial was heard of. */
static void note_lease(char *note, size_t size, const cz_trial *trial)
{
    const char *owner;
    double beat, lease = cz_study_lease_seconds();
    char ago[32];
    if (!cz_trial_lease(trial, &owner, &beat)) {
        snprintf(note, size, "of another program: it has no lease");
        return;
    }
    if (beat == 0) {
        snprintf(note, size, "was given up, to be resumed");
        return;
    }
    double age = now() - beat;
    age_text(ago, sizeof ago, age);
    if (age > lease)
        snprintf(note, size, "last heard of %s ago: its lease of %g s is over", ago, lease);
    else snprintf(note, size, "last heard of %s ago", ago);
}

/* What a row does not tell in columns; false: nothing. */
static bool note_of(char *note, size_t size, const cz_trial *trial)
{
    const char *failure = json_string_value(json_object_get(trial->user, "czhpc:failure"));
    bool failed = trial->state == CZ_TRIAL_FAILED && failure;
    if (failed) snprintf(note, size, "%s", failure);
    else if (trial->state == CZ_TRIAL_RUNNING) note_lease(note, size, trial);
    return failed || trial->state == CZ_TRIAL_RUNNING;
}

/* The columns from `first` on that fit; the first block tells states and values too. */
static int columns_of(const study_view *view, const int *width, int first)
{
    int used = FIRST + (first ? 0 : GAP + STATE + GAP + VALUE), last = first;
    while (last < view->params && (last == first || used + GAP + width[last] <= WIDTH))
        used += GAP + width[last++];
    return last;
}

/* The last column of a line ends with its text. */
static void print_cell(FILE *out, const char *text, int width, bool last)
{
    char buffer[SHOWN_MAX];
    shown(buffer, text, width);
    size_t length = strlen(buffer);
    while (last && length && buffer[length - 1] == ' ') length--;
    fprintf(out, "%*s%.*s", GAP, "", (int)length, buffer);
}

static void print_title(FILE *out, const study_view *view, const int *width, int first, int last)
{
    fprintf(out, "\n%*s", FIRST, "trial");
    if (!first) {
        print_cell(out, "state", STATE, false);
        fprintf(out, "%*s%*s", GAP, "", VALUE, "value");
    }
    for (int p = first; p < last; p++)
        print_cell(out, study_param_name(&view->param[p]), width[p], p + 1 == last);
    fputc('\n', out);
}

static void print_row(FILE *out, const study_view *view, int number, const int *width, int first,
                      int last)
{
    const cz_trial *trial = &view->trials->trial[number];
    char text[STUDY_TEXT], note[256], cut[256];
    fprintf(out, "%*d", FIRST, number);
    if (!first) {
        print_cell(out, study_state(trial->state), STATE, false);
        if (isnan(trial->value)) fprintf(out, "%*s%*s", GAP, "", VALUE, "-");
        else fprintf(out, "%*s%#*.6g", GAP, "", VALUE, trial->value);
    }
    for (int p = first; p < last; p++)
        print_cell(out, study_text(text, &view->param[p], study_value(view, number, p)), width[p],
                   p + 1 == last);
    fputc('\n', out);
    if (!first && note_of(note, sizeof note, trial))
        fprintf(out, "%*s%s\n", FIRST + GAP, "",
                cz_text_printable(cut, WIDTH - FIRST - GAP + 1, note));
}

static cz_status print_trials(FILE *out, const study_view *view, int most)
{
    int rows = view->trials->count < most ? view->trials->count : most, first = 0;
    int *width = cz_alloc((size_t)view->params + 1, sizeof *width, "a table of trials");
    if (!width) return CZ_ERR_MEMORY;
    for (int p = 0; p < view->params; p++) width[p] = column_width(view, p, rows);
    do {
        int last = columns_of(view, width, first);
        print_title(out, view, width, first, last);
        for (int i = 0; i < rows; i++) print_row(out, view, view->ranked[i], width, first, last);
        first = last;
    } while (first < view->params);
    if (rows < view->trials->count)
        fprintf(out, "%*s%d more\n", FIRST + GAP, "", view->trials->count - rows);
    free(width);
    return CZ_OK;
}

static void print_importance(FILE *out, const study_view *view)
{
    enum { BAR = 40 };
    char name[SHOWN_MAX];
    int width = 1;
    if (view->unknown) {
        fprintf(out, "\nImportance   not known: %s\n", view->unknown);
        return;
    }
    fprintf(out,
            "\nImportance   share of the variance that a parameter alone explains, by fANOVA on "
            "%d trials\n",
            view->complete);
    for (int p = 0; p < view->params; p++) {
        int its = width_of(study_param_name(&view->param[p]));
        if (its > width) width = its < NAME ? its : NAME;
    }
    for (int i = 0; i < view->params; i++) {
        const study_param *param = &view->param[view->important[i]];
        fprintf(out, "  %s", shown(name, study_param_name(param), width));
        if (isnan(param->share)) fputs("      -  some of them do not have it\n", out);
        else {
            int bar = (int)lrint(BAR * param->share);
            fprintf(out, "  %5.3f%s", param->share, bar ? "  " : "");
            while (bar-- > 0) fputc('#', out);
            fputc('\n', out);
        }
    }
}

cz_status study_print(FILE *out, const study_view *view, int most)
{
    print_head(out, view);
    if (view->trials->count > 0 && most > 0) CZ_TRY(print_trials(out, view, most));
    if (view->trials->count > 0) print_importance(out, view);
    return CZ_OK;
}

static void write_time(FILE *out, double seconds)
{
    char text[64] = "";
    struct tm day;
    time_t whole = isfinite(seconds) ? (time_t)seconds : 0;
    if (isfinite(seconds) && localtime_r(&whole, &day))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &day);
    fprintf(out, ",%s", text);
}

cz_status study_csv(const char *path, const study_view *view)
{
    cz_new_file file;
    CZ_TRY(cz_new_file_open(&file, path));
    FILE *out = file.out;
    fputs("trial,state,value,started,ended", out);
    for (int p = 0; p < view->params; p++) {
        fputc(',', out);
        csv_text(out, "", study_param_name(&view->param[p]), "");
    }
    fputc('\n', out);
    for (int i = 0; i < view->trials->count; i++) {
        const cz_trial *t = &view->trials->trial[i];
        char text[STUDY_TEXT];
        fprintf(out, "%d,%s,", i, study_state(t->state));
        csv_number(out, t->value, "");
        write_time(out, t->started);
        write_time(out, t->ended);
        for (int p = 0; p < view->params; p++) {
            double value = study_value(view, i, p);
            fputc(',', out);
            if (view->param[p].about->kind == CZ_CATEGORICAL && !isnan(value))
                csv_text(out, "", study_text(text, &view->param[p], value), "");
            else csv_number(out, value, "");
        }
        fputc('\n', out);
    }
    return cz_new_file_close(&file);
}

#include "gnuplot.h"
#include "czhpc/config.h"
#include "names.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static FILE *create(const figure *f, const char *ending)
{
    char path[4 * CZ_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.%s", f->list->folder, f->name, ending);
    FILE *out = fopen(path, "w");
    if (!out) cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    return out;
}

static cz_status close_written(const figure *f, FILE *out, const char *ending)
{
    if (!out) return CZ_OK;
    int failed = ferror(out);
    if (fclose(out) || failed)
        return cz_fail(CZ_ERR_IO, "%s/%s.%s: writing failed: %s", f->list->folder, f->name, ending,
                       strerror(errno));
    return CZ_OK;
}

cz_status figure_open(figure *f, figure_list *list, const char *name, double width, double height)
{
    *f = (figure){.list = list, .name = name, .width = width, .height = height};
    f->script = create(f, "gp");
    f->data = f->script ? create(f, "dat") : NULL;
    if (!f->data) {
        close_written(f, f->script, "gp");
        return CZ_ERR_IO;
    }
    fprintf(f->script,
            "# Redraw in this folder: gnuplot -d %s.gp\n"
            "set encoding utf8\nset datafile separator tab\n"
            "set border 3 lw 1 lc rgb '#333333'\nset tics nomirror out scale 0.5\n"
            "set grid noxtics noytics lc rgb '#dddddd' lt 1 lw 0.7\n"
            "set style line 1 lt 1 lw 2 pt 7 ps 0.4\n",
            name);
    return CZ_OK;
}

cz_status figure_close(figure *f)
{
    cz_status data = close_written(f, f->data, "dat"), script = close_written(f, f->script, "gp");
    if (data || script) return CZ_ERR_IO;
    if (f->list->count == FIGURES_MAX)
        return cz_fail(CZ_ERR_BUG, "more than %d figures", FIGURES_MAX);
    f->list->name[f->list->count++] = f->name;
    return CZ_OK;
}

void figure_quote(FILE *out, const char *text)
{
    bool escaped = false;
    fputc('"', out);
    while (*text) {
        char drawn[DRAWN_CHARACTER];
        size_t size = name_drawn(drawn, &text);
        for (size_t i = 0; i < size; i++) {
            unsigned char at = (unsigned char)drawn[i];
            /* gnuplot would read a digit behind \ooo as a part of it. */
            bool plain = at >= 0x80 || isalpha(at) || strchr(" _-+.,:;/()=", at) ||
                         (isdigit(at) && !escaped);
            if (plain) fputc(at, out);
            else fprintf(out, "\\%03o", at);
            escaped = !plain;
        }
    }
    fputc('"', out);
}

void figure_margins(const figure *f, double left, double right, double bottom, double top)
{
    fprintf(f->script,
            "set lmargin at screen %.5f\nset rmargin at screen %.5f\n"
            "set bmargin at screen %.5f\nset tmargin at screen %.5f\n",
            left / f->width, 1 - right / f->width, bottom / f->height, 1 - top / f->height);
}

void figure_title(const figure *f, const char *what)
{
    double most = f->width / FIGURE_FONT - 2;
    shown_name title = name_shorten(what, most);
    fputs("set label ", f->script);
    figure_quote(f->script, title.text);
    fprintf(f->script, " at screen 0.5, screen %.5f center font ',%g'\n", 1 - 8 / f->height,
            FIGURE_FONT);
}

void figure_name(const figure *f, const char *name, const char *x, const char *y, const char *how)
{
    fputs("set label ", f->script);
    figure_quote(f->script, name);
    fprintf(f->script, " at %s, %s %s font ',%g'\n", x, y, how, FIGURE_SMALL);
}

void figure_output(const figure *f, bool pdf)
{
    /* Both terminals draw a font of size 1 as 4/3 points, for screens of 96 dots an inch. */
    const double font = 0.75, dots = 300.0 / 72;
    if (pdf)
        fprintf(f->script,
                "set terminal pdfcairo noenhanced size %.4fin,%.4fin font 'DejaVu Sans,%g' "
                "fontscale %g\n",
                f->width / 72, f->height / 72, FIGURE_FONT, font);
    else
        fprintf(f->script,
                "set terminal pngcairo noenhanced size %.0f,%.0f font 'DejaVu Sans,%g' "
                "fontscale %g linewidth %g pointscale %g\n",
                f->width * dots, f->height * dots, FIGURE_FONT, font * dots, dots / 2, dots);
    fprintf(f->script, "set output '%s.%s'\n", f->name, pdf ? "pdf" : "png");
}

void figure_palette(const figure *f, bool from_white)
{
    enum { COLOURS = 17 };
    static const char *const viridis[COLOURS] = {
        "#440154", "#48186a", "#472d7b", "#424086", "#3b528b", "#33638d",
        "#2c728e", "#26828e", "#21918c", "#1fa088", "#28ae80", "#3fbc73",
        "#5ec962", "#84d44b", "#addc30", "#d8e219", "#fde725"};
    static const char *const white[COLOURS] = {
        "#fcfcfc", "#e2f1f7", "#c8e5f2", "#afd9ec", "#98cce7", "#82bfe0",
        "#6eb0d9", "#5da2d0", "#4e93c5", "#4284b9", "#3975ab", "#33679c",
        "#2e598b", "#2a4b79", "#263f67", "#223354", "#1d2841"};
    const char *const *colour = from_white ? white : viridis;
    fputs("set palette maxcolors 0 defined (", f->script);
    for (int i = 0; i < COLOURS; i++) fprintf(f->script, "%s%d '%s'", i ? ", " : "", i, colour[i]);
    fputs(")\n", f->script);
}

/* gnuplot runs in the folder of the figures, where its words go to a file, and in a group of its
 * own: a Ctrl-C is not for it. 0: it did not start. */
static pid_t start(const figure_list *list, const char *name)
{
    char script[CZ_NAME_MAX], words[4 * CZ_PATH_MAX];
    snprintf(words, sizeof words, "%s/gnuplot.log", list->folder);
    snprintf(script, sizeof script, "%s.gp", name);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t group;
    posix_spawnattr_init(&group);
    posix_spawnattr_setflags(&group, POSIX_SPAWN_SETPGROUP);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, words, O_WRONLY | O_CREAT | O_APPEND, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    posix_spawn_file_actions_addchdir_np(&actions, list->folder);
    /* -d: what the user's own .gnuplot sets is not for these. */
    char program[] = "gnuplot", option[] = "-d", *arguments[] = {program, option, script, NULL};
    pid_t child;
    int failed = posix_spawnp(&child, program, &actions, &group, arguments, environ);
    posix_spawnattr_destroy(&group);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? 0 : child;
}

void figures_run(const figure_list *list, int *drawn)
{
    char words[4 * CZ_PATH_MAX];
    pid_t child[FIGURES_MAX];
    struct stat file;
    snprintf(words, sizeof words, "%s/gnuplot.log", list->folder);
    unlink(words);
    for (int i = 0; i < list->count; i++) child[i] = start(list, list->name[i]);
    *drawn = 0;
    for (int i = 0; i < list->count; i++) {
        int status = -1;
        if (!child[i]) continue;
        while (waitpid(child[i], &status, 0) < 0 && errno == EINTR) {}
        *drawn += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    if (!stat(words, &file) && file.st_size == 0) unlink(words);
}

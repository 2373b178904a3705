/* Tables of where the time went, of at most 100 columns. */
#include "profile.h"

#include "czhpc/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 44 };

/* A number in `width` columns, blanks where it has no meaning. */
static const char *cell(char buffer[32], bool has, double value, int width, int digits)
{
    if (has) snprintf(buffer, 32, "%*.*f", width, digits, value);
    else snprintf(buffer, 32, "%*s", width, "");
    return buffer;
}

/* Milliseconds of a row's time that a step takes. */
static double step_ms(const profile_rows *all, const profile_row *row, double seconds)
{
    const profile_row *step = &all->row[row->step];
    return 1e3 * seconds * profile_workers(all, step) / (double)step->node.calls;
}

static void print_row(const profile_rows *all, const profile_row *row, int depth)
{
    char ms[32], speed[32], worst[32];
    bool stepped = row->step >= 0;
    /* Phases do more than products; where one thread waits for several there is no speed of one. */
    bool fast = row->node.flops > 0 && row->node.kind != CZ_SPAN_PHASE &&
                (row->shared || all->threads == 1);
    cz_note("  %*s%-*s %9lld %9.3f %6.1f%s%s%s", 2 * depth, "", NAME - 2 * depth, row->node.name,
            (long long)row->node.calls, row->seconds, 100 * row->seconds / all->wall,
            cell(worst, all->ranks > 1, row->worst, 10, 3),
            cell(ms, stepped, stepped ? step_ms(all, row, row->seconds) : 0, 9, 3),
            cell(speed, fast, row->node.flops / (double)row->node.ns, 8, 1));
}

/* What is too short to matter: less than a thousandth of the job; of single operations outside of
 * training steps less than a hundredth. */
static bool matters(const profile_rows *all, const profile_row *row, double seconds)
{
    bool near = row->step >= 0 || row->node.kind == CZ_SPAN_PHASE;
    return seconds >= all->wall / (near ? 1000 : 100);
}

/* The time of a row that no span below it tells of. */
static void print_rest(const profile_rows *all, const profile_row *row, int depth)
{
    char ms[32], worst[32];
    double seconds = row->seconds - row->children;
    bool stepped = row->step >= 0;
    if (row->children <= 0 || !matters(all, row, seconds)) return;
    cz_note("  %*s%-*s %9s %9.3f %6.1f%s%s", 2 * depth, "", NAME - 2 * depth, "(rest)", "", seconds,
            100 * seconds / all->wall, cell(worst, false, 0, all->ranks > 1 ? 10 : 0, 0),
            cell(ms, stepped, stepped ? step_ms(all, row, seconds) : 0, 9, 3));
}

/* A row and what is below; returns how many rows are left out. */
static int print_tree(const profile_rows *all, int at, int depth)
{
    int hidden = 0;
    print_row(all, &all->row[at], depth);
    for (int i = at + 1; i < all->rows; i++) {
        if (all->row[i].node.parent != at) continue;
        bool shown = matters(all, &all->row[i], all->row[i].seconds);
        hidden += shown ? print_tree(all, i, depth + 1) : 1;
    }
    print_rest(all, &all->row[at], depth + 1);
    return hidden;
}

/* Rows of steps, brought together by name. */
typedef struct entry {
    char name[CZ_PROFILE_NAME];
    int64_t calls;
    double seconds, flops; /* of all workers */
} entry;

typedef struct entries {
    const profile_rows *all;
    entry *entry;
    int count;
} entries;

/* Adds a row's time, with or without what is below. */
static void add(entries *to, const char *name, int length, const profile_row *row, bool whole)
{
    double seconds = whole ? row->seconds : row->seconds - row->children;
    int i = 0;
    while (i < to->count &&
           (strncmp(to->entry[i].name, name, (size_t)length) || to->entry[i].name[length]))
        i++;
    entry *e = &to->entry[i];
    if (i == to->count) snprintf(e->name, sizeof e->name, "%.*s", length, name);
    to->count += i == to->count;
    e->calls += row->node.calls;
    e->seconds += seconds * profile_workers(to->all, row);
    if (whole || row->children <= 0) e->flops += row->node.flops;
}

static void add_operation(entries *to, const profile_row *row)
{
    add(to, row->node.name, (int)strlen(row->node.name), row, false);
}

/* The parts of the model, both ways; and what else a step does. */
static void add_part(entries *to, const profile_row *row)
{
    const cz_profile_node *parent = &to->all->row[row->node.parent].node;
    const char *name = row->node.name, *way = strrchr(name, ' ');
    bool both = way && (!strcmp(way, " forward") || !strcmp(way, " backward"));
    bool is_step = row == &to->all->row[row->step], is_model = !strcmp(name, "compute");
    bool in_step = row->node.parent == row->step;
    bool in_model = parent->parent == row->step && !strcmp(parent->name, "compute");
    if (is_step || (in_step && is_model)) add(to, "(rest)", 6, row, false);
    else if (in_step || in_model)
        add(to, name, both ? (int)(way - name) : (int)strlen(name), row, true);
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const entry *)a)->seconds, y = ((const entry *)b)->seconds;
    return (x < y) - (x > y);
}

static void print_entries(entries *list, const char *title, double steps, double workers)
{
    double whole = 0;
    for (int i = 0; i < list->count; i++) whole += list->entry[i].seconds;
    qsort(list->entry, (size_t)list->count, sizeof *list->entry, by_seconds);
    cz_note("  %-*s %9s %9s %6s %8s %7s", NAME, title, "calls", "s", "% step", "ms/step",
            "GFLOP/s");
    for (int i = 0; i < list->count; i++) {
        char speed[32];
        const entry *e = &list->entry[i];
        if (e->seconds < whole / 1000) break;
        cz_note("  %-*s %9lld %9.3f %6.1f %8.3f%s", NAME, e->name, (long long)e->calls,
                e->seconds / workers, 100 * e->seconds / whole, 1e3 * e->seconds / steps,
                cell(speed, e->flops > 0, 1e-9 * e->flops / e->seconds, 8, 1));
    }
}

/* What all training steps together are made of. */
static cz_status print_steps(const profile_rows *all, const char *title,
                             void (*add_row)(entries *to, const profile_row *row))
{
    double steps = 0, workers = 0;
    entries list = {.all = all};
    list.entry = cz_alloc((size_t)all->rows + 1, sizeof *list.entry, "the table of steps");
    if (!list.entry) return CZ_ERR_MEMORY;
    for (int i = 0; i < all->rows; i++) {
        const profile_row *row = &all->row[i];
        if (row->step < 0) continue;
        if (row->step == i) {
            steps += (double)row->node.calls;
            workers = profile_workers(all, row);
        }
        add_row(&list, row);
    }
    if (steps > 0) print_entries(&list, title, steps, workers);
    free(list.entry);
    return CZ_OK;
}

static void print_heading(const profile_rows *all)
{
    char over[96] = "";
    if (all->ranks > 1) snprintf(over, sizeof over, ", mean of %d ranks", all->ranks);
    if (all->threads > 1)
        snprintf(over + strlen(over), sizeof over - strlen(over),
                 ", where its %d threads share the work their mean", all->threads);
    cz_note("Profile      s: seconds of a rank%s;", over);
    cz_note("             calls: of all; GFLOP/s: of one thread, in matrix products");
    cz_note("  %-*s %9s %9s %6s%s %8s %7s", NAME, "span", "calls", "s", "% job",
            all->ranks > 1 ? "   slowest" : "", "ms/step", "GFLOP/s");
}

cz_status profile_print(const profile_rows *all)
{
    print_heading(all);
    int hidden = print_tree(all, 0, 0);
    if (hidden) cz_note("  %d shorter ones are not shown", hidden);
    if (all->lost) cz_warn("%lld spans had no place in the profile", (long long)all->lost);
    CZ_TRY(print_steps(all, "parts of a step", add_part));
    return print_steps(all, "operations of a step, without what is below", add_operation);
}

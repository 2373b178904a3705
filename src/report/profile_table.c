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

/* Steps of a worker. */
static double steps_of(const profile_rows *all, const profile_row *row)
{
    const profile_row *step = &all->row[row->step];
    return (double)step->node.calls / profile_workers(all, step);
}

static void print_row(const profile_rows *all, const profile_row *row, int depth)
{
    char ms[32], speed[32], worst[32];
    bool several = all->ranks > 1, stepped = row->step >= 0;
    bool fast = row->node.flops > 0 && (row->shared || all->threads == 1);
    int indent = 2 * depth;
    cz_note("  %*s%-*s %9lld %9.3f %6.1f%s%s%s", indent, "", NAME - indent, row->node.name,
            (long long)row->node.calls, row->seconds, 100 * row->seconds / all->wall,
            cell(worst, several, row->worst, 10, 3),
            cell(ms, stepped, stepped ? 1e3 * row->seconds / steps_of(all, row) : 0, 9, 3),
            cell(speed, fast, 1e-9 * row->node.flops / (1e-9 * (double)row->node.ns), 8, 1));
}

/* What is too short to matter: less than a thousandth of the job; of single operations outside of
 * training steps less than a hundredth. */
static bool matters(const profile_rows *all, const profile_row *row, double seconds)
{
    bool near = row->step >= 0 || row->node.kind == CZ_SPAN_PHASE;
    return seconds >= all->wall / (near ? 1000 : 100);
}

/* The time of a row that no span below it tells of. */
static void print_rest(const profile_rows *all, int of, int depth)
{
    profile_row rest = all->row[of];
    rest.seconds -= rest.children;
    if (rest.children <= 0 || !matters(all, &rest, rest.seconds)) return;
    char ms[32];
    bool stepped = rest.step >= 0;
    cz_note("  %*s%-*s %9s %9.3f %6.1f%10s%s", 2 * depth, "", NAME - 2 * depth, "(rest)", "",
            rest.seconds, 100 * rest.seconds / all->wall, "",
            cell(ms, stepped, stepped ? 1e3 * rest.seconds / steps_of(all, &rest) : 0, 9, 3));
}

/* A row and what is below; returns how many rows are left out. */
static int print_tree(const profile_rows *all, int at, int depth)
{
    int hidden = 0;
    print_row(all, &all->row[at], depth);
    for (int i = at + 1; i < all->rows; i++) {
        if (all->row[i].node.parent != at) continue;
        if (matters(all, &all->row[i], all->row[i].seconds))
            hidden += print_tree(all, i, depth + 1);
        else hidden++;
    }
    print_rest(all, at, depth + 1);
    return hidden;
}

typedef struct operation {
    const char *name;
    int64_t calls;
    double seconds, flops; /* of all workers */
} operation;

static int by_seconds(const void *a, const void *b)
{
    double x = ((const operation *)a)->seconds, y = ((const operation *)b)->seconds;
    return (x < y) - (x > y);
}

/* The rows in steps by name, each without what is below it. */
static int list_operations(operation *list, const profile_rows *all)
{
    int count = 0;
    for (int i = 0; i < all->rows; i++) {
        const profile_row *row = &all->row[i];
        int o = 0;
        if (row->step < 0) continue;
        while (o < count && strcmp(list[o].name, row->node.name)) o++;
        if (o == count) list[count++] = (operation){.name = row->node.name};
        list[o].calls += row->node.calls;
        list[o].seconds += (row->seconds - row->children) * profile_workers(all, row);
        if (row->children <= 0) list[o].flops += row->node.flops;
    }
    qsort(list, (size_t)count, sizeof *list, by_seconds);
    return count;
}

static cz_status print_operations(const profile_rows *all)
{
    double steps = 0, workers = 0;
    operation *list = cz_alloc((size_t)all->rows + 1, sizeof *list, "the table of operations");
    if (!list) return CZ_ERR_MEMORY;
    for (int i = 0; i < all->rows; i++) {
        if (all->row[i].step != i) continue;
        workers = profile_workers(all, &all->row[i]);
        steps += (double)all->row[i].node.calls;
    }
    int count = steps > 0 ? list_operations(list, all) : 0;
    double whole = 0;
    for (int i = 0; i < count; i++) whole += list[i].seconds;
    if (count)
        cz_note("  %-*s %9s %9s %6s %9s %7s", NAME, "in steps, without what is below, all parts",
                "calls", "s", "% step", "ms/step", "GFLOP/s");
    for (int i = 0; i < count; i++) {
        char speed[32];
        const operation *o = &list[i];
        if (o->seconds < whole / 1000) break;
        cz_note("  %-*s %9lld %9.3f %6.1f %9.3f%s", NAME, o->name, (long long)o->calls,
                o->seconds / workers, 100 * o->seconds / whole, 1e3 * o->seconds / steps,
                cell(speed, o->flops > 0, 1e-9 * o->flops / o->seconds, 8, 1));
    }
    free(list);
    return CZ_OK;
}

cz_status profile_print(const profile_rows *all)
{
    bool several = all->ranks > 1;
    cz_note("Profile      seconds are means over the %d rank%s; where the threads share the work, "
            "over their",
            all->ranks, several ? "s" : "");
    cz_note("             %d too. calls: of all. GFLOP/s: of a thread, matrix products only",
            all->threads);
    cz_note("  %-*s %9s %9s %6s%10s%9s%8s", NAME, "span", "calls", "s", "% job",
            several ? "worst rank" : "", "ms/step", "GFLOP/s");
    int hidden = print_tree(all, 0, 0);
    if (hidden) cz_note("  %d spans of less than 0.1 %% of the job are not shown", hidden);
    if (all->lost) cz_warn("%lld spans had no place in the profile", (long long)all->lost);
    return print_operations(all);
}

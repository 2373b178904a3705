/* Which group worked when. */
#include "queue_parts.h"

#include <math.h>
#include <stdlib.h>

cz_status cz_timeline_add(cz_timeline *timeline, int *room, cz_stretch stretch)
{
    if (timeline->count == *room) {
        int wanted = *room ? 2 * *room : 64;
        cz_stretch *grown = realloc(timeline->stretch, (size_t)wanted * sizeof *grown);
        if (!grown) return cz_fail(CZ_ERR_MEMORY, "no memory for %d work items", wanted);
        timeline->stretch = grown;
        *room = wanted;
    }
    timeline->stretch[timeline->count++] = stretch;
    return CZ_OK;
}

static int by_end(const void *a, const void *b)
{
    const cz_stretch *x = a, *y = b;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return (x->group > y->group) - (x->group < y->group);
}

/* Time before `end` that a group had no item; *longest grows to its longest gap. */
static double idle_of(const cz_timeline *timeline, int group, double end, double *longest)
{
    double idle = 0, since = 0;
    for (int i = 0; i <= timeline->count; i++) {
        const cz_stretch *s = timeline->stretch + i;
        bool last = i == timeline->count;
        if (!last && s->group != group) continue;
        double gap = fmin(last ? end : s->begin, end) - since;
        if (gap > 0) idle += gap;
        *longest = fmax(*longest, gap);
        if (!last) since = s->end;
    }
    return idle;
}

void cz_timeline_finish(cz_timeline *timeline, double end)
{
    double idle = 0;
    timeline->longest_idle = 0;
    if (timeline->count)
        qsort(timeline->stretch, (size_t)timeline->count, sizeof *timeline->stretch, by_end);
    for (int g = 0; g < timeline->groups; g++)
        idle += idle_of(timeline, g, end, &timeline->longest_idle);
    timeline->idle = end > 0 ? idle / (timeline->groups * end) : 0;
}

void cz_timeline_free(cz_timeline *timeline)
{
    free(timeline->stretch);
    *timeline = (cz_timeline){0};
}

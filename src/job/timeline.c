/* Which group worked when, for people. */
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "room.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What a group did, as a line of marks: work, or nothing to do. */
static void draw(const cz_timeline *timeline, int group, double end)
{
    enum { WIDTH = 56 };
    double busy[WIDTH] = {0}, all = 0;
    char line[WIDTH + 1] = "";
    int items = 0;
    for (int i = 0; i < timeline->count; i++) {
        const cz_stretch *s = &timeline->stretch[i];
        if (s->group != group) continue;
        items++;
        all += s->end - s->begin;
        for (int w = 0; w < WIDTH; w++) {
            double from = fmax(s->begin, end * w / WIDTH), to = fmin(s->end, end * (w + 1) / WIDTH);
            if (to > from) busy[w] += to - from;
        }
    }
    for (int w = 0; w < WIDTH; w++) line[w] = busy[w] > end / WIDTH / 2 ? '#' : '.';
    cz_note("  group %3d  %s  %d items, %.1f s", group, line, items, all);
}

static void print(const cz_timeline *timeline)
{
    enum { MOST = 16 };
    double end = 0;
    for (int i = 0; i < timeline->count; i++) end = fmax(end, timeline->stretch[i].end);
    cz_note("Groups       idle %.1f %% of the time while items were left, at most %.2f s at once",
            100 * timeline->idle, timeline->longest_idle);
    for (int g = 0; g < timeline->groups && g < MOST && timeline->count; g++)
        draw(timeline, g, end);
}

cz_status timeline_write(const char *folder, const char *what, const cz_timeline *timeline)
{
    char path[CZ_FILE_PATH], date[40];
    struct tm local;
    time_t now = time(NULL);
    if (timeline->groups > 1) print(timeline);
    if (!timeline->count) return CZ_OK;
    CZ_TRY(cz_file_path(path, folder, "timeline.csv"));
    bool fresh = access(path, F_OK) != 0;
    FILE *out = fopen(path, "a");
    if (!out) return cz_fail(CZ_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    localtime_r(&now, &local);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &local);
    if (fresh) fputs("ended,of,group,item,begin_s,end_s\n", out);
    for (int i = 0; i < timeline->count; i++) {
        const cz_stretch *s = &timeline->stretch[i];
        fprintf(out, "%s,%s,%d,%lld,%.3f,%.3f\n", date, what, s->group, (long long)s->item,
                s->begin, s->end);
    }
    if (fclose(out)) return cz_fail(CZ_ERR_IO, "%s: writing failed: %s", path, strerror(errno));
    return CZ_OK;
}

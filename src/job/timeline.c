/* Which group worked when, for people. */
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "room.h"

#include <stdlib.h>

cz_status timeline_write(const char *folder, const cz_timeline *timeline)
{
    char path[CZ_FILE_PATH], *text = NULL;
    size_t size = 0;
    CZ_TRY(cz_file_path(path, folder, "timeline.csv"));
    FILE *out = open_memstream(&text, &size);
    if (!out) return cz_fail(CZ_ERR_MEMORY, "no memory for the timeline");
    fputs("group,item,begin_s,end_s\n", out);
    for (int i = 0; i < timeline->count; i++) {
        const cz_stretch *s = &timeline->stretch[i];
        fprintf(out, "%d,%lld,%.3f,%.3f\n", s->group, (long long)s->item, s->begin, s->end);
    }
    cz_status status = fclose(out) ? cz_fail(CZ_ERR_MEMORY, "no memory for the timeline") : CZ_OK;
    if (!status) status = cz_write_file(path, text, size);
    free(text);
    if (!status && timeline->groups > 1)
        cz_note("Groups       idle %.1f %% of the time while items were left, at most %.2f s at "
                "once; timeline.csv shows when",
                100 * timeline->idle, timeline->longest_idle);
    return status;
}

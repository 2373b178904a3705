/* profile.json: what chrome://tracing and Perfetto show, and all rows of the table. */
#include "profile.h"

#include "czhpc/file.h"
#include "czhpc/log.h"

#include <stdio.h>
#include <stdlib.h>

/* The last of the events: no comma follows. */
static void write_names(FILE *out, const profile_rows *all)
{
    for (int r = 0; r < all->ranks; r++)
        fprintf(out,
                "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":0,"
                "\"args\":{\"name\":\"rank %d\"}}%s\n",
                r, r, r + 1 < all->ranks ? "," : "");
}

/* Microseconds; names hold no character that JSON escapes. */
static void write_events(FILE *out, const profile_rows *all)
{
    const cz_profile_event *e = all->event;
    for (int r = 0; r < all->ranks; r++)
        for (int i = 0; i < all->rank_events[r]; i++, e++)
            fprintf(out,
                    "{\"name\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,"
                    "\"dur\":%.3f},\n",
                    all->row[e->node].node.name, r, e->thread, 1e-3 * (double)e->begin,
                    1e-3 * (double)e->ns);
}

static void write_table(FILE *out, const profile_rows *all)
{
    for (int i = 0; i < all->rows; i++) {
        const profile_row *row = &all->row[i];
        fprintf(out,
                "{\"span\":%d,\"parent\":%d,\"name\":\"%s\",\"calls\":%lld,\"seconds\":%.9f,"
                "\"worst\":%.9f,\"worst_rank\":%d,\"all_threads\":%s,\"in_step\":%s,"
                "\"gflop\":%.9g}%s\n",
                i, row->node.parent, row->node.name, (long long)row->node.calls, row->seconds,
                row->worst, row->worst_rank, row->shared ? "true" : "false",
                row->step >= 0 ? "true" : "false", 1e-9 * row->node.flops,
                i + 1 < all->rows ? "," : "");
    }
}

static void write_json(FILE *out, const profile_rows *all)
{
    fprintf(out,
            "{\"displayTimeUnit\":\"ms\",\n"
            "\"otherData\":{\"ranks\":%d,\"threads\":%d,\"wall_s\":%.6f,\"spans\":%lld,"
            "\"spans_kept\":%lld},\n\"table\":[\n",
            all->ranks, all->threads, all->wall, (long long)all->calls, (long long)all->events);
    write_table(out, all);
    fputs("],\n\"traceEvents\":[\n", out);
    write_events(out, all);
    write_names(out, all);
    fputs("]}\n", out);
}

cz_status profile_write(const char *folder, const profile_rows *all)
{
    char path[CZ_FILE_PATH], *text = NULL;
    size_t size = 0;
    CZ_TRY(cz_file_path(path, folder, "profile.json"));
    FILE *out = open_memstream(&text, &size);
    if (!out) return cz_fail(CZ_ERR_MEMORY, "no memory for %s", path);
    write_json(out, all);
    int failed = ferror(out);
    cz_status status = fclose(out) || failed ? cz_fail(CZ_ERR_MEMORY, "no memory for %s", path)
                                             : cz_write_file(path, text, size);
    free(text);
    if (!status)
        cz_note("Profile      %s, for chrome://tracing or ui.perfetto.dev: %lld of %lld spans one "
                "by one, the others in the table alone",
                path, (long long)all->events, (long long)all->calls);
    return status;
}

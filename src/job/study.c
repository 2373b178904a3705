/* The tool `study`: what a search found. */
#include "czhpc/study.h"
#include "czhpc/text.h"
#include "room.h"

#include <string.h>

/* The journal's name without .log, and "-figures". */
static cz_status name_folder(char *folder, size_t size, const char *file)
{
    size_t length = strlen(file);
    if (length > 4 && !strcmp(file + length - 4, ".log")) length -= 4;
    if ((size_t)snprintf(folder, size, "%.*s-figures", (int)length, file) < size) return CZ_OK;
    return cz_fail(CZ_ERR_USAGE, "the name of the journal is too long: say --out DIR");
}

static cz_status show(const char *file, const char *name, const char *out, int most)
{
    char folder[2 * CZ_PATH_MAX];
    cz_study *study;
    const cz_trials *trials;
    if (!out) CZ_TRY(name_folder(folder, sizeof folder, file));
    CZ_TRY(cz_study_open_read(&study, file, name));
    cz_status status = cz_study_read(study, &trials);
    char names[512];
    cz_study_names(names, sizeof names, study);
    if (!status && !name && strcmp(names, cz_study_name(study)) != 0)
        printf("Studies      %s: the first is shown, --name takes another\n", names);
    if (!status)
        status = cz_study_show(stdout, out ? out : folder, trials, cz_study_name(study), most);
    cz_study_close(study);
    return status;
}

cz_status cz_job_study(const char *file, const char *name, const char *out, int trials,
                       const cz_comm *comm)
{
    return cz_comm_agree(comm, comm->rank ? CZ_OK : show(file, name, out, trials));
}

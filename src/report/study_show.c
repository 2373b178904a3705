/* What the tool `study` tells and draws. */
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "czhpc/report.h"
#include "study_figures.h"
#include "study_table.h"

static cz_status draw(const char *folder, const study_view *view)
{
    figure_list list = {.folder = folder};
    int drawn;
    CZ_TRY(history_write(&list, view));
    CZ_TRY(slices_write(&list, view));
    CZ_TRY(parallel_write(&list, view));
    CZ_TRY(importance_write(&list, view));
    figures_run(&list, &drawn);
    if (drawn < list.count)
        cz_warn("%s figures were drawn: gnuplot is missing, or failed as %s/gnuplot.log tells; "
                "scripts and data are there",
                drawn ? "not all" : "no", folder);
    if (list.count) cz_note("Figures      %s: %d, and the trials in trials.csv", folder, drawn);
    else cz_note("No figures: no trial has a value; the trials are in %s/trials.csv", folder);
    return CZ_OK;
}

cz_status cz_study_show(FILE *out, const char *folder, const cz_trials *trials, const char *name,
                        int most)
{
    study_view view;
    char csv[CZ_FILE_PATH];
    cz_status status = study_view_make(&view, trials, name);
    if (!status) status = study_print(out, &view, most);
    fflush(out);
    if (!status) status = cz_make_folder(folder);
    if (!status) status = cz_file_path(csv, folder, "trials.csv");
    if (!status) status = study_csv(csv, &view);
    if (!status) status = draw(folder, &view);
    study_view_free(&view);
    return status;
}

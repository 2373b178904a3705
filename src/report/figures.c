/* All figures of a run: written, then drawn at once. */
#include "figures.h"
#include "czhpc/file.h"
#include "czhpc/log.h"
#include "czhpc/profile.h"
#include "czhpc/report.h"

#include <time.h>

cz_status cz_figures_draw(const char *folder, const cz_cells *cells, const cz_results *results,
                          const cz_attention *attention, bool *drawn)
{
    CZ_PHASE("figures");
    char figures[3 * CZ_PATH_MAX], metrics[3 * CZ_PATH_MAX];
    figure_list list = {.folder = figures};
    struct timespec start, end;
    int pictures;
    snprintf(figures, sizeof figures, "%s/figures", folder);
    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", folder);
    CZ_TRY(cz_make_folder(figures));
    CZ_TRY(curves_write(&list, metrics, cells));
    CZ_TRY(confusion_write(&list, results, cells));
    CZ_TRY(by_label_write(&list, results, cells));
    CZ_TRY(reliability_write(&list, results));
    CZ_TRY(attention_write(&list, attention));
    clock_gettime(CLOCK_MONOTONIC, &start);
    figures_run(&list, &pictures);
    clock_gettime(CLOCK_MONOTONIC, &end);
    *drawn = pictures > 0;
    cz_log("%d of %d figures drawn in %.1f s", pictures, list.count,
           (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec));
    if (pictures < list.count)
        cz_warn("%s figures were drawn: gnuplot is missing, or failed as %s/gnuplot.log tells; "
                "scripts and data are in %s: run 'make figures RUN=%s' later",
                pictures ? "not all" : "no", figures, figures, folder);
    return CZ_OK;
}

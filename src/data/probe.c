/* What this program can be started anew for. */
#include "czhpc/data.h"
#include "h5ad_plan.h"
#include "label_probe.h"

static const cz_probe probes[] = {
    {LABELS_PROBE, labels_probe},
    {"h5ad", h5ad_probe},
};

void cz_data_serve_probe(int argc, char **argv)
{
    cz_probe_serve(argc, argv, probes, sizeof probes / sizeof *probes);
}

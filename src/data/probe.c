/* What this program can be started anew for. */
#include "czhpc/data.h"
#include "labels.h"

static const cz_probe probes[] = {
    {LABELS_PROBE, labels_probe},
};

void cz_data_serve_probe(int argc, char **argv)
{
    cz_probe_serve(argc, argv, probes, sizeof probes / sizeof *probes);
}

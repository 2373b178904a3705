/* The label table as a probe reads it. Private to src/data. */
#ifndef CZ_LABEL_PROBE_H
#define CZ_LABEL_PROBE_H

#include "czhpc/probe.h"

#define LABELS_PROBE "labels"

/* A cz_probe_walk; the request is the file's path. */
cz_status labels_probe(cz_bytes *answer, const void *request, size_t size);

#endif

/* The parts of a summary. Private to src/report; Local. */
#ifndef CZ_SUMMARY_H
#define CZ_SUMMARY_H

#include "czhpc/report.h"

#include <jansson.h>

/* The figures of all heads: tables for people, and the object "test" of summary.json. */
void test_print(const cz_summary *summary);
json_t *test_json(const cz_summary *summary);

#endif

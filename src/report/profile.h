/* The profiles of all ranks, brought together on rank 0. Private to src/report. */
#ifndef CZ_REPORT_PROFILE_H
#define CZ_REPORT_PROFILE_H

#include "czhpc/comm.h"
#include "czhpc/profile.h"

#include <stdbool.h>

/* Spans of one name at one place. A worker is a thread of a rank. */
typedef struct profile_row {
    cz_profile_node node; /* sums over all workers; flops with those below */
    bool shared;          /* all threads of a rank do it: else its main thread alone */
    int step;             /* the row of the step that it is (in), -1: of none */
    double seconds;       /* mean over the workers, or over the main threads */
    double worst;         /* of the slowest rank, likewise */
    int worst_rank;
    double children; /* seconds in spans below */
} profile_row;

typedef struct profile_rows {
    int ranks, threads; /* threads: of the rank with the most */
    int rows;
    double wall; /* seconds, mean over ranks */
    int64_t calls, lost;
    profile_row *row; /* (rows), parents before children */
    int64_t events;
    int *rank_events;        /* (ranks) */
    cz_profile_event *event; /* (events), rank by rank; node: a row */
} profile_rows;

/* Of this many workers one row's time is the mean. */
double profile_workers(const profile_rows *all, const profile_row *row);

/* Prints the tables for people. Rank 0. */
cz_status profile_print(const profile_rows *all);

/* FOLDER/profile.json, in Chrome's trace event format, with the table beside. CZ_ERR_IO,
 * CZ_ERR_MEMORY. Rank 0. */
cz_status profile_write(const char *folder, const profile_rows *all);

#endif

/* What a run leaves on disk and reads back: checkpoints and metrics. */
#ifndef CZ_STORE_H
#define CZ_STORE_H

#include "czhpc/comm.h"
#include "czhpc/param.h"
#include "czhpc/tensor.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* What a checkpoint says beside the arrays. */
enum { CZ_PROGRESS_SUMS = 64 };
typedef struct cz_progress {
    int phase;
    int epoch, step;       /* epochs done; steps done in this epoch */
    int64_t steps_done;    /* optimiser steps in all */
    int best_epoch;        /* -1: none yet */
    double best_value;     /* of the selection metric */
    int stale;             /* epochs without improvement, or the reference rule's count */
    int finished;          /* training is over; only evaluation is left */
    int64_t metrics_bytes; /* length of metrics.jsonl that belongs to this state */
    double partial[CZ_PROGRESS_SUMS]; /* sums of the epoch so far, and the last epoch's values */
} cz_progress;

typedef struct cz_checkpoint {
    cz_progress progress;
    const cz_param_entry *params; /* (count), compared on load */
    int count;
    size_t n; /* elements of each flat array */
    cz_dtype dtype;
    void *w, *m, *v; /* whole arrays; this rank's slice [begin, end) is read/written */
    size_t begin, end;
    char *config; /* resolved YAML; malloc'd by load */
    uint64_t config_hash, data_hash;
    int workers;      /* ranks * threads that trained it */
    char backend[64]; /* cz_backend_name() */
} cz_checkpoint;

/* Writes FOLDER/phase-P-epoch-EEE-step-SSSSSS.h5 (all ranks, slices, Fletcher32 chunks of
 * 65,536): .tmp, a checksum over the whole file, fsync, rename, fsync of the folder; then the
 * `latest` pointer, and all but the last `keep` are removed. `best`: this state also becomes
 * FOLDER/best.h5 (a hard link, or a copy, made atomically), which stays. Slices must be in the
 * order of ranks and make up [0, n); progress and texts are rank 0's. What a killed run left
 * half written is removed. The bytes of the datasets do not depend on the number of ranks.
 * Collective over `comm`. CZ_ERR_DIVERGED: the state is not finite, nothing is written;
 * CZ_ERR_IO: the former checkpoints stand untouched. */
cz_status cz_checkpoint_save(const char *folder, const cz_checkpoint *checkpoint, int keep,
                             int best, const cz_comm *comm);

/* Writes checkpoints beside the computation: a thread of each rank that holds a slice writes a copy
 * of it by cz_checkpoint_save() in a group of their own. While a write is under way HDF5 is that
 * thread's alone. Where rank 0 holds all, its thread writes without MPI; else MPI is called by
 * these threads, and where cz_comm_any_thread() forbids it, there is none: each checkpoint is
 * written before cz_writer_save() returns. */
typedef struct cz_writer cz_writer;

/* `state`: n, dtype, begin and end of all states to come, for whose copy memory is taken here.
 * `comm` must outlive the writer. Collective over it. Free with cz_writer_close(), collective
 * likewise, which waits, too. */
cz_status cz_writer_open(cz_writer **writer, const cz_checkpoint *state, const cz_comm *comm);
void cz_writer_close(cz_writer *writer); /* NULL is fine */

/* Whether there are such threads. Local. */
bool cz_writer_is_beside(const cz_writer *writer);

/* Waits as cz_writer_wait() does, whose failure it passes on, and copies this rank's slice; the
 * table of parameters and the text of the configuration must stay as they are until the write is
 * over. Arguments and errors as of cz_checkpoint_save(), the errors from whichever call waits for
 * this write. Collective, main thread. */
cz_status cz_writer_save(cz_writer *writer, const char *folder, const cz_checkpoint *state,
                         int keep, int best);

/* Waits until the write that is under way, if any, is over, and passes its failure on, once: so a
 * complete checkpoint is on disk after CZ_OK. Collective, main thread. */
cz_status cz_writer_wait(cz_writer *writer);

/* Reads a state back into w, m, v (this rank's slice; w whole when `whole_weights`), progress,
 * workers, backend, config and both hashes, by any number of ranks. `path`: a file, or a
 * folder, whose latest good state is taken: a damaged one is named in a warning and the one
 * before it read, best.h5 last. The table of parameters, n and the dtype must be the same, and
 * config_hash, data_hash too unless 0: CZ_ERR_INPUT names the first difference.
 * *found = 0 and CZ_OK where a folder holds no checkpoint or is not there. `config` is
 * replaced only on success. Collective, main thread; no write may be under way. */
cz_status cz_checkpoint_load(const char *path, cz_checkpoint *checkpoint, int whole_weights,
                             int *found, const cz_comm *comm);

/* metrics.jsonl: one JSON object a line, on rank 0 alone. */
typedef struct cz_metrics cz_metrics;

/* Opens `path` and cuts it to its first `keep_bytes` (0: a new file), the length that belongs
 * to the state that is resumed. Free with cz_metrics_close(). Local. CZ_ERR_INPUT: the file is
 * shorter, or no line ends there; CZ_ERR_IO. */
cz_status cz_metrics_open(cz_metrics **metrics, const char *path, int64_t keep_bytes);
void cz_metrics_close(cz_metrics *metrics); /* NULL is fine */

/* Appends one line and brings it to disk, so that no checkpoint is ahead of it: once an epoch,
 * not once a step. Doubles read back as the same bits. The caller keeps `line`. Local.
 * CZ_ERR_IO: the file is as it was. */
cz_status cz_metrics_append(cz_metrics *metrics, const json_t *line);

/* Length of the file, for cz_progress. */
int64_t cz_metrics_bytes(const cz_metrics *metrics);

#endif

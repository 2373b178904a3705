/* The zoo: AnnData files of every form, unpacked on rank 0. See make_zoo.py. */
#ifndef ZOO_H
#define ZOO_H

#include "check.h"

#include <jansson.h>
#include <mpi.h>
#include <stdlib.h>
#include <unistd.h>

static char zoo_folder[] = "/tmp/czhpc-zoo-XXXXXX";

/* Unpacks the archive for all ranks. Collective over MPI_COMM_WORLD. */
static inline void zoo_open(int rank)
{
    char command[256];
    if (rank == 0) {
        bool made = mkdtemp(zoo_folder) != NULL;
        snprintf(command, sizeof command, "tar -xJf validation/fixtures/zoo.tar.xz -C %s",
                 zoo_folder);
        if (!made || system(command) != 0) MPI_Abort(MPI_COMM_WORLD, 4);
    }
    MPI_Bcast(zoo_folder, sizeof zoo_folder, MPI_CHAR, 0, MPI_COMM_WORLD);
}

static inline void zoo_close(int rank)
{
    char command[256];
    snprintf(command, sizeof command, "rm -r %s", zoo_folder);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0 && system(command) != 0) fprintf(stderr, "%s is left\n", zoo_folder);
}

/* zoo.json, for the caller to json_decref(). */
static inline json_t *zoo_truth(void)
{
    char path[256];
    snprintf(path, sizeof path, "%s/zoo.json", zoo_folder);
    json_t *truth = json_load_file(path, 0, NULL);
    if (!truth) MPI_Abort(MPI_COMM_WORLD, 4);
    return truth;
}

#endif

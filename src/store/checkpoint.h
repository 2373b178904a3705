/* What a checkpoint is made of; the write and the read side share it. Private to src/store.
 *
 *   /meta                attributes: schema, code, backend, workers, hashes, config (YAML)
 *   /progress            attributes, one for each member of cz_progress; dataset `partial`
 *   /params/table        name, rank, rows, columns (0: a vector), offset of each parameter
 *   /state/{w,m,v}       the flat arrays (n), chunks of 65,536 elements, Fletcher32
 * and a seal after HDF5's own end, see seal.h. */
#ifndef CZ_STORE_CHECKPOINT_H
#define CZ_STORE_CHECKPOINT_H

#include "czhpc/file.h"
#include "czhpc/h5.h"
#include "czhpc/store.h"

enum { CZ_SCHEMA = 1, CZ_STATE_CHUNK = 65536, CZ_STATES = 3 };

extern const char *const cz_state_path[CZ_STATES]; /* "/state/w", ... */

/* The members of cz_progress that are numbers, as attributes. */
typedef enum cz_member_kind { CZ_MEMBER_INT, CZ_MEMBER_INT64, CZ_MEMBER_DOUBLE } cz_member_kind;
typedef struct cz_member {
    const char *name;
    size_t offset;
    cz_member_kind kind;
} cz_member;
enum { CZ_MEMBERS = 9 };
extern const cz_member cz_progress_member[CZ_MEMBERS];

/* A row of /params/table in memory; the compound type in memory (file false) or in the file.
 * Close the type with cz_h5_close(). */
typedef struct cz_table_row {
    char name[96];
    int32_t rank, rows, columns;
    uint64_t offset;
} cz_table_row;
cz_table_row cz_table_row_of(const cz_param_entry *entry);
hid_t cz_table_type(bool file);

/* The arrays of `checkpoint` in the order of cz_state_path. */
static inline void *cz_state_array(const cz_checkpoint *checkpoint, int i)
{
    return i == 0 ? checkpoint->w : i == 1 ? checkpoint->m : checkpoint->v;
}
static inline hid_t cz_state_memory_type(cz_dtype dtype)
{
    return dtype == CZ_F64 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
}
static inline hid_t cz_state_file_type(cz_dtype dtype)
{
    return dtype == CZ_F64 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE;
}

/* Moves elements [begin, end) of w, m and v (w whole when `whole_weights`) between the arrays
 * and a file that has the datasets; `writes`: to the file, else from it. Every rank gets the same
 * outcome: CZ_ERR_IO when writing, CZ_ERR_INPUT when reading. Collective. */
cz_status cz_state_move(const char *path, const cz_checkpoint *checkpoint, bool writes,
                        bool whole_weights, const cz_comm *comm);

/* A checkpoint without its state: the bytes of an HDF5 file made in memory, for the caller to
 * free(). Local. */
cz_status cz_checkpoint_image(void **bytes, size_t *size, const cz_checkpoint *checkpoint);

/* What one rank learns of a file, for all. */
typedef struct cz_findings {
    cz_status status;
    bool damaged; /* the file cannot be used at all: an older one may be tried */
    bool found;
    char path[CZ_FILE_PATH];
    cz_progress progress;
    uint64_t config_hash, data_hash;
    int workers;
    char backend[64];
    size_t config_size; /* with the final 0 */
} cz_findings;

/* Checks everything of findings->path but the numbers of its state, against `checkpoint`, and
 * fills in what it finds; *config is for the caller to free(), after a failure too. Local.
 * CZ_ERR_INPUT, with findings->damaged where the file is no usable checkpoint. */
cz_status cz_checkpoint_check(cz_findings *findings, char **config,
                              const cz_checkpoint *checkpoint);

#endif

/* What the files that find a plan share. All of it is Local, for a probe's process: HDF5 may
 * crash. Places are paths from the file's root; failures name file and place (CZ_ERR_INPUT). */
#ifndef CZ_H5AD_PARTS_H
#define CZ_H5AD_PARTS_H

#include "czhpc/h5_read.h"
#include "h5ad_plan.h"

enum { H5AD_PLACE_MAX = 1024, H5AD_LIST_MAX = 768 };

/* place = group/name. */
cz_status h5ad_join(char place[H5AD_PLACE_MAX], hid_t file, const char *group, const char *name);

/* What stands at `place`, CZ_H5_NONE where nothing does. CZ_ERR_INPUT: something does that this
 * HDF5 cannot open, or that lies in another file. */
cz_status h5ad_look(cz_h5_kind *kind, hid_t file, const char *place);

/* A text attribute of an object, "" where it has none (AnnData 0.7 names few encodings). */
typedef char h5ad_text[64];
cz_status h5ad_text_of(h5ad_text text, hid_t file, const char *place, const char *name);
/* Fails unless the object says it is of version `version`, or says none. */
cz_status h5ad_check_version(hid_t file, const char *place, const char *version);

/* A data frame's shape, and the names of its columns. Free with h5ad_frame_free(). */
typedef struct h5ad_frame {
    char place[CZ_NAME_MAX + 16]; /* obs, var, raw/var, obsm/NAME */
    char *index;                  /* the column that names the rows */
    int rows, columns;
    char **column; /* (columns) in the frame's order */
} h5ad_frame;
cz_status h5ad_frame_open(h5ad_frame *frame, hid_t file, const char *place);
void h5ad_frame_free(h5ad_frame *frame);
/* The place of column `key`. CZ_ERR_INPUT: there is none; names those there are, then `remedy`. */
cz_status h5ad_frame_find(char place[H5AD_PLACE_MAX], const h5ad_frame *frame, hid_t file,
                          const char *key, const char *remedy);

/* The entries of one axis at `place`: a dataset, or a group of values and mask. */
cz_status h5ad_entries(hsize_t *entries, hid_t file, const char *place);
/* A column of n texts, numbered by first appearance: texts, categories, integers, floating-point
 * numbers (as Python prints them) and booleans (False, True); -1 where masked, NaN or without
 * category. `column` owns what it gets, also after a failure. */
cz_status h5ad_column_read(cz_column *column, hid_t file, const char *place, int n);
/* The same column as names of rows (n), "" where missing; free with cz_h5_free_strings(). */
cz_status h5ad_names_read(char ***names, hid_t file, const char *place, int n);
/* A column of n numbers; NAN where masked. CZ_ERR_INPUT: texts or categories. */
cz_status h5ad_measure_read(double *measure, hid_t file, const char *place, int n);
/* Fails unless `place` holds n numbers, and can be read. */
cz_status h5ad_measure_check(hid_t file, const char *place, int n);

/* Fails unless `place` is a dataset of numbers or booleans of so many axes, all of whose values
 * HDF5 finds; dim gets its extent. */
cz_status h5ad_numbers_check(hsize_t *dim, hid_t file, const char *place, int axes);

/* The matrix that a request asks for, whose place is set; its rows are the plan's cells. */
cz_status h5ad_matrix_find(h5ad_matrix *matrix, hid_t file, int cells);
void h5ad_matrix_free(h5ad_matrix *matrix);

#endif

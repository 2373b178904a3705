/* Data frames of AnnData: obs, var, raw/var, and those in obsm. */
#include "czhpc/text.h"
#include "h5ad_parts.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cz_status h5ad_join(char place[H5AD_PLACE_MAX], hid_t file, const char *group, const char *name)
{
    int length = snprintf(place, H5AD_PLACE_MAX, "%s/%s", group, name);
    if (length >= 0 && length < H5AD_PLACE_MAX) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, file, group, "the name '%.60s...' is longer than %d bytes",
                      name, H5AD_PLACE_MAX - 1);
}

/* Whether a link of this path is there, also where it leads to nothing that can be opened. */
static bool has_link(hid_t file, const char *place)
{
    char part[H5AD_PLACE_MAX];
    size_t length = strlen(place);
    bool has = length < sizeof part;
    for (size_t i = 1; has && i <= length; i++) {
        if (place[i] != '/' && place[i] != 0) continue;
        memcpy(part, place, i);
        part[i] = 0;
        has = H5Lexists(file, part, H5P_DEFAULT) > 0;
    }
    H5Eclear2(H5E_DEFAULT);
    return has;
}

cz_status h5ad_look(cz_h5_kind *kind, hid_t file, const char *place)
{
    H5O_info_t info, root;
    *kind = CZ_H5_NONE;
    if (!has_link(file, place)) return CZ_OK;
    if (H5Oget_info_by_name(file, "/", &root, H5P_DEFAULT) < 0 ||
        H5Oget_info_by_name(file, place, &info, H5P_DEFAULT) < 0)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "cannot be opened: the link leads nowhere, or the file is damaged");
    if (info.fileno != root.fileno)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "lies in another file, which is not followed: write all into one, in "
                          "Python anndata.read_h5ad(FILE).write_h5ad(NEW)");
    *kind = info.type == H5O_TYPE_GROUP     ? CZ_H5_GROUP
            : info.type == H5O_TYPE_DATASET ? CZ_H5_DATASET
                                            : CZ_H5_OTHER;
    return CZ_OK;
}

cz_status h5ad_text_of(h5ad_text text, hid_t file, const char *place, const char *name)
{
    return cz_h5_text_attribute(text, sizeof(h5ad_text), file, place, name);
}

cz_status h5ad_check_version(hid_t file, const char *place, const char *version)
{
    h5ad_text found, encoding;
    CZ_TRY(h5ad_text_of(found, file, place, "encoding-version"));
    if (!found[0] || !strcmp(found, version)) return CZ_OK;
    CZ_TRY(h5ad_text_of(encoding, file, place, "encoding-type"));
    return cz_h5_fail(CZ_ERR_INPUT, file, place,
                      "has version '%s' of the encoding '%s', read is '%s': it was written by a "
                      "newer AnnData; write it again with AnnData 0.12",
                      found, encoding, version);
}

/* Fails unless the group at `place` says that it is a data frame. */
static cz_status check_frame(hid_t file, const char *place)
{
    cz_h5_kind kind;
    h5ad_text encoding, version;
    CZ_TRY(h5ad_look(&kind, file, place));
    if (kind == CZ_H5_NONE)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "the data frame is missing");
    if (kind != CZ_H5_GROUP)
        return cz_h5_fail(CZ_ERR_INPUT, file, place,
                          "is a table of AnnData before 0.7, which is not read: in Python, "
                          "anndata.read_h5ad(FILE).write_h5ad(NEW)");
    CZ_TRY(h5ad_text_of(encoding, file, place, "encoding-type"));
    if (encoding[0] && strcmp(encoding, "dataframe") != 0)
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "is stored as '%s', expected a data frame",
                          encoding);
    CZ_TRY(h5ad_text_of(version, file, place, "encoding-version"));
    return strcmp(version, "0.1.0") != 0 ? h5ad_check_version(file, place, "0.2.0") : CZ_OK;
}

/* Names of index and columns, out of the group's attributes. */
static cz_status read_header(h5ad_frame *frame, hid_t group)
{
    size_t columns = 0;
    CZ_TRY(cz_h5_read_string(group, "_index", &frame->index));
    CZ_TRY(cz_h5_read_strings_attribute(group, "column-order", &frame->column, &columns));
    frame->columns = (int)columns;
    if (frame->index[0] && strlen(frame->index) < H5AD_PLACE_MAX / 2) return CZ_OK;
    return cz_h5_fail(CZ_ERR_INPUT, group, NULL, "the attribute '_index' names no column");
}

cz_status h5ad_frame_open(h5ad_frame *frame, hid_t file, const char *place)
{
    hsize_t rows = 0;
    hid_t group;
    char index[H5AD_PLACE_MAX];
    *frame = (h5ad_frame){0};
    if (!cz_text_copy(frame->place, sizeof frame->place, place))
        return cz_h5_fail(CZ_ERR_INPUT, file, place, "the name is too long");
    CZ_TRY(check_frame(file, place));
    CZ_TRY(cz_h5_open_group(&group, file, place));
    cz_status status = read_header(frame, group);
    cz_h5_close(&group);
    if (!status) status = h5ad_join(index, file, place, frame->index);
    if (!status) status = h5ad_entries(&rows, file, index);
    if (!status && rows >= INT_MAX)
        status = cz_h5_fail(CZ_ERR_INPUT, file, index, "has %llu entries, more than czhpc can hold",
                            (unsigned long long)rows);
    frame->rows = (int)rows;
    if (status) h5ad_frame_free(frame);
    return status;
}

void h5ad_frame_free(h5ad_frame *frame)
{
    free(frame->index);
    cz_h5_free_strings(frame->column, (size_t)frame->columns);
    *frame = (h5ad_frame){0};
}

/* "a, b, c", the index without a name of its own left out, cut where it gets long. */
static void list_columns(char list[H5AD_LIST_MAX], const h5ad_frame *frame)
{
    size_t used = 0;
    list[0] = 0;
    for (int c = 0; c < frame->columns; c++) {
        if (used + strlen(frame->column[c]) + 8 > H5AD_LIST_MAX) {
            snprintf(list + used, H5AD_LIST_MAX - used, ", ...");
            return;
        }
        used += (size_t)snprintf(list + used, H5AD_LIST_MAX - used, "%s%s", used ? ", " : "",
                                 frame->column[c]);
    }
    if (!used) snprintf(list, H5AD_LIST_MAX, "none");
}

cz_status h5ad_frame_find(char place[H5AD_PLACE_MAX], const h5ad_frame *frame, hid_t file,
                          const char *key, const char *remedy)
{
    bool known = !strcmp(key, frame->index);
    for (int c = 0; c < frame->columns && !known; c++) known = !strcmp(key, frame->column[c]);
    if (known) return h5ad_join(place, file, frame->place, key);
    char list[H5AD_LIST_MAX];
    list_columns(list, frame);
    const char *near = cz_text_nearest(key, (const char *const *)frame->column, frame->columns);
    return cz_h5_fail(
        CZ_ERR_INPUT, file, frame->place, "there is no column '%s'%s%s%s; there are: %s%s", key,
        near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "", list, remedy);
}

/* The tool `labels`: from a list of labels to a table of their vectors. */
#include "czhpc/file.h"
#include "czhpc/label_table.h"
#include "czhpc/log.h"
#include "czhpc/mapped.h"
#include "czhpc/text.h"
#include "room.h"

#include <stdlib.h>
#include <string.h>

/* Different labels in the order in which they first appear. */
typedef struct list {
    int count, lines;
    char **label; /* (count) into `text` */
    char *text;   /* each ends with a 0 */
    size_t size;
} list;

enum { LABELS_MAX = 1 << 20 };

static int by_text_then_place(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;
    int sign = strcmp(*x, *y);
    return sign ? sign : (*x > *y) - (*x < *y);
}
static int by_place(const void *a, const void *b)
{
    char *const *x = a, *const *y = b;
    return (*x > *y) - (*x < *y);
}

static void drop_repeated(list *l)
{
    int kept = 0;
    qsort(l->label, (size_t)l->count, sizeof *l->label, by_text_then_place);
    for (int i = 0; i < l->count; i++)
        if (!kept || strcmp(l->label[kept - 1], l->label[i]) != 0) l->label[kept++] = l->label[i];
    l->count = kept;
    qsort(l->label, (size_t)l->count, sizeof *l->label, by_place);
}

/* Lines without the white space at their ends; empty ones are none. */
static cz_status split_lines(list *l, const char *path)
{
    size_t lines = 1, n = 0;
    for (size_t i = 0; i < l->size; i++) lines += l->text[i] == '\n';
    if (lines > LABELS_MAX + 1)
        return cz_fail(CZ_ERR_INPUT, "%s: has %zu lines, at most %d are possible", path, lines,
                       LABELS_MAX);
    l->label = cz_alloc(lines, sizeof *l->label, "labels");
    if (!l->label) return CZ_ERR_MEMORY;
    char *first = l->text + (strncmp(l->text, "\xef\xbb\xbf", 3) ? 0 : 3); /* a byte order mark */
    for (char *line = first, *end; n++ < lines; line = end + 1) {
        end = line + strcspn(line, "\n");
        char *stop = end;
        line += strspn(line, " \t\r");
        while (stop > line && strchr(" \t\r", stop[-1])) stop--;
        *stop = 0;
        size_t length = strlen(line), good = cz_text_utf8(line, length);
        if (good < length)
            return cz_fail(CZ_ERR_INPUT, "%s:%zu:%zu: is not UTF-8", path, n, good + 1);
        if (length) l->label[l->count++] = line;
    }
    l->lines = l->count;
    drop_repeated(l);
    return l->count ? CZ_OK
                    : cz_fail(CZ_ERR_INPUT, "%s: holds no label: expected one a line", path);
}

/* Rank 0 reads the file; all split it. */
static cz_status read_list(list *l, const char *path, const cz_comm *comm)
{
    cz_mapped file = {0};
    cz_status status = comm->rank ? CZ_OK : cz_mapped_open(&file, path);
    if (!status && file.size && memchr(file.bytes, 0, file.size))
        status =
            cz_fail(CZ_ERR_INPUT, "%s: holds bytes of 0: expected a text, one label a line", path);
    l->size = file.size;
    status = cz_comm_broadcast(comm, status, &l->size, sizeof l->size);
    if (!status) {
        l->text = cz_alloc(l->size + 1, 1, "labels");
        status = cz_comm_agree(comm, l->text ? CZ_OK : CZ_ERR_MEMORY);
    }
    if (!status) {
        if (file.size) memcpy(l->text, file.bytes, file.size);
        status = cz_comm_broadcast(comm, CZ_OK, l->text, l->size);
    }
    cz_mapped_close(&file);
    if (!status) status = cz_comm_agree(comm, split_lines(l, path));
    return status;
}

static cz_status embed_list(const list *l, const char *out, const cz_config *config,
                            const cz_comm *comm, cz_pool *pool)
{
    cz_embedding text;
    cz_config own = *config;
    const cz_backend *backend = NULL;
    double begun = MPI_Wtime();
    own.text.width = 0;   /* as the model has it, */
    own.model.tokens = 1; /* which need not be a multiple of anything */
    CZ_TRY(cz_comm_agree(comm, choose_backend(&backend, label_precision(&own), &own, comm)));
    CZ_TRY(cz_embed_labels(&text, l->label, l->count, &own, NULL, backend, comm, pool));
    cz_status status = CZ_OK;
    if (comm->rank == 0) {
        status = cz_label_table_write(out, l->label, text.vectors, l->count, text.width, "",
                                      own.text.model, cz_pooling_name(own.text.pooling));
        if (!status)
            cz_note("%s: %s, in %.2f s%s", out, text.about, MPI_Wtime() - begun,
                    l->lines > l->count ? "; labels that stand there twice count once" : "");
    }
    cz_embedding_free(&text);
    return cz_comm_agree(comm, status);
}

/* Before any work that would be lost. One table may take the place of another. */
static cz_status may_write(const char *path)
{
    cz_label_table there;
    cz_status status = cz_may_create_file(path);
    if (status != CZ_ERR_USAGE || cz_label_table_read(&there, path)) return status;
    cz_label_table_free(&there);
    cz_error_clear();
    return CZ_OK;
}

cz_status cz_job_labels(const char *file, const char *out, const cz_config *config,
                        const cz_comm *comm)
{
    cz_cores cores;
    list l = {0};
    cz_pool *pool = NULL;
    cz_status status = comm->rank ? CZ_OK : may_write(out);
    CZ_TRY(cz_comm_agree(comm, status));
    if (!config->text.model[0])
        return cz_fail(CZ_ERR_USAGE, "czhpc labels needs --text-model: czhpc labels FILE.txt "
                                     "--text-model DIR --out FILE.h5");
    status = read_list(&l, file, comm);
    if (!status) status = choose_cores(&cores, config, comm);
    if (!status) status = cz_comm_agree(comm, cz_pool_open(&pool, cores.threads, &cores));
    if (!status) status = embed_list(&l, out, config, comm, pool);
    cz_pool_close(pool);
    free(l.label);
    free(l.text);
    return status;
}

/* Writes what a job would train on as plain arrays, for the comparisons with PyTorch and
 * scikit-learn:  dump_cells CONFIG OUT_PREFIX [KEY=VALUE]...
 * PREFIX.x.f32 (n, width), .split.u8, .target.i32, .label.i32, .adversary.i32, .text.f32 (labels,
 * text width), .order.i32: the training cells as the first epoch of train.sampler shuffle takes
 * them; and PREFIX.shape: n, width, donors, labels, text width. One rank. */
#include "czhpc/data.h"
#include "czhpc/label_table.h"
#include "czhpc/log.h"

#include <stdio.h>
#include <stdlib.h>

static int write_array(const char *prefix, const char *name, const void *data, size_t count,
                       size_t size)
{
    char path[CZ_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s.%s", prefix, name);
    FILE *out = fopen(path, "wb");
    if (!out) return 1;
    size_t written = fwrite(data, size, count, out);
    return fclose(out) != 0 || written != count;
}

static int write_order(const char *prefix, const cz_cells *c, int64_t seed)
{
    int count = 0, failed = 1;
    int32_t *row = calloc((size_t)c->n + 1, sizeof *row);
    int32_t *order = calloc((size_t)c->n + 1, sizeof *order);
    if (row && order) {
        for (int i = 0; i < c->n; i++)
            if (c->split[i] == CZ_TRAIN) row[count++] = i;
        cz_epoch_order(order, count, seed, 0, 0);
        for (int i = 0; i < count; i++) order[i] = row[order[i]];
        failed = write_array(prefix, "order.i32", order, (size_t)count, sizeof *order);
    }
    free(row);
    free(order);
    return failed;
}

static int dump(const char *prefix, const cz_cells *c, const float *text, int text_width)
{
    char path[CZ_PATH_MAX + 64];
    size_t n = (size_t)c->n;
    snprintf(path, sizeof path, "%s.shape", prefix);
    FILE *out = fopen(path, "w");
    if (!out) return 1;
    fprintf(out, "%d %d %d %d %d\n", c->n, c->width, c->target.classes, c->label.classes,
            text_width);
    int failed = fclose(out) != 0;
    failed |= write_array(prefix, "x.f32", c->x, n * (size_t)c->width, sizeof(float));
    failed |= write_array(prefix, "split.u8", c->split, n, 1);
    failed |= write_array(prefix, "target.i32", c->target.code, n, sizeof(int32_t));
    failed |= write_array(prefix, "label.i32", c->label.code, n, sizeof(int32_t));
    if (c->adversaries)
        failed |= write_array(prefix, "adversary.i32", c->adversary[0].code, n, sizeof(int32_t));
    size_t texts = (size_t)c->label.classes * (size_t)text_width;
    return failed | write_array(prefix, "text.f32", text, texts, sizeof(float));
}

int main(int argc, char **argv)
{
    int provided, width = 0, failed = 1;
    cz_data_serve_probe(argc, argv);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    cz_override overrides[64];
    cz_config config;
    cz_comm comm;
    cz_pool *pool = NULL;
    cz_cells cells = {0};
    float *text = NULL;
    if (argc < 3 || argc - 3 > 64) {
        fprintf(stderr, "usage: %s CONFIG OUT_PREFIX [KEY=VALUE]...\n", argv[0]);
        return 2;
    }
    for (int i = 3; i < argc; i++) overrides[i - 3].text = argv[i];
    cz_status status = cz_comm_world(&comm);
    if (!status) status = cz_config_load(&config, argv[1], overrides, argc - 3);
    if (!status) status = cz_pool_open(&pool, 1, NULL);
    if (!status) status = cz_cells_load(&cells, &config, &comm, pool);
    if (!status)
        status =
            cz_label_vectors(&text, &width, cells.label.class_name, cells.label.classes, &config);
    if (!status)
        failed = dump(argv[2], &cells, text, width) | write_order(argv[2], &cells, config.run.seed);
    else cz_print_error(cz_error_message());
    free(text);
    cz_cells_free(&cells);
    cz_pool_close(pool);
    cz_comm_free(&comm);
    MPI_Finalize();
    return failed;
}

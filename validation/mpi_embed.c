/* Labels to vectors by a BERT, against those of transformers; on any number of ranks; and what is
 * kept of them from run to run.
 *   mpi_embed                        on the committed model
 *   mpi_embed FOLDER TABLES NAME     on that in FOLDER, against TABLES/cls.h5 and mean.h5 */
#include "check.h"

#include "czhpc/data.h"
#include "czhpc/embed.h"
#include "czhpc/label_table.h"

#include <sys/stat.h>
#include <unistd.h>

#define FIXTURES "validation/fixtures/bert"

static cz_comm world, alone;
static cz_pool *pool;
static char work[] = "/tmp/czhpc-embed-XXXXXX";

__attribute__((format(printf, 2, 3))) static bool verdict(bool mine, const char *format, ...)
{
    char text[600];
    int own = mine, all = 0;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    MPI_Allreduce(&own, &all, 1, MPI_INT, MPI_LAND, world.mpi);
    if (world.rank == 0) check(all, "%s", text);
    cz_error_clear();
    return all;
}

static cz_config config_of(const char *folder, cz_pooling pooling)
{
    cz_config config = {.text = {.pooling = pooling}, .model = {.tokens = 1}};
    snprintf(config.text.model, sizeof config.text.model, "%s", folder);
    return config;
}

static const cz_backend *best(void) { return cz_backend_cpu(CZ_F32, cz_level_best(CZ_F32)); }

/* Rank 0's command, before anybody goes on. */
__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (world.rank == 0 && system(command)) fprintf(stderr, "failed: %s\n", command);
    MPI_Barrier(world.mpi);
}

/* The greatest difference between a table and what czhpc makes; INFINITY after a failure. */
static double worst_gap(const char *folder, const char *table, cz_pooling pooling,
                        const cz_backend *backend)
{
    cz_label_table read;
    cz_embedding text;
    cz_config config = config_of(folder, pooling);
    double worst = INFINITY;
    if (cz_comm_agree(&world, cz_label_table_read(&read, table))) return worst;
    if (!cz_embed_labels(&text, read.label, read.rows, &config, NULL, backend, &world, pool)) {
        worst = text.width == read.width ? 0 : INFINITY;
        for (int i = 0; i < read.rows * read.width; i++)
            worst = fmax(worst, fabs((double)text.vectors[i] - (double)read.vector[i]));
        cz_embedding_free(&text);
    }
    cz_label_table_free(&read);
    return worst;
}

static void check_vectors(const char *folder, const char *tables, const char *name)
{
    for (int level = 0; level < CZ_LEVELS; level++) {
        const cz_backend *backend = cz_backend_cpu(CZ_F32, (cz_level)level);
        for (int pooling = 0; pooling < 2 && backend; pooling++) {
            char table[1024];
            const char *way = pooling ? "mean" : "cls";
            snprintf(table, sizeof table, "%s/%s.h5", tables, way);
            double gap = worst_gap(folder, table, (cz_pooling)pooling, backend);
            verdict(gap < TOL_TEXT_VECTORS, "%s: %s, %s: %.1e from transformers at most %s", name,
                    cz_backend_name(backend), way, gap, cz_error_message());
        }
        if (!backend && world.rank == 0)
            check_skip("%s: this processor has no %s", name, cz_level_name((cz_level)level));
    }
}

static char *labels[] = {"neuron",  "T cell", "B cell",          "astrocyte of the cerebellum",
                         "Neuron",  "",       "oligodendrocyte", "CD4-positive, alpha-beta T cell",
                         "monocyte"};
enum { LABELS = 9 };

static bool same(const cz_embedding *a, const cz_embedding *b, int count)
{
    return a->width == b->width &&
           !memcmp(a->vectors, b->vectors, (size_t)count * (size_t)a->width * sizeof(float));
}

/* All of them alone on one rank, and each alone in its batch, give the bits of all together. */
static void check_ranks(void)
{
    cz_embedding all, own, one;
    cz_config config = config_of(FIXTURES "/fp32", CZ_POOLING_CLS);
    bool good = !cz_embed_labels(&all, labels, LABELS, &config, NULL, best(), &world, pool) &&
                !cz_embed_labels(&own, labels, LABELS, &config, NULL, best(), &alone, pool);
    if (!verdict(good && same(&all, &own, LABELS),
                 "any number of ranks gives the same bits, an empty label included: %s",
                 cz_error_message()))
        return;
    for (int i = 0; i < LABELS && good; i++) {
        good = !cz_embed_labels(&one, labels + i, 1, &config, NULL, best(), &alone, pool) &&
               !memcmp(one.vectors, all.vectors + i * all.width, (size_t)all.width * sizeof(float));
        cz_embedding_free(&one);
    }
    verdict(good, "so does any batch");
    cz_embedding_free(&own);
    config.text.width = 48;
    good = !cz_embed_labels(&own, labels, LABELS, &config, NULL, best(), &world, pool);
    for (int i = 0; i < LABELS * 48 && good; i++)
        good =
            own.vectors[i] == (i % 48 < all.width ? all.vectors[i / 48 * all.width + i % 48] : 0);
    verdict(good && own.width == 48, "vectors are padded to text.width with zeros");
    cz_embedding_free(&own);
    cz_embedding_free(&all);
}

/* What the log would say of where the vectors come from; only rank 0 knows. */
static bool says(const cz_embedding *e, const char *words)
{
    return world.rank != 0 || strstr(e->made, words);
}

static bool embed(cz_embedding *e, int count, const char *folder, cz_pooling pooling)
{
    cz_config config = config_of(folder, pooling);
    char cache[64];
    snprintf(cache, sizeof cache, "%s/cache", work);
    return !cz_embed_labels(e, labels, count, &config, cache, best(), &world, pool);
}

static void check_cache(void)
{
    cz_embedding fresh, more, kept, other, mean;
    char model[64];
    snprintf(model, sizeof model, "%s/model", work);
    shell("cp -rL " FIXTURES "/fp32 %s", model);
    bool good = embed(&fresh, 4, model, CZ_POOLING_CLS);
    verdict(good && says(&fresh, "4 made now"), "cache: labels are made first: %s, %s", fresh.about,
            fresh.made);
    good = embed(&more, LABELS, model, CZ_POOLING_CLS);
    verdict(good && says(&more, "5 made now, 4 from") && same(&fresh, &more, 4),
            "cache: and only those made later that it lacks");
    good = embed(&kept, LABELS, model, CZ_POOLING_CLS);
    verdict(good && says(&kept, "0 made now, 9 from") && same(&more, &kept, LABELS) &&
                kept.identity == more.identity,
            "cache: then none");
    good = embed(&mean, LABELS, model, CZ_POOLING_MEAN);
    verdict(good && says(&mean, "9 made now") && !same(&mean, &kept, LABELS) &&
                mean.identity != kept.identity,
            "cache: another pooling is another table");
    cz_embedding_free(&fresh);
    shell(
        "printf '\\001\\002' | dd of=%s/model.safetensors bs=1 seek=30000 conv=notrunc 2>/dev/null",
        model);
    good = embed(&other, LABELS, model, CZ_POOLING_CLS);
    verdict(good && says(&other, "9 made now") && other.identity != kept.identity,
            "cache: two bytes of the weights changed make all anew");
    cz_embedding_free(&other);
    shell("cp " FIXTURES
          "/fp32/model.safetensors %s && for f in %s/cache/*.h5; do truncate -s 3000 "
          "$f; done",
          model, work);
    good = embed(&other, LABELS, model, CZ_POOLING_CLS);
    verdict(good && says(&other, "9 made now") && same(&other, &kept, LABELS),
            "cache: a truncated table is made anew");
    cz_embedding_free(&other);
    good = embed(&other, LABELS, model, CZ_POOLING_CLS);
    verdict(good && says(&other, "0 made now") && same(&other, &kept, LABELS),
            "cache: and then serves again");
    cz_embedding_free(&other);
    shell("cd %s/cache && for f in *.h5; do printf '\\101' | dd of=$f bs=1 seek=$(($(stat -c %%s "
          "$f) - 100)) conv=notrunc 2>/dev/null; done",
          work);
    good = embed(&other, LABELS, model, CZ_POOLING_CLS);
    verdict(good && same(&other, &kept, LABELS), "cache: a changed byte is never believed");
    cz_embedding_free(&other);
    shell("cd %s/cache && touch x.h5 && for f in *.h5; do rm $f; mkdir $f; done", work);
    good = embed(&other, LABELS, model, CZ_POOLING_CLS);
    verdict(good && same(&other, &kept, LABELS), "cache: where it cannot be written a run goes on");
    cz_embedding_free(&other);
    cz_embedding_free(&more);
    cz_embedding_free(&kept);
    cz_embedding_free(&mean);
}

static void refused(const char *folder, int width, const char *words)
{
    cz_embedding text;
    cz_config config = config_of(folder, CZ_POOLING_CLS);
    config.text.width = width;
    cz_status status = cz_embed_labels(&text, labels, LABELS, &config, NULL, best(), &world, pool);
    verdict(status == CZ_ERR_INPUT && !text.vectors &&
                (world.rank || strstr(cz_error_message(), words)),
            "refused: %s", cz_error_message());
}

static void check_refusals(void)
{
    char model[64];
    snprintf(model, sizeof model, "%s/model", work);
    refused("/nowhere", 0, "/nowhere");
    refused(FIXTURES "/fp32", 16, "32 wide, text.width is 16");
    shell("head -n -3 %s/vocab.txt > %s/v && mv %s/v %s/vocab.txt", model, model, model, model);
    refused(model, 0, "vocab_size");
    shell("cp " FIXTURES "/fp32/* %s/ && rm %s/model.safetensors && touch %s/pytorch_model.bin",
          model, model, model);
    refused(model, 0, "convert_bert.py");
    shell("cp " FIXTURES "/fp32/* %s/ && head -c 60000 " FIXTURES
          "/fp32/model.safetensors > %s/model.safetensors",
          model, model);
    refused(model, 0, "truncated");
    /* NaN in the last of the weights. */
    shell("cp " FIXTURES
          "/fp32/* %s/ && cd %s && s=$(stat -c %%s model.safetensors) && for i in $(seq "
          "100); do printf '\\000\\000\\300\\177'; done | dd of=model.safetensors bs=1 "
          "seek=$((s-400)) "
          "conv=notrunc 2>/dev/null",
          model, model);
    refused(model, 0, "not finite");
}

int main(int argc, char **argv)
{
    cz_data_serve_probe(argc, argv);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &(int){0});
    if (cz_comm_world(&world) || cz_comm_split(&alone, &world, world.rank)) return 1;
    cz_cores cores;
    if (cz_comm_cores(&world, false, &cores)) return 1;
    if (cz_pool_open(&pool, argc > 1 ? cores.threads : 2, NULL)) return 1;
    if (argc == 4) check_vectors(argv[1], argv[2], argv[3]);
    else {
        if (world.rank == 0 && !mkdtemp(work)) return 1;
        MPI_Bcast(work, sizeof work, MPI_CHAR, 0, world.mpi);
        check_vectors(FIXTURES "/fp32", FIXTURES "/fp32", "fp32");
        check_vectors(FIXTURES "/fp16", FIXTURES "/fp16", "fp16");
        check_vectors(FIXTURES "/bf16", FIXTURES "/bf16", "bf16, bert., gamma and beta");
        check_ranks();
        check_cache();
        check_refusals();
        shell("rm -rf %s", work);
    }
    cz_pool_close(pool);
    cz_comm_free(&alone);
    cz_comm_free(&world);
    MPI_Finalize();
    return check_done();
}

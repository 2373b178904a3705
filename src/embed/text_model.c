/* Opening a text model: its files, and whether they belong together. */
#include "text_model.h"

#include "czhpc/mapped.h"
#include "czhpc/profile.h"
#include "czhpc/rng.h"
#include "czhpc/version.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Another number when czhpc makes other vectors of the same files, beyond rounding. */
enum { ENCODER_VERSION = 1 };

static cz_status hash_file(uint64_t *hash, const char *folder, const char *name)
{
    char path[2 * CZ_PATH_MAX];
    cz_mapped file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *hash = cz_hash(*hash, name, strlen(name));
    if (access(path, F_OK)) return CZ_OK;
    CZ_TRY(cz_mapped_open(&file, path));
    *hash = cz_hash(*hash, &file.size, sizeof file.size);
    *hash = cz_hash(*hash, file.bytes, file.size);
    cz_mapped_close(&file);
    return CZ_OK;
}

cz_status text_model_key(uint64_t *key, const cz_config *config)
{
    static const char *const files[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                        "vocab.txt", "model.safetensors"};
    const int32_t options[] = {ENCODER_VERSION, (int32_t)config->text.pooling,
                               (int32_t)config->text.casing};
    *key = cz_hash(0, options, sizeof options);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        CZ_TRY(hash_file(key, config->text.model, files[i]));
    return CZ_OK;
}

uint64_t text_cache_key(uint64_t identity, const cz_backend *backend)
{
    const char *name = cz_backend_name(backend);
    uint64_t key = cz_hash(identity, name, strlen(name));
    return cz_hash(key, CZ_VERSION, strlen(CZ_VERSION));
}

/* A vocabulary may be filled up to a round size, but not fall short of any other. */
static cz_status check_vocabulary(const text_model *model, const char *folder)
{
    int tokens = cz_tokenizer_size(model->tokenizer);
    int rows = cz_bert_get_shape(model->bert)->vocabulary;
    bool padded = rows % 8 == 0 && rows - tokens < 128;
    if (tokens == rows || (tokens < rows && padded)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: the vocabulary has %d tokens, but config.json says vocab_size %d: it is %s "
                   "or belongs to another model",
                   folder, tokens, rows, tokens < rows ? "truncated" : "too long");
}

cz_status text_model_open(text_model *model, const cz_config *config)
{
    CZ_PHASE("open text model");
    const char *folder = config->text.model;
    *model = (text_model){0};
    cz_status status = cz_tokenizer_open(&model->tokenizer, folder, config->text.casing);
    if (!status) status = cz_bert_open(&model->bert, folder);
    if (!status) status = check_vocabulary(model, folder);
    if (status) {
        text_model_close(model);
        return status;
    }
    int positions = cz_bert_get_shape(model->bert)->positions;
    int limit = cz_tokenizer_limit(model->tokenizer);
    model->limit = limit < positions ? limit : positions;
    return CZ_OK;
}

void text_model_close(text_model *model)
{
    cz_tokenizer_close(model->tokenizer);
    cz_bert_close(model->bert);
    *model = (text_model){0};
}

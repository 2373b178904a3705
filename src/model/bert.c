/* The weights of a BERT: which tensors there must be, and where in the file they stand. */
#include "bert.h"

#include "czhpc/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME = 256, SHAPE = 256, NAMED = 8 /* at most, of those missing */ };

typedef struct loader {
    cz_bert *bert;
    const char *path;
    char prefix[NAME]; /* of every name */
    bool *used;        /* (tensors of the file) */
    char missing[1024];
    int missing_count;
} loader;

static void list_name(char *list, size_t size, const char *name)
{
    char shown[NAME];
    size_t used = strlen(list);
    cz_text_printable(shown, sizeof shown, name);
    snprintf(list + used, size - used, "%s%s", used ? ", " : "", shown);
}

/* The tensor of a name, or of the older one that TensorFlow's checkpoints gave to LayerNorms. */
static const cz_stored_tensor *find(const loader *l, const char *name)
{
    static const char *const ends[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                          {"LayerNorm.bias", "LayerNorm.beta"}};
    char full[2 * NAME];
    snprintf(full, sizeof full, "%s%s", l->prefix, name);
    const cz_stored_tensor *found = cz_safetensors_find(l->bert->file, full);
    for (int i = 0; i < 2 && !found; i++) {
        size_t length = strlen(full), end = strlen(ends[i][0]);
        if (length < end || strcmp(full + length - end, ends[i][0]) != 0) continue;
        strcpy(full + length - end, ends[i][1]); /* no longer than the new one */
        found = cz_safetensors_find(l->bert->file, full);
    }
    return found;
}

/* The values as fp32: those of the file where it has them so. */
static cz_status values_of(float **values, loader *l, const cz_stored_tensor *stored)
{
    *values = (float *)cz_stored_in_place(stored); /* only read, as all weights are */
    if (*values) return CZ_OK;
    *values = cz_alloc(stored->elements, sizeof **values, "a text model's weights");
    if (!*values) return CZ_ERR_MEMORY;
    l->bert->converted[l->bert->conversions++] = *values;
    cz_stored_copy(*values, stored);
    return CZ_OK;
}

/* A shape as messages have it: "(30522, 384)". */
static void shape_text(char text[SHAPE], int rank, const int64_t *dim)
{
    int used = snprintf(text, SHAPE, "(");
    for (int i = 0; i < rank; i++)
        used +=
            snprintf(text + used, SHAPE - (size_t)used, i ? ", %lld" : "%lld", (long long)dim[i]);
    snprintf(text + used, SHAPE - (size_t)used, ")");
}

static cz_status check_tensor(const loader *l, const cz_stored_tensor *stored, int rows, int cols)
{
    const int64_t wanted[2] = {rows, cols};
    int rank = cols ? 2 : 1;
    char found_text[SHAPE], wanted_text[SHAPE], shown[NAME];
    bool same = stored->rank == rank;
    for (int i = 0; i < rank && same; i++) same = stored->dim[i] == wanted[i];
    if (!same) {
        shape_text(found_text, stored->rank, stored->dim);
        shape_text(wanted_text, rank, wanted);
        return cz_fail(CZ_ERR_INPUT, "%s: %s is %s, but config.json says %s", l->path,
                       cz_text_printable(shown, sizeof shown, stored->name), found_text,
                       wanted_text);
    }
    if (cz_stored_is_float(stored)) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT, "%s: %s is of %s, expected F32, F64, F16 or BF16", l->path,
                   cz_text_printable(shown, sizeof shown, stored->name), stored->dtype);
}

/* cols 0: a vector. A name that is not there is remembered. */
static cz_status load(loader *l, cz_tensor *to, int rows, int cols, const char *name)
{
    const cz_stored_tensor *stored = find(l, name);
    if (!stored) {
        if (l->missing_count++ < NAMED) list_name(l->missing, sizeof l->missing, name);
        return CZ_OK;
    }
    float *values;
    CZ_TRY(check_tensor(l, stored, rows, cols));
    CZ_TRY(values_of(&values, l, stored));
    *to = cols ? cz_matrix(values, CZ_F32, rows, cols) : cz_vector(values, CZ_F32, rows);
    l->used[stored - l->bert->file->tensor] = true;
    size_t bytes = stored->elements * sizeof(float);
    if (cz_stored_in_place(stored)) l->bert->size.mapped += bytes;
    else l->bert->size.converted += bytes;
    return CZ_OK;
}

static cz_status load_linear(loader *l, cz_linear_layer *to, int rows, int cols, const char *block,
                             const char *part)
{
    char name[NAME];
    snprintf(name, sizeof name, "%s%s.weight", block, part);
    CZ_TRY(load(l, &to->w, rows, cols, name));
    snprintf(name, sizeof name, "%s%s.bias", block, part);
    return load(l, &to->b, rows, 0, name);
}

static cz_status load_norm(loader *l, cz_norm_layer *to, const char *block, const char *part)
{
    char name[NAME];
    int width = l->bert->shape.width;
    to->eps = l->bert->shape.eps;
    snprintf(name, sizeof name, "%s%s.weight", block, part);
    CZ_TRY(load(l, &to->gain, width, 0, name));
    snprintf(name, sizeof name, "%s%s.bias", block, part);
    return load(l, &to->bias, width, 0, name);
}

static cz_status load_layer(loader *l, int number)
{
    static const char *const in[] = {"attention.self.query", "attention.self.key",
                                     "attention.self.value"};
    const cz_bert_shape *s = &l->bert->shape;
    cz_encoder_layer *layer = &l->bert->layer[number];
    cz_attention_layer *attention = &layer->attention;
    char block[NAME / 2];
    int F = s->width, U = s->feedforward;
    snprintf(block, sizeof block, "encoder.layer.%d.", number);
    *layer = (cz_encoder_layer){.activation = s->activation};
    attention->heads = s->heads;
    attention->apart = true;
    for (int i = 0; i < 3; i++) CZ_TRY(load_linear(l, &attention->in[i], F, F, block, in[i]));
    CZ_TRY(load_linear(l, &attention->out, F, F, block, "attention.output.dense"));
    CZ_TRY(load_norm(l, &attention->norm, block, "attention.output.LayerNorm"));
    CZ_TRY(load_linear(l, &layer->up, U, F, block, "intermediate.dense"));
    CZ_TRY(load_linear(l, &layer->down, F, U, block, "output.dense"));
    return load_norm(l, &layer->norm, block, "output.LayerNorm");
}

#define WORDS "embeddings.word_embeddings.weight"

/* The prefix is what stands before the name of the word embedding. */
static cz_status find_prefix(loader *l)
{
    const cz_safetensors *file = l->bert->file;
    const char *found = NULL;
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensor[i].name;
        size_t length = strlen(name), end = strlen(WORDS);
        if (length < end || length - end >= sizeof l->prefix) continue;
        if (strcmp(name + length - end, WORDS) != 0) continue;
        if (found) {
            char shown[2][NAME];
            return cz_fail(CZ_ERR_INPUT, "%s: holds two models: both %s and %s", l->path,
                           cz_text_printable(shown[0], NAME, found),
                           cz_text_printable(shown[1], NAME, name));
        }
        found = name;
        snprintf(l->prefix, sizeof l->prefix, "%.*s", (int)(length - end), name);
    }
    if (found) return CZ_OK;
    return cz_fail(CZ_ERR_INPUT,
                   "%s: is no BERT: none of its %d tensors is named %s, with or "
                   "without a prefix",
                   l->path, file->count, WORDS);
}

static void note_unused(const loader *l)
{
    cz_bert *b = l->bert;
    for (int i = 0; i < b->file->count; i++) {
        if (l->used[i]) continue;
        b->unused_count++;
        list_name(b->unused, sizeof b->unused, b->file->tensor[i].name);
    }
}

static cz_status load_all(loader *l)
{
    cz_bert *b = l->bert;
    const cz_bert_shape *s = &b->shape;
    CZ_TRY(find_prefix(l));
    CZ_TRY(load(l, &b->words, s->vocabulary, s->width, WORDS));
    CZ_TRY(load(l, &b->positions, s->positions, s->width, "embeddings.position_embeddings.weight"));
    CZ_TRY(load(l, &b->types, s->types, s->width, "embeddings.token_type_embeddings.weight"));
    CZ_TRY(load_norm(l, &b->norm, "embeddings.", "LayerNorm"));
    for (int i = 0; i < s->layers; i++) CZ_TRY(load_layer(l, i));
    if (l->missing_count)
        return cz_fail(CZ_ERR_INPUT, "%s: %d tensor%s missing that config.json calls for: %s%s%s",
                       l->path, l->missing_count, l->missing_count == 1 ? " is" : "s are",
                       l->prefix, l->missing, l->missing_count > NAMED ? ", ..." : "");
    note_unused(l);
    return CZ_OK;
}

/* Why there is no model.safetensors, where the folder tells. */
static cz_status check_folder(const char *folder, const char *path)
{
    static const char *const others[][2] = {
        {"pytorch_model.bin", "which is a pickle and may run anything when it is read: "
                              "tools/python.sh tools/convert_bert.py FOLDER converts it"},
        {"model.safetensors.index.json", "whose parts czhpc does not put together: save the model "
                                         "as one file"},
        {"tf_model.h5", "TensorFlow's form: save the model by transformers as safetensors"},
    };
    struct stat status;
    char other[2 * CZ_PATH_MAX];
    if (!stat(path, &status)) return CZ_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(other, sizeof other, "%s/%s", folder, others[i][0]);
        if (!stat(other, &status))
            return cz_fail(CZ_ERR_INPUT, "%s: is missing; there is %s, %s", path, others[i][0],
                           others[i][1]);
    }
    return CZ_OK; /* opening it says why not */
}

cz_status cz_bert_open(cz_bert **opened, const char *folder)
{
    char path[2 * CZ_PATH_MAX];
    *opened = NULL;
    cz_bert *b = cz_alloc(1, sizeof *b, "a text model");
    if (!b) return CZ_ERR_MEMORY;
    loader l = {.bert = b, .path = path};
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    cz_status status = cz_bert_read_shape(&b->shape, folder);
    if (!status) status = check_folder(folder, path);
    if (!status) status = cz_safetensors_open(&b->file, path);
    if (status) goto done;
    size_t tensors = (size_t)b->file->count;
    b->layer = cz_alloc((size_t)b->shape.layers, sizeof *b->layer, "a text model");
    b->converted = cz_alloc(tensors, sizeof *b->converted, "a text model");
    l.used = cz_alloc(tensors, sizeof *l.used, "a text model");
    status = b->layer && b->converted && l.used ? load_all(&l) : CZ_ERR_MEMORY;
done:
    free(l.used);
    if (status) cz_bert_close(b);
    else *opened = b;
    return status;
}

void cz_bert_close(cz_bert *b)
{
    if (!b) return;
    for (int i = 0; i < b->conversions; i++) free(b->converted[i]);
    free(b->converted);
    free(b->layer);
    cz_safetensors_close(b->file);
    free(b);
}

const cz_bert_shape *cz_bert_get_shape(const cz_bert *b) { return &b->shape; }

cz_bert_size cz_bert_memory(const cz_bert *b) { return b->size; }

const char *cz_bert_unused(const cz_bert *b, int *count)
{
    *count = b->unused_count;
    return b->unused;
}

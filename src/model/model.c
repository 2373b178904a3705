#include "layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A matrix that a linear layer multiplies by. */
static cz_status add_matrix(cz_model *m, linear_ids *ids)
{
    linear_ids *more = realloc(m->matrix, (size_t)(m->matrices + 1) * sizeof *more);
    if (!more) return cz_fail(CZ_ERR_MEMORY, "no memory for the model");
    m->matrix = more;
    ids->matrix = m->matrices;
    more[m->matrices++] = *ids;
    return CZ_OK;
}

static cz_status add_linear(cz_model *m, linear_ids *ids, int in, int out, const char *name)
{
    cz_params *p = &m->params;
    *ids = (linear_ids){.rows = out};
    CZ_TRY(cz_params_add(p, &ids->w, out, in, CZ_INIT_FAN_IN, in, "%s.weight", name));
    CZ_TRY(cz_params_add(p, &ids->b, out, 0, CZ_INIT_FAN_IN, in, "%s.bias", name));
    return add_matrix(m, ids);
}

static cz_status add_norm(cz_params *p, norm_ids *ids, int size, const char *name)
{
    CZ_TRY(cz_params_add(p, &ids->gain, size, 0, CZ_INIT_CONSTANT, 1, "%s.weight", name));
    return cz_params_add(p, &ids->bias, size, 0, CZ_INIT_CONSTANT, 0, "%s.bias", name);
}

/* Its matrices are the caller's to add. */
static cz_status add_attention(cz_params *p, attention_ids *ids, int size, const char *name)
{
    ids->in = (linear_ids){.rows = 3 * size, .matrix = -1};
    ids->out = (linear_ids){.rows = size, .matrix = -1};
    CZ_TRY(
        cz_params_add(p, &ids->in.w, 3 * size, size, CZ_INIT_XAVIER, 0, "%s.in_proj_weight", name));
    CZ_TRY(cz_params_add(p, &ids->in.b, 3 * size, 0, CZ_INIT_CONSTANT, 0, "%s.in_proj_bias", name));
    CZ_TRY(cz_params_add(p, &ids->out.w, size, size, CZ_INIT_FAN_IN, size, "%s.out_proj.weight",
                         name));
    CZ_TRY(cz_params_add(p, &ids->out.b, size, 0, CZ_INIT_CONSTANT, 0, "%s.out_proj.bias", name));
    ids->query = ids->rest = ids->in;
    ids->query.rows = size;
    ids->rest.row = size;
    ids->rest.rows = 2 * size;
    return CZ_OK;
}

static cz_status add_tokens(cz_model *m)
{
    const cz_model_spec *s = &m->spec;
    cz_params *p = &m->params;
    bool learned = s->positions == CZ_POSITIONS_LEARNED;
    m->omics_positions = m->text_positions = -1;
    CZ_TRY(add_linear(m, &m->omics, s->width / s->tokens, s->fusion_dim, "omics_token_proj"));
    if (s->text)
        CZ_TRY(
            add_linear(m, &m->text, s->text_width / s->tokens, s->fusion_dim, "text_token_proj"));
    if (learned)
        CZ_TRY(cz_params_add(p, &m->omics_positions, s->tokens, s->fusion_dim, CZ_INIT_FAN_IN,
                             s->fusion_dim, "omics_positions"));
    if (learned && s->text)
        CZ_TRY(cz_params_add(p, &m->text_positions, s->tokens, s->fusion_dim, CZ_INIT_FAN_IN,
                             s->fusion_dim, "text_positions"));
    return CZ_OK;
}

static cz_status add_layer(cz_model *m, layer_ids *ids, const char *name)
{
    const cz_model_spec *s = &m->spec;
    cz_params *p = &m->params;
    char part[80];
    snprintf(part, sizeof part, "%s.self_attn", name);
    CZ_TRY(add_attention(p, &ids->attention, s->fusion_dim, part));
    CZ_TRY(add_matrix(m, &ids->attention.in));
    CZ_TRY(add_matrix(m, &ids->attention.out));
    snprintf(part, sizeof part, "%s.linear1", name);
    CZ_TRY(add_linear(m, &ids->up, s->fusion_dim, s->feedforward, part));
    snprintf(part, sizeof part, "%s.linear2", name);
    CZ_TRY(add_linear(m, &ids->down, s->feedforward, s->fusion_dim, part));
    snprintf(part, sizeof part, "%s.norm1", name);
    CZ_TRY(add_norm(p, &ids->attention.norm, s->fusion_dim, part));
    snprintf(part, sizeof part, "%s.norm2", name);
    return add_norm(p, &ids->norm, s->fusion_dim, part);
}

static cz_status add_fusion(cz_model *m)
{
    const cz_model_spec *s = &m->spec;
    cz_params *p = &m->params;
    CZ_TRY(add_attention(p, &m->cross, s->fusion_dim, "cross_attn.attention"));
    CZ_TRY(add_matrix(m, &m->cross.query));
    CZ_TRY(add_matrix(m, &m->cross.rest));
    CZ_TRY(add_matrix(m, &m->cross.out));
    CZ_TRY(add_norm(p, &m->cross.norm, s->fusion_dim, "cross_attn.norm"));
    CZ_TRY(add_linear(m, &m->ffn[0], s->fusion_dim, s->fusion_dim, "ffn.0"));
    CZ_TRY(add_linear(m, &m->ffn[1], s->fusion_dim, s->fusion_dim, "ffn.2"));
    for (int l = 0; l < s->layers; l++) {
        char name[64] = "transformer_encoder";
        if (s->layers > 1) snprintf(name, sizeof name, "transformer_encoder.%d", l);
        CZ_TRY(add_layer(m, &m->layer[l], name));
    }
    return CZ_OK;
}

static cz_status add_resampler(cz_model *m)
{
    const cz_model_spec *s = &m->spec;
    cz_params *p = &m->params;
    CZ_TRY(cz_params_add(p, &m->latents, s->latents, s->latent_dim, CZ_INIT_NORMAL, 1,
                         "resampler.latents"));
    m->input = (linear_ids){.w = -1, .b = -1, .matrix = -1};
    if (s->latent_dim != s->fusion_dim)
        CZ_TRY(add_linear(m, &m->input, s->fusion_dim, s->latent_dim, "resampler.input_proj"));
    CZ_TRY(add_attention(p, &m->pool, s->latent_dim, "resampler.cross_attn.attention"));
    CZ_TRY(add_matrix(m, &m->pool.query));
    CZ_TRY(add_matrix(m, &m->pool.rest));
    return add_norm(p, &m->pool.norm, s->latent_dim, "resampler.cross_attn.norm");
}

static int heads_of_role(const cz_model_spec *s, bool adversary)
{
    int count = 0;
    for (int h = 0; h < s->head_count; h++) count += s->head[h].adversary == adversary;
    return count;
}

static cz_status add_heads(cz_model *m)
{
    const cz_model_spec *s = &m->spec;
    int seen[2] = {0, 0}, D = s->latent_dim;
    for (int h = 0; h < s->head_count; h++) {
        bool adversary = s->head[h].adversary;
        const char *role = adversary ? "adv_classifier" : "classifier";
        int width[4] = {D, D, D / 2, s->head[h].classes};
        for (int i = 0; i < 3; i++) {
            char name[64];
            if (heads_of_role(s, adversary) == 1) snprintf(name, sizeof name, "%s.%d", role, 3 * i);
            else snprintf(name, sizeof name, "%s.%d.%d", role, seen[adversary], 3 * i);
            CZ_TRY(add_linear(m, &m->head[h].layer[i], width[i], width[i + 1], name));
        }
        seen[adversary]++;
    }
    return CZ_OK;
}

static cz_status check_spec(const cz_model_spec *s)
{
    if (s->tokens < 1 || s->width % s->tokens)
        return cz_fail(CZ_ERR_CONFIG, "model.tokens: %d does not divide the %d features of a cell",
                       s->tokens, s->width);
    if (s->text && s->text_width % s->tokens)
        return cz_fail(CZ_ERR_CONFIG,
                       "model.tokens: %d does not divide the %d numbers of a label's vector: set "
                       "text.width to a multiple of it",
                       s->tokens, s->text_width);
    if (s->heads < 1 || s->fusion_dim % s->heads || s->latent_dim % s->heads)
        return cz_fail(
            CZ_ERR_CONFIG,
            "model.heads: %d must divide model.fusion_dim (%d) and model.latent_dim (%d)", s->heads,
            s->fusion_dim, s->latent_dim);
    if (s->latent_dim < 2 || s->latents < 1 || s->layers < 0 || s->layers > 50)
        return cz_fail(CZ_ERR_CONFIG,
                       "model: latent_dim must be at least 2, latents at least 1, layers 0 to 50");
    if (s->head_count < 1 || s->head_count > CZ_MAX_HEADS || heads_of_role(s, false) < 1)
        return cz_fail(CZ_ERR_CONFIG, "data: one target and at most %d adversary_keys are possible",
                       CZ_MAX_HEADS - 1);
    for (int h = 0; h < s->head_count; h++)
        if (s->head[h].classes < 2)
            return cz_fail(CZ_ERR_CONFIG,
                           "column '%s' has %d class: nothing to tell apart; name another column "
                           "in data.%s",
                           s->head[h].name, s->head[h].classes,
                           s->head[h].adversary ? "adversary_keys" : "target_key");
    return CZ_OK;
}

cz_status cz_model_open(cz_model **opened, const cz_model_spec *spec)
{
    *opened = NULL;
    CZ_TRY(check_spec(spec));
    cz_model *m = cz_alloc(1, sizeof *m, "the model");
    if (!m) return CZ_ERR_MEMORY;
    m->spec = *spec;
    cz_status status = CZ_ERR_MEMORY;
    m->layer = cz_alloc((size_t)spec->layers, sizeof *m->layer, "the model");
    if (!m->layer) goto done;
    status = add_tokens(m);
    if (!status && spec->text) status = add_fusion(m);
    if (!status) status = add_resampler(m);
    if (!status) status = add_heads(m);
done:
    if (status) cz_model_close(m);
    else *opened = m;
    return status;
}

void cz_model_close(cz_model *m)
{
    if (!m) return;
    cz_params_free(&m->params);
    free(m->matrix);
    free(m->layer);
    free(m);
}

const cz_model_spec *cz_model_get_spec(const cz_model *m) { return &m->spec; }
const cz_params *cz_model_params(const cz_model *m) { return &m->params; }

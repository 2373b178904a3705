/* What a model costs: FLOPs of its matrix products, layer by layer. */
#include "layout.h"

typedef struct cost {
    double forward;
    double backward; /* dX and dW */
} cost;

/* rows x (in -> out): forward, dW, and dX unless nothing needs the gradient of the input. */
static cost product(double rows, double in, double out, bool input_gradient)
{
    double one = 2 * rows * in * out;
    return (cost){one, input_gradient ? 2 * one : one};
}

static cost sum(cost a, cost b) { return (cost){a.forward + b.forward, a.backward + b.backward}; }

/* Scores and weighted values of `queries` on `keys` tokens, all heads. */
static cost attention(double queries, double keys, double size)
{
    double one = 2 * queries * keys * size;
    return (cost){2 * one, 4 * one};
}

typedef enum part { TOKENS, LABELS, FUSION, ENCODER, RESAMPLER, LATENTS, HEADS, PARTS } part;

static const char *const part_name[PARTS] = {"expression tokens",
                                             "label tokens (a slot)",
                                             "cross-attention, FFN",
                                             "transformer encoder",
                                             "Perceiver resampler",
                                             "latent queries (a batch)",
                                             "heads"};

/* The recomputation of the resampler's output in backward counts as backward. */
static cost pooling(const cz_model_spec *s)
{
    double T = s->tokens, L = s->latents, D = s->latent_dim, H = s->heads;
    double scores = 2 * L * T * D;
    if (cz_pool_cheapest(s->tokens, s->latents, s->latent_dim, s->heads) == CZ_POOL_FACTORED) {
        double u = 2 * T * D * D, mix = 2 * L * H * T * D;
        return (cost){scores + u + mix, 2 * scores + u + mix + 2 * mix + 2 * u};
    }
    double values = 2 * L * T * D, out = 2 * L * D * D;
    return (cost){scores + values + out, 2 * scores + values + out + 2 * values + 2 * out};
}

static cost part_cost(const cz_model *m, part which)
{
    const cz_model_spec *s = &m->spec;
    double T = s->tokens, F = s->fusion_dim, D = s->latent_dim;
    cost c = {0, 0};
    switch (which) {
    case TOKENS:
        return product(T, s->width / T, F, false);
    case LABELS:
        if (!s->text) return c;
        return sum(product(T, s->text_width / T, F, false), product(T, F, 2 * F, true));
    case FUSION:
        if (!s->text) return c;
        c = sum(product(T, F, F, true), attention(T, T, F));
        return sum(c, product(T, F, 3 * F, true)); /* output projection and both FFN layers */
    case ENCODER:
        if (!s->text) return c;
        c = sum(product(T, F, 4 * F, true), attention(T, T, F));
        c = sum(c, product(T, F, 2.0 * s->feedforward, true));
        return (cost){s->layers * c.forward, s->layers * c.backward};
    case RESAMPLER:
        if (D != F) c = product(T, F, D, true);
        return sum(c, sum(product(T, D, 2 * D, true), pooling(s)));
    case LATENTS:
        return product(s->latents, D, D, true);
    case HEADS:
        for (int h = 0; h < s->head_count; h++) {
            c = sum(c, product(1, D, D, true));
            c = sum(c, product(1, D, s->latent_dim / 2, true));
            c = sum(c, product(1, s->latent_dim / 2, s->head[h].classes, true));
        }
        return c;
    case PARTS:
        break;
    }
    return c;
}

double cz_model_flops(const cz_model *m, int cells, int slots, bool training)
{
    double total = 0;
    for (part p = 0; p < PARTS; p++) {
        cost c = part_cost(m, p);
        double times = p == LABELS ? slots : p == LATENTS ? (cells > 0) : cells;
        total += times * (c.forward + (training ? c.backward : 0));
    }
    return total;
}

void cz_model_describe(const cz_model *m, FILE *out)
{
    fprintf(out, "%-52s %-14s %10s\n", "parameter", "shape", "weights");
    for (int i = 0; i < m->params.count; i++) {
        const cz_param_entry *e = &m->params.entry[i];
        char shape[32];
        if (e->rank == 2) snprintf(shape, sizeof shape, "(%d, %d)", e->dim[0], e->dim[1]);
        else snprintf(shape, sizeof shape, "(%d)", e->dim[0]);
        fprintf(out, "%-52s %-14s %10zu\n", e->name, shape, cz_param_size(e));
    }
    fprintf(out, "%-52s %-14s %10zu\n\n", "all", "", cz_params_weights(&m->params));

    fprintf(out, "%-36s %16s %16s\n", "MFLOP a cell", "forward", "backward");
    for (part p = 0; p < PARTS; p++) {
        cost c = part_cost(m, p);
        if (c.forward > 0)
            fprintf(out, "%-36s %16.3f %16.3f\n", part_name[p], c.forward / 1e6, c.backward / 1e6);
    }
    fprintf(out, "%-36s %16.3f %16.3f\n", "a cell of a batch of 128, 16 labels",
            cz_model_flops(m, 128, 16, false) / 128e6,
            (cz_model_flops(m, 128, 16, true) - cz_model_flops(m, 128, 16, false)) / 128e6);
}

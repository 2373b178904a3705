/* The order in which an epoch walks over the training cells. */
#include "order.h"

#include "czhpc/data.h"

#include <stdlib.h>

void cz_shuffle(int32_t *value, int n, cz_rng *rng)
{
    for (int i = n - 1; i > 0; i--) {
        uint32_t j = cz_rng_below(rng, (uint32_t)i + 1);
        int32_t kept = value[i];
        value[i] = value[j];
        value[j] = kept;
    }
}

void cz_epoch_order(int32_t *order, int n, int64_t seed, uint32_t phase, int epoch)
{
    cz_rng rng = cz_rng_open((uint64_t)seed, 0, (uint32_t)epoch, CZ_RNG_ORDER, phase);
    for (int i = 0; i < n; i++) order[i] = i;
    cz_shuffle(order, n, &rng);
}

/* Cells by class, and how far each class has gone through its own. */
typedef struct classes {
    int count;      /* with cells */
    int32_t *class; /* (count) */
    int32_t *begin; /* (classes + 1) of each in `cell` */
    int32_t *next;  /* (classes) */
    int32_t *cell;  /* (n) */
} classes;

static void sort_cells(classes *c, int n, const int32_t *code, int count)
{
    for (int i = 0; i < n; i++)
        if (code[i] >= 0) c->begin[code[i] + 1]++;
    for (int k = 0; k < count; k++) {
        if (c->begin[k + 1]) c->class[c->count++] = k;
        c->begin[k + 1] += c->begin[k];
        c->next[k] = c->begin[k];
    }
    for (int i = 0; i < n; i++) /* leaves each class at its end: it begins with a shuffle */
        if (code[i] >= 0) c->cell[c->next[code[i]]++] = i;
}

/* After its last cell a class begins anew in another order. */
static int32_t draw(classes *c, int k, cz_rng *rng)
{
    if (c->next[k] == c->begin[k + 1]) {
        cz_shuffle(c->cell + c->begin[k], c->begin[k + 1] - c->begin[k], rng);
        c->next[k] = c->begin[k];
    }
    return c->cell[c->next[k]++];
}

cz_status cz_epoch_order_balanced(int32_t *order, int n, const int32_t *code, int count,
                                  int64_t seed, uint32_t phase, int epoch)
{
    size_t k = (size_t)count;
    int32_t *memory = cz_alloc((size_t)n + 3 * k + 1, sizeof *memory, "the order of cells");
    if (!memory) return CZ_ERR_MEMORY;
    classes c = {0, memory, memory + k, memory + 2 * k + 1, memory + 3 * k + 1};
    sort_cells(&c, n, code, count);
    cz_rng rng = cz_rng_open((uint64_t)seed, 0, (uint32_t)epoch, CZ_RNG_ORDER, phase);
    for (int i = 0; i < n && c.count; i++) {
        if (i % c.count == 0) cz_shuffle(c.class, c.count, &rng);
        order[i] = draw(&c, c.class[i % c.count], &rng);
    }
    free(memory);
    if (n && !c.count) return cz_fail(CZ_ERR_INPUT, "no training cell has a class of the target");
    return CZ_OK;
}

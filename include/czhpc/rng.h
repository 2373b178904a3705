/* Philox4x32-10: random numbers as a pure function of a key and a counter.
 * Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
#ifndef CZ_RNG_H
#define CZ_RNG_H

#include <stdint.h>

typedef struct cz_block {
    uint32_t v[4];
} cz_block;

/* What a counter's third word says it is for; the low 24 bits count blocks. */
typedef enum cz_purpose {
    CZ_RNG_INIT = 1,    /* initial weights; cell = index of the parameter */
    CZ_RNG_ORDER,       /* the permutation of an epoch */
    CZ_RNG_SPLIT,       /* train, validation, test */
    CZ_RNG_SYNTHETIC,   /* synthetic cells and their generator */
    CZ_RNG_SKETCH,      /* test matrix of the randomised SVD */
    CZ_RNG_SEARCH,      /* a trial's values; cell = its number */
    CZ_RNG_FOREST,      /* bootstrap and ties of a regression tree; cell = its number */
    CZ_RNG_DROPOUT = 16 /* + the dropout site, see model */
} cz_purpose;

/* 128 random bits. Local. */
cz_block cz_philox(uint64_t key, uint32_t cell, uint32_t step, uint32_t purpose_and_block,
                   uint32_t phase);

static inline uint32_t cz_counter(unsigned purpose, uint32_t block)
{
    return (uint32_t)purpose << 24 | (block & 0xffffff);
}

/* A stream over the blocks of one (key, cell, step, purpose, phase). */
typedef struct cz_rng {
    uint64_t key;
    uint32_t cell, step, phase, block;
    unsigned purpose;
    cz_block bits;
    int used;     /* words of `bits` already given out */
    double spare; /* second normal of a pair */
    int has_spare;
} cz_rng;

cz_rng cz_rng_open(uint64_t key, uint32_t cell, uint32_t step, unsigned purpose, uint32_t phase);
uint32_t cz_rng_u32(cz_rng *rng);
double cz_rng_uniform(cz_rng *rng);             /* in [0, 1), 53 bits */
double cz_rng_normal(cz_rng *rng);              /* N(0, 1), Box-Muller */
uint32_t cz_rng_below(cz_rng *rng, uint32_t n); /* in 0 .. n-1, unbiased; n > 0 */

/* A 64-bit hash of bytes, to tell equal rows (FNV-1a over words, finished as in
 * SplitMix64). Chain by passing the previous hash; start with 0. */
uint64_t cz_hash(uint64_t hash, const void *bytes, unsigned long size);

#endif

#include "czhpc/rng.h"

#include <math.h>
#include <string.h>

cz_block cz_philox(uint64_t key, uint32_t cell, uint32_t step, uint32_t purpose_and_block,
                   uint32_t phase)
{
    uint32_t c0 = cell, c1 = step, c2 = purpose_and_block, c3 = phase;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53 * c0, p1 = (uint64_t)0xCD9E8D57 * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    return (cz_block){{c0, c1, c2, c3}};
}

cz_rng cz_rng_open(uint64_t key, uint32_t cell, uint32_t step, unsigned purpose, uint32_t phase)
{
    return (cz_rng){
        .key = key, .cell = cell, .step = step, .phase = phase, .purpose = purpose, .used = 4};
}

uint32_t cz_rng_u32(cz_rng *rng)
{
    if (rng->used == 4) {
        rng->bits = cz_philox(rng->key, rng->cell, rng->step,
                              cz_counter(rng->purpose, rng->block++), rng->phase);
        rng->used = 0;
    }
    return rng->bits.v[rng->used++];
}

double cz_rng_uniform(cz_rng *rng)
{
    uint64_t high = cz_rng_u32(rng), low = cz_rng_u32(rng);
    return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

double cz_rng_normal(cz_rng *rng)
{
    if (rng->has_spare) {
        rng->has_spare = 0;
        return rng->spare;
    }
    double radius = sqrt(-2 * log(1 - cz_rng_uniform(rng)));
    double angle = 2 * 3.14159265358979323846 * cz_rng_uniform(rng);
    rng->spare = radius * sin(angle);
    rng->has_spare = 1;
    return radius * cos(angle);
}

/* Rejection, so that no value is more likely than another. */
uint32_t cz_rng_below(cz_rng *rng, uint32_t n)
{
    uint32_t limit = UINT32_MAX - UINT32_MAX % n;
    uint32_t value = cz_rng_u32(rng);
    while (value >= limit) value = cz_rng_u32(rng);
    return value % n;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
    x = (x ^ x >> 27) * 0x94D049BB133111EB;
    return x ^ x >> 31;
}

uint64_t cz_hash(uint64_t hash, const void *bytes, unsigned long size)
{
    const unsigned char *at = bytes;
    hash ^= 0xCBF29CE484222325;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ mix(word)) * 0x100000001B3;
    }
    for (; size; size--) hash = (hash ^ *at++) * 0x100000001B3;
    return mix(hash);
}

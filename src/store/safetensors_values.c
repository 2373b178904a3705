/* Stored values as fp32. They may lie at any address: each is read by memcpy(). */
#include "czhpc/safetensors.h"

#include <string.h>

typedef enum kind { OTHER, F32, F64, F16, BF16 } kind;

static kind kind_of(const cz_stored_tensor *t)
{
    if (!strcmp(t->dtype, "F32")) return F32;
    if (!strcmp(t->dtype, "F64")) return F64;
    if (!strcmp(t->dtype, "F16")) return F16;
    return !strcmp(t->dtype, "BF16") ? BF16 : OTHER;
}

bool cz_stored_is_float(const cz_stored_tensor *t) { return kind_of(t) != OTHER; }

const float *cz_stored_in_place(const cz_stored_tensor *t)
{
    bool aligned = (uintptr_t)t->data % _Alignof(float) == 0;
    return aligned && kind_of(t) == F32 ? t->data : NULL;
}

static inline float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. Shifted to their places in binary32
 * they are too small by 2^112, subnormals as well; infinities and NaNs lack exponent bits. */
static inline float from_half(uint16_t half)
{
    uint32_t rest = half & 0x7fff, bits;
    float size = from_bits(rest << 13) * 0x1p112f;
    memcpy(&bits, &size, sizeof bits);
    if (rest >= 0x7c00) bits |= 0x7f800000;
    return from_bits(bits | (uint32_t)(half & 0x8000) << 16);
}

static void copy_doubles(float *restrict to, const char *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, from + i * sizeof value, sizeof value);
        to[i] = (float)value;
    }
}

static void copy_halves(float *restrict to, const char *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, from + i * sizeof half, sizeof half);
        to[i] = from_half(half);
    }
}

/* bfloat16 is the upper half of binary32. */
static void copy_uppers(float *restrict to, const char *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t upper;
        memcpy(&upper, from + i * sizeof upper, sizeof upper);
        to[i] = from_bits((uint32_t)upper << 16);
    }
}

void cz_stored_copy(float *to, const cz_stored_tensor *t)
{
    switch (kind_of(t)) {
    case F32:
        if (t->elements) memcpy(to, t->data, t->elements * sizeof *to);
        break;
    case F64:
        copy_doubles(to, t->data, t->elements);
        break;
    case F16:
        copy_halves(to, t->data, t->elements);
        break;
    case BF16:
        copy_uppers(to, t->data, t->elements);
        break;
    case OTHER:
        break;
    }
}

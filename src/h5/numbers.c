#include "numbers.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Defines to_from(): each value of `source` through `expression` of v. */
#define CONVERT(to_type, from_type, source, expression)                                            \
    static void to_type##_of_##from_type(void *to, const void *from, size_t n)                     \
    {                                                                                              \
        char *out = to;                                                                            \
        const char *in = from;                                                                     \
        for (size_t i = 0; i < n; i++) {                                                           \
            source v;                                                                              \
            memcpy(&v, in + i * sizeof v, sizeof v);                                               \
            to_type##_value value = expression;                                                    \
            memcpy(out + i * sizeof value, &value, sizeof value);                                  \
        }                                                                                          \
    }

typedef float f32_value;
typedef int32_t i32_value;
typedef int64_t i64_value;

static float narrow(double v)
{
    return v > FLT_MAX ? INFINITY : v < -FLT_MAX ? -INFINITY : (float)v;
}

static int32_t clamp(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : v < INT32_MIN ? INT32_MIN : (int32_t)v;
}

static int64_t clamp_unsigned(uint64_t v) { return v > INT64_MAX ? INT64_MAX : (int64_t)v; }

CONVERT(f32, f32, float, v)
CONVERT(f32, f64, double, narrow(v))
CONVERT(f32, i8, int8_t, (float)v)
CONVERT(f32, u8, uint8_t, (float)v)
CONVERT(f32, i16, int16_t, (float)v)
CONVERT(f32, u16, uint16_t, (float)v)
CONVERT(f32, i32, int32_t, (float)v)
CONVERT(f32, u32, uint32_t, (float)v)
CONVERT(f32, i64, int64_t, (float)v)
CONVERT(f32, u64, uint64_t, (float)v)
CONVERT(i32, i16, int16_t, v)
CONVERT(i32, u16, uint16_t, v)
CONVERT(i32, i32, int32_t, v)
CONVERT(i32, u32, uint32_t, clamp(v))
CONVERT(i32, i64, int64_t, clamp(v))
CONVERT(i32, u64, uint64_t, clamp(clamp_unsigned(v)))
CONVERT(i64, i32, int32_t, v)
CONVERT(i64, u32, uint32_t, v)
CONVERT(i64, i64, int64_t, v)
CONVERT(i64, u64, uint64_t, clamp_unsigned(v))

h5_convert h5_converter(hid_t stored, hid_t wanted)
{
    /* HDF5's types are variables, not constants. */
    const struct {
        hid_t wanted, stored;
        h5_convert convert;
    } known[] = {
        {H5T_NATIVE_FLOAT, H5T_NATIVE_FLOAT, f32_of_f32},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE, f32_of_f64},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_INT8, f32_of_i8},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_UINT8, f32_of_u8},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_INT16, f32_of_i16},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_UINT16, f32_of_u16},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_INT32, f32_of_i32},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_UINT32, f32_of_u32},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_INT64, f32_of_i64},
        {H5T_NATIVE_FLOAT, H5T_NATIVE_UINT64, f32_of_u64},
        {H5T_NATIVE_INT32, H5T_NATIVE_INT16, i32_of_i16},
        {H5T_NATIVE_INT32, H5T_NATIVE_UINT16, i32_of_u16},
        {H5T_NATIVE_INT32, H5T_NATIVE_INT32, i32_of_i32},
        {H5T_NATIVE_INT32, H5T_NATIVE_UINT32, i32_of_u32},
        {H5T_NATIVE_INT32, H5T_NATIVE_INT64, i32_of_i64},
        {H5T_NATIVE_INT32, H5T_NATIVE_UINT64, i32_of_u64},
        {H5T_NATIVE_INT64, H5T_NATIVE_INT32, i64_of_i32},
        {H5T_NATIVE_INT64, H5T_NATIVE_UINT32, i64_of_u32},
        {H5T_NATIVE_INT64, H5T_NATIVE_INT64, i64_of_i64},
        {H5T_NATIVE_INT64, H5T_NATIVE_UINT64, i64_of_u64},
    };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (H5Tequal(wanted, known[k].wanted) > 0 && H5Tequal(stored, known[k].stored) > 0)
            return known[k].convert;
    return NULL;
}

/* The type that tensor cores take; its bits are all that is asked for here. */
#ifndef CZ_EMULATED_CUDA_BF16_H
#define CZ_EMULATED_CUDA_BF16_H

#include <cstdint>

struct __nv_bfloat16 {
    uint16_t bits;
};

#endif

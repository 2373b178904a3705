/* Dropout masks, a byte a thread. */
#include "kernel.h"

static __global__ void write_masks(mask_site site, const cz_step *step, int cells, int elements)
{
    size_t all = (size_t)cells * site.cell_bytes, stride = (size_t)gridDim.x * blockDim.x;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < all; i += stride) {
        int b = (int)(i / site.cell_bytes);
        unsigned at = (unsigned)(i % site.cell_bytes), byte = draw_mask_byte(site, step, b, at);
        int left = elements - 8 * (int)at;
        site.bits[i] = (uint8_t)(left < 8 ? byte & ((1u << left) - 1) : byte);
    }
}

cz_status draw_masks(cz_exec *exec, const mask_site &site, int cells, int elements)
{
    enum { THREADS = 256 };
    if (!site.bits) return CZ_OK;
    unsigned blocks = blocks_for((size_t)cells * site.cell_bytes, THREADS);
    return launch(exec, "write_masks", write_masks, dim3(blocks), THREADS, 0, site, exec->step,
                  cells, elements);
}

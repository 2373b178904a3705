/* Adam: one pass over weights, moments and gradient, and over the copy of the weights that products
 * read (w.packed: the same elements as activations are stored; NULL: there is none). */
#include "kernel.h"

template <typename Stored>
__global__ void adam_step(float *w, float *m, float *v, const float *g, Stored *copy, int n,
                          float decay, const cz_step *step)
{
    /* 1 - beta in double: in fp32 1 - 0.999f is off by 5e-5. */
    const real beta1 = (real)0.9, beta2 = (real)0.999;
    const real rest1 = (real)(1 - 0.9), rest2 = (real)(1 - 0.999);
    real lr = (real)(step->lr / step->bias1), spread = (real)(1 / sqrt(step->bias2));
    int stride = (int)(gridDim.x * blockDim.x);
    for (int i = (int)(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += stride) {
        real wi = w[i], gi = decay * wi + g[i];
        real mi = beta1 * m[i] + rest1 * gi, vi = beta2 * v[i] + rest2 * gi * gi;
        wi -= lr * mi / (sqrtf(vi) * spread + (real)1e-8);
        w[i] = wi;
        m[i] = mi;
        v[i] = vi;
        if (copy) put(copy + i, wi);
    }
}

template <typename Stored>
static cz_status adam(cz_exec *exec, cz_tensor w, cz_tensor m, cz_tensor v, cz_tensor g,
                      double decay)
{
    enum { THREADS = 256 };
    int n = cz_cols(w);
    CZ_TRY(join_deferred(exec->gpu));
    return launch(exec, "adam", adam_step<Stored>, dim3(blocks_for((size_t)n, THREADS)), THREADS, 0,
                  (float *)w.data, (float *)m.data, (float *)v.data, (const float *)g.data,
                  (Stored *)w.packed, n, (float)decay, exec->step);
}

void fill_adam(cuda_tables t)
{
    t.f32->adam = adam<float>;
    t.bf16->adam = adam<bf16>;
}

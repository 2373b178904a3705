/* The bytes in which a probe answers what it found of an AnnData file: whatever unpacks, packs
 * into the same bytes. */
#include "data/h5ad_plan.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static h5ad_plan plan;
    cz_bytes bytes = {0};
    cz_status status = h5ad_plan_unpack(&plan, data, size);
    if (!fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY)) return 0;
    h5ad_plan_pack(&bytes, &plan, true);
    fuzz_must(!bytes.failed && bytes.size == size && !memcmp(bytes.data, data, size));
    cz_bytes_free(&bytes);
    h5ad_plan_free(&plan);
    return 0;
}

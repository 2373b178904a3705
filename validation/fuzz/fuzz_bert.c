/* config.json of a text model: the input is the file. What is taken makes a shape that a model can
 * have. */
#include "czhpc/bert.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cz_bert_shape s;
    char *text = malloc(size + 1); /* a copy, so that reading beyond shows */
    if (!text) exit(2);
    memcpy(text, data, size);
    cz_status status = cz_bert_parse_shape(&s, "config.json", text, size);
    if (fuzz_good(status, CZ_ERR_INPUT, CZ_ERR_MEMORY)) {
        fuzz_must(s.width >= 1 && s.width <= 16384 && s.heads >= 1 && s.width % s.heads == 0);
        fuzz_must(s.layers >= 1 && s.layers <= 1000 && s.feedforward >= 1);
        fuzz_must(s.vocabulary >= 1 && s.positions >= 1 && s.types >= 1);
        fuzz_must(s.activation == CZ_GELU || s.activation == CZ_RELU);
        fuzz_must(s.eps > 0 && s.eps <= 1);
    }
    free(text);
    return 0;
}

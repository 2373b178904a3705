/* A configuration: the input up to a byte 0 is the file, what follows up to the next 0 each an
 * override. What is read prints as a configuration that reads back as the same. */
#include "czhpc/config.h"
#include "fuzz.h"

enum { OVERRIDES = 4 };

/* Takes the next part of the input, without its 0; a copy, so that reading beyond shows. */
static char *part(const uint8_t **at, const uint8_t *end, size_t *size)
{
    const uint8_t *stop = memchr(*at, 0, (size_t)(end - *at));
    *size = (size_t)((stop ? stop : end) - *at);
    char *text = malloc(*size + 1);
    if (!text) exit(2);
    memcpy(text, *at, *size);
    text[*size] = 0;
    *at = stop ? stop + 1 : end;
    return text;
}

static char *print(const cz_config *config)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    fuzz_must(out && !cz_config_print(config, out) && !fclose(out));
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cz_config config, again;
    const uint8_t *at = data, *end = data + size;
    cz_override override[OVERRIDES];
    char *text[OVERRIDES];
    size_t length;
    int count = 0;
    char *file = part(&at, end, &length);
    fuzz_write(file, length);
    while (at < end && count < OVERRIDES) {
        text[count] = part(&at, end, &length);
        override[count].text = text[count];
        count++;
    }
    cz_status status = cz_config_load(&config, fuzz_path(), override, count);
    if (fuzz_good(status, CZ_ERR_CONFIG, CZ_ERR_INPUT)) {
        char *first = print(&config);
        fuzz_write(first, strlen(first));
        fuzz_must(!cz_config_load(&again, fuzz_path(), NULL, 0));
        char *second = print(&again);
        fuzz_must(!strcmp(first, second) && cz_config_hash(&config) == cz_config_hash(&again));
        free(first);
        free(second);
    }
    free(file);
    while (count > 0) free(text[--count]);
    return 0;
}

/* What the readers of JSON share. */
#ifndef CZ_JSON_H
#define CZ_JSON_H

#include <jansson.h>

/* What a value is, for messages: "an object", "a text"; "nothing" for NULL. Local. */
const char *cz_json_kind(const json_t *value);

#endif

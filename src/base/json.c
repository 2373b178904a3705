#include "czhpc/json.h"

const char *cz_json_kind(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",       [JSON_ARRAY] = "an array", [JSON_STRING] = "a text",
        [JSON_INTEGER] = "a whole number", [JSON_REAL] = "a number",  [JSON_TRUE] = "a truth value",
        [JSON_FALSE] = "a truth value",    [JSON_NULL] = "null",
    };
    return value ? names[json_typeof(value)] : "nothing";
}

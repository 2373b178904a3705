/* What unicode_tables.c holds, each table sorted by code point. Private to unicode.c. */
#ifndef CZ_UNICODE_TABLES_H
#define CZ_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct unicode_range {
    uint32_t first, last;
} unicode_range;

typedef struct unicode_class_range {
    uint32_t first, last;
    uint8_t number;
} unicode_class_range;

/* Every step-th code point from first to last, `delta` away from its lower case. */
typedef struct unicode_case_range {
    uint32_t first, last;
    int32_t step, delta;
} unicode_case_range;

/* A code point that becomes up to four; those beyond its last are 0. */
typedef struct unicode_row {
    uint32_t from, to[4];
} unicode_row;

#define UNICODE_TABLE(kind, name)                                                                  \
    extern const kind name[];                                                                      \
    extern const size_t name##_size
UNICODE_TABLE(unicode_range, unicode_dropped);
UNICODE_TABLE(unicode_range, unicode_white);
UNICODE_TABLE(unicode_range, unicode_punctuation);
UNICODE_TABLE(unicode_range, unicode_chinese);
UNICODE_TABLE(unicode_range, unicode_nonspacing);
UNICODE_TABLE(unicode_class_range, unicode_classes);
UNICODE_TABLE(unicode_case_range, unicode_lower_ranges);
UNICODE_TABLE(unicode_row, unicode_lower_rows);
UNICODE_TABLE(unicode_row, unicode_decompositions);
#undef UNICODE_TABLE

#endif

/* The parameters that a search moves, and the values it may give them. */
#ifndef CZ_SPACE_H
#define CZ_SPACE_H

#include <stdbool.h>

enum { CZ_SPACE_MAX = 24, CZ_SPACE_CHOICES = 16, CZ_SPACE_NAME = 128, CZ_SPACE_CHOICE = 96 };

typedef enum cz_dimension_kind { CZ_FLOAT, CZ_INTEGER, CZ_CATEGORICAL } cz_dimension_kind;

/* One parameter. A value is a double: of CZ_CATEGORICAL the index of the choice. As Optuna does,
 * `high` of a stepped dimension stands on a step from `low`. */
typedef struct cz_dimension {
    char name[CZ_SPACE_NAME]; /* of ours the key of the configuration, "train.lr" */
    cz_dimension_kind kind;
    double low, high; /* both inside */
    double step;      /* CZ_FLOAT: 0 for none; CZ_INTEGER: at least 1, and 1 with log */
    bool log;
    int choices;
    char choice[CZ_SPACE_CHOICES][CZ_SPACE_CHOICE]; /* as JSON by Python: 0.5, true, "mean" */
} cz_dimension;

typedef struct cz_space {
    int count;
    cz_dimension dimension[CZ_SPACE_MAX];
} cz_space;

/* Whether both may be dimensions of one study: name, kind, log and choices are the same. Local. */
bool cz_dimension_agrees(const cz_dimension *a, const cz_dimension *b);
/* The same in every member. Local. */
bool cz_dimension_equal(const cz_dimension *a, const cz_dimension *b);

/* Whether the dimension has one value only: its low, or its only choice. Local. */
bool cz_dimension_single(const cz_dimension *dimension);

/* Whether a value is one of the dimension's. Local. */
bool cz_dimension_holds(const cz_dimension *dimension, double value);

#endif

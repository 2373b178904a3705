/* The rules on which cells stay, and the splits, on tables made by hand. */
#include "../src/data/column.h"
#include "../src/data/rules.h"
#include "check.h"
#include "czhpc/rng.h"

enum { MOST = 4000 };

static uint8_t keep[MOST];

/* A column of n cells: one word of `words` each, "-" = missing, in turns. */
static cz_column column_of(const char *name, const char *words, int n)
{
    cz_column column = {0};
    char text[1024], *word[64], *rest = NULL;
    int count = 0;
    snprintf(text, sizeof text, "%s", words);
    for (char *w = strtok_r(text, ",", &rest); w; w = strtok_r(NULL, ",", &rest)) word[count++] = w;
    snprintf(column.name, sizeof column.name, "%s", name);
    column.code = calloc((size_t)n, sizeof *column.code);
    column.class_name = calloc((size_t)count, sizeof *column.class_name);
    for (int i = 0; i < n; i++) {
        const char *w = word[i % count];
        int k = 0;
        while (k < column.classes && strcmp(column.class_name[k], w) != 0) k++;
        column.code[i] = strcmp(w, "-") ? k : -1;
        if (column.code[i] == column.classes) column.class_name[column.classes++] = strdup(w);
    }
    return column;
}

static cz_config defaults(void)
{
    cz_config config;
    cz_config_defaults(&config);
    config.data.source = CZ_SOURCE_H5AD;
    return config;
}

/* n cells of the donors and sexes, every row another. */
static cz_cells cells_of(int n, const char *donors, const char *sexes)
{
    cz_cells cells = {.n = n, .facts.read = n, .facts.source = "hand.h5ad"};
    cells.target = column_of("donor_id", donors, n);
    cells.label = column_of("cell_type", "T cell,B cell", n);
    if (sexes) cells.adversary[cells.adversaries++] = column_of("sex", sexes, n);
    cells.row_hash = calloc((size_t)n, sizeof *cells.row_hash);
    cells.cell_name = calloc((size_t)n, sizeof *cells.cell_name);
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "cell_%d", i);
        cells.cell_name[i] = strdup(name);
        cells.row_hash[i] = cz_hash(0, name, strlen(name));
    }
    return cells;
}

/* The line of a rule, "" if it said nothing. */
static const char *said(const cz_cells *cells, const char *rule)
{
    for (int r = 0; r < cells->facts.rules; r++)
        if (!strcmp(cells->facts.rule[r].name, rule)) return cells->facts.rule[r].text;
    return "";
}

static bool says(const cz_cells *cells, const char *rule, const char *text)
{
    if (!strcmp(said(cells, rule), text)) return true;
    printf("     %s: '%s', expected '%s'\n", rule, said(cells, rule), text);
    return false;
}

static bool refused(cz_status got, cz_status expected, const char *words)
{
    bool right = got == expected && strstr(cz_error_message(), words);
    if (!right) printf("     status %d: '%s', expected '%s'\n", got, cz_error_message(), words);
    cz_error_clear();
    return right;
}

static void check_review(void)
{
    cz_config config = defaults();
    uint8_t empty[10] = {0, 0, 1, 0, 0, 0, 0, 0, 0, 0};
    cz_cells cells = cells_of(10, "a,b,c,a,b", "male,female");
    cells.begin = calloc(4, sizeof *cells.begin);
    memcpy(cells.begin, (int32_t[]){0, 3, 6, 10}, 4 * sizeof *cells.begin);
    cells.row_hash[8] = cells.row_hash[1]; /* both of donor b */
    config.data.missing = CZ_MISSING_ERROR;
    check(refused(rules_review(&cells, keep, empty, &config), CZ_ERR_INPUT,
                  "1 of 10 cells have no counts above 0: data.missing=drop"),
          "cells without counts are refused, with the remedy");
    config.data.missing = CZ_MISSING_DROP;
    config.data.duplicates = CZ_DUPLICATES_DROP;
    config.data.min_cells = 2;
    bool right = !rules_review(&cells, keep, empty, &config);
    check(right && !memcmp(keep, (uint8_t[]){1, 1, 0, 1, 1, 1, 1, 0, 0, 1}, 10),
          "left out: no counts, a duplicate, a class that is then too small");
    check(says(&cells, "no counts", "1 of 10 cells left out: no counts above 0") &&
              says(&cells, "duplicates",
                   "1 of 9 cells left out: their features equal an earlier cell's") &&
              says(&cells, "minimal cells",
                   "1 of 8 cells left out: 1 classes of donor_id have fewer than 2: c"),
          "each with its line");
    right = !cells_keep(&cells, keep, 3);
    check(right && cells.n == 7 && cells.target.classes == 2 && cells.facts.dropped == 3 &&
              !memcmp(cells.begin, (int32_t[]){0, 2, 5, 7}, 4 * sizeof *cells.begin) &&
              !strcmp(cells.cell_name[6], "cell_9") &&
              !strcmp(cells.target.class_name[cells.target.code[6]], "b"),
          "what stays moves up: names, classes, shards");
    cz_cells_free(&cells);
}

static void check_filter_texts(void)
{
    static const struct {
        const char *text, *key, *value[3];
        bool negated;
    } right[] = {
        {"sex = male", "sex", {"male"}, false},
        {"sex=male|female", "sex", {"male", "female"}, false},
        {"  tissue general  !=  cerebral cortex |brain ",
         "tissue general",
         {"cerebral cortex", "brain"},
         true},
        {"a!=b", "a", {"b"}, true},
        {"\"a = b\" != \"c | d\" | \" e\" | \"\"", "a = b", {"c | d", " e", ""}, true},
        {"a = \"say \\\"no\\\" \\\\\"", "a", {"say \"no\" \\"}, false},
        {"a = 5\" deep", "a", {"5\" deep"}, false},
        {"a = !b", "a", {"!b"}, false},
    };
    static const char *const wrong[] = {
        "",        "sex",   "= male",     "sex =",       "a = b |", "a = b = c", "a == b",
        "a = \"b", "a ! b", "a = \"b\"c", "a = \"\\n\"", "!= b",    "a = | b",   "\"\" = b"};
    bool same = true, refuses = true;
    cz_filter filter;
    for (size_t k = 0; k < sizeof right / sizeof *right; k++) {
        bool ok = !cz_config_filter(&filter, right[k].text) && !strcmp(filter.key, right[k].key) &&
                  filter.negated == right[k].negated;
        int values = 0;
        for (; values < 3 && right[k].value[values]; values++)
            ok = ok && values < filter.values &&
                 !strcmp(filter.text + filter.value[values], right[k].value[values]);
        if (!ok || filter.values != values) printf("     %s\n", right[k].text);
        same = same && ok && filter.values == values;
    }
    for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
        if (cz_config_filter(&filter, wrong[k])) continue;
        printf("     %s\n", wrong[k]);
        refuses = false;
    }
    check(same, "filters are read: spaces, several values, quotes, !=");
    check(refuses, "what is no filter is refused");
    char longest[CZ_PATH_MAX];
    memset(longest, '|', sizeof longest);
    for (int k = 0; k < CZ_PATH_MAX; k += 2) longest[k] = 'a';
    longest[1] = '=';
    longest[CZ_PATH_MAX - 1] = 0;
    check(!cz_config_filter(&filter, longest) && filter.values == CZ_PATH_MAX / 2 - 1,
          "the longest filter has room");
}

enum { ROWS = 12 };

/* 12 cells of 3 data sets; donors 1 and 2 in each; unknown ones too. */
static cell_table table_of(void)
{
    cell_table table = {.n = ROWS, .files = 1};
    table.column[0] = column_of("dataset_id", "x,y,z", ROWS);
    table.column[1] = column_of("donor_id", "1,2,pooled,2,1,1,2,1,-,1,2,2", ROWS);
    table.column[2] = column_of("cell_type", "unknown,T cell,T cell,B cell", ROWS);
    table.column[3] = column_of("sex", "male,female,unknown", ROWS);
    table.column[4] = column_of("primary", "True,True,True,False,-,True", ROWS);
    table.column[5] = column_of("part", "Train,VAL,test,training", ROWS);
    table.columns = 6;
    return table;
}

static void free_table(cell_table *table)
{
    for (int k = 0; k < table->columns; k++) column_free(&table->column[k]);
}

/* rules_choose() of the table; cells are the caller's to free. */
static cz_status choose(cz_cells *cells, const cz_config *config)
{
    cell_table table = table_of();
    *cells = (cz_cells){.facts.source = "hand.h5ad"};
    cz_status status = rules_choose(cells, keep, &table, config);
    free_table(&table);
    return status;
}

static void check_roles(void)
{
    cz_config config = defaults();
    cz_cells cells;
    check(refused(choose(&cells, &config), CZ_ERR_INPUT,
                  "hand.h5ad: 2 of 12 cells have no donor_id (empty, nan, na, unknown or pooled): "
                  "data.missing=drop"),
          "a missing donor is refused, with the remedy");
    cz_cells_free(&cells);

    config.data.missing = CZ_MISSING_DROP;
    strcpy(config.data.target_key, "dataset_id+donor_id");
    strcpy(config.data.batch_key, "dataset_id");
    bool right = !choose(&cells, &config);
    check(right && cells.target.classes == 6 && !strcmp(cells.target.class_name[0], "x+1") &&
              !strcmp(cells.target.name, "dataset_id+donor_id") && cells.target.code[2] < 0 &&
              cells.target.code[8] < 0,
          "A+B joins the pairs that occur");
    check(!strcmp(cells.label.class_name[cells.label.code[0]], "unknown") &&
              cells.adversary[0].code[2] < 0 && cells.batch.classes == 3 && !cells.group.code,
          "unknown is a label, but no sex");
    check(
        says(&cells, "missing target",
             "2 of 12 cells left out: no dataset_id+donor_id (empty, nan, na, unknown or pooled)"),
        "cells left out are counted");
    right = right && !cells_keep(&cells, keep, 1);
    check(right && cells.n == 10 && cells.facts.dropped == 2 && cells.batch.classes == 3,
          "and left out");
    cz_cells_free(&cells);
}

/* Filters, one text each. */
static cz_status filtered(cz_cells *cells, const char *first, const char *second)
{
    cz_config config = defaults();
    config.data.missing = CZ_MISSING_DROP;
    strcpy(config.data.filter.text[config.data.filter.count++], first);
    if (second) strcpy(config.data.filter.text[config.data.filter.count++], second);
    return choose(cells, &config);
}

static void check_filters(void)
{
    cz_cells cells;
    bool right = !filtered(&cells, "primary = True", "sex != unknown");
    check(right && !strcmp(cells.facts.rule[0].text, "12 cells before, 8 after: primary = True") &&
              cells.facts.rule[0].count == 4 &&
              !strcmp(cells.facts.rule[1].text, "8 cells before, 4 after: sex != unknown"),
          "one filter after the other, with cells before and after");
    check(!memcmp(keep, (uint8_t[]){1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0}, ROWS),
          "a missing value is not equal to any");
    cz_cells_free(&cells);
    right = !filtered(&cells, "primary != False", NULL);
    check(right && !strcmp(cells.facts.rule[0].text, "12 cells before, 10 after, 2 of them without "
                                                     "a value: primary != False"),
          "so != keeps it, and says so");
    cz_cells_free(&cells);
    check(refused(filtered(&cells, "sex = Male", NULL), CZ_ERR_INPUT,
                  "no cell has the value 'Male' of sex, did you mean 'male'?; there are: 'male', "
                  "'female', 'unknown'"),
          "a value that no cell has: the nearest, and those there are");
    cz_cells_free(&cells);
    check(refused(filtered(&cells, "sex = male", "sex = female"), CZ_ERR_INPUT,
                  "no cell is left after 'sex = female'"),
          "no cell left");
    cz_cells_free(&cells);
    check(refused(filtered(&cells, "sex male", NULL), CZ_ERR_CONFIG, "expected KEY = A | B"),
          "a filter that cannot be read");
    cz_cells_free(&cells);
}

static void count_parts(int count[CZ_SPLITS], const cz_cells *cells)
{
    for (int p = 0; p < CZ_SPLITS; p++) count[p] = 0;
    for (int i = 0; i < cells->n; i++) count[cells->split[i]]++;
}

static void check_column_split(void)
{
    cz_config config = defaults();
    cz_cells cells;
    int count[CZ_SPLITS] = {0};
    config.data.missing = CZ_MISSING_DROP;
    strcpy(config.split.method, "column:sex");
    check(refused(choose(&cells, &config), CZ_ERR_INPUT,
                  "split.method column:sex: expected train, validation (val, valid) or test, found "
                  "male, female, unknown"),
          "column: what is no part is refused");
    cz_cells_free(&cells);

    strcpy(config.split.method, "column:part");
    cells = cells_of(400, "a,b,c,d,e", "male,female,male,female,male");
    cells.group = column_of("part", "train,Val,TEST,training", 400);
    bool right = !rules_split(&cells, &config);
    for (int i = 0; i < 400 && right; i++)
        right = cells.split[i] == (uint8_t[]){CZ_TRAIN, CZ_VALIDATION, CZ_TEST, CZ_TRAIN}[i % 4];
    check(right, "column: each cell where its text says");
    cz_cells_free(&cells);

    cells = cells_of(400, "a,b,c,d,e", "male,female,male,female,male");
    cells.group = column_of("part", "train,train,test,train", 400);
    right = !rules_split(&cells, &config);
    if (right) count_parts(count, &cells);
    check(right && count[CZ_TEST] == 100 && count[CZ_VALIDATION] == 55 &&
              says(&cells, "validation cells",
                   "55 of 300 training cells validate: no cell's part says validation"),
          "column: validation is cut from train where there is none");
    cz_cells_free(&cells);

    cells = cells_of(400, "a,b,c,d,e", NULL);
    cells.group = column_of("part", "train", 400);
    check(refused(rules_split(&cells, &config), CZ_ERR_INPUT, "leaves no test cells of 400"),
          "no part may be empty");
    cz_cells_free(&cells);
}

static void check_group_split(void)
{
    enum { N = 3000, GROUPS = 30 };
    cz_config config = defaults();
    int count[CZ_SPLITS] = {0}, at[GROUPS], again[GROUPS], moved = 0;
    char donors[256] = "", libraries[512] = "";
    for (int g = 0; g < GROUPS; g++) {
        sprintf(libraries + strlen(libraries), "%slib_%d", g ? "," : "", g);
        sprintf(donors + strlen(donors), "%sdonor_%d", g ? "," : "", g / 3);
    }
    strcpy(config.split.method, "group:library_id");
    cz_cells cells = cells_of(N, donors, NULL);
    cells.group = column_of("library_id", libraries, N);
    bool right = !rules_split(&cells, &config), whole = right;
    for (int i = 0; i < N && right; i++) {
        if (i < GROUPS) at[i] = cells.split[i];
        whole = whole && cells.split[i] == at[i % GROUPS];
    }
    if (right) count_parts(count, &cells);
    check(whole && abs(count[0] - 2100) <= 100 && abs(count[1] - 450) <= 100 &&
              abs(count[2] - 450) <= 100,
          "group: whole groups, parts near their shares (%d, %d, %d)", count[0], count[1],
          count[2]);
    config.split.seed = 1;
    right = right && !rules_split(&cells, &config);
    for (int g = 0; g < GROUPS && right; g++) {
        again[g] = cells.split[g];
        moved += again[g] != at[g];
    }
    bool trained = true;
    for (config.split.seed = 0; config.split.seed < 50 && right; config.split.seed++) {
        cells.facts.rules = 0;
        right = !rules_split(&cells, &config);
        trained = trained && !said(&cells, "untrained classes")[0];
    }
    check(right && trained, "group: a donor of three libraries trains in one of them");
    check(right && moved > 2, "group: another seed, another split (%d groups moved)", moved);
    cz_cells_free(&cells);

    cells = cells_of(60, "a,b,c", NULL);
    cells.group = column_of("library_id", "one,two,three", 60);
    right = !rules_split(&cells, &config);
    check(right && cells.split[0] != cells.split[1] && cells.split[1] != cells.split[2] &&
              cells.split[0] != cells.split[2],
          "group: three groups make three parts");
    const char *line = said(&cells, "untrained classes");
    check(
        !strncmp(line, "2 of 3 classes of donor_id have no training cell; their 20 test cells", 69),
        "classes that are not trained on are named: %s", line);
    cz_cells_free(&cells);

    cells = cells_of(60, "a,b,c", NULL);
    cells.group = column_of("library_id", "one,two", 60);
    check(refused(rules_split(&cells, &config), CZ_ERR_INPUT, "there are 2 groups"),
          "group: two groups are too few");
    cz_cells_free(&cells);
}

static void check_folds(void)
{
    enum { N = 1003, FOLDS = 5 };
    cz_config config = defaults();
    cz_cells cells = cells_of(N, "a,b,b,c,c,c,d", NULL);
    int tested[N] = {0}, least[4], most[4], count[CZ_SPLITS] = {0}, validated[N] = {0};
    bool right = true, even = true, together = true;
    for (int i = 0; i + 70 < N; i += 50) cells.row_hash[i + 70] = cells.row_hash[i];
    for (int k = 0; k < 4; k++) {
        least[k] = N;
        most[k] = 0;
    }
    strcpy(config.split.method, "kfold");
    config.split.folds = FOLDS;
    for (int f = 0; f < FOLDS && right; f++) {
        int of_class[4] = {0};
        config.split.fold = f;
        cells.facts.rules = 0;
        right = !rules_split(&cells, &config);
        count_parts(count, &cells);
        even = even && abs(count[CZ_TEST] - N / FOLDS) <= 1 &&
               abs(count[CZ_VALIDATION] - N / FOLDS) <= 1;
        for (int i = 0; i < N; i++) {
            tested[i] += cells.split[i] == CZ_TEST;
            validated[i] += cells.split[i] == CZ_VALIDATION;
            of_class[cells.target.code[i]] += cells.split[i] == CZ_TEST;
        }
        for (int k = 0; k < 4; k++) {
            least[k] = of_class[k] < least[k] ? of_class[k] : least[k];
            most[k] = of_class[k] > most[k] ? of_class[k] : most[k];
        }
        for (int i = 0; i + 70 < N; i += 50)
            together = together && cells.split[i] == cells.split[i + 70];
    }
    for (int i = 0; i < N; i++) right = right && tested[i] == 1 && validated[i] == 1;
    check(right, "kfold: every cell is tested once, and validates once");
    for (int k = 0; k < 4; k++) even = even && most[k] - least[k] <= 1;
    check(even && together, "kfold: each class dealt out evenly, equal rows together");
    cz_cells_free(&cells);
}

static void check_said(void)
{
    cz_config config = defaults();
    cz_cells cells = cells_of(600, "a,b,c,d,e,f", "male,female");
    cells.batch = column_of("library_id", "1,2,3,4,4,5", 600);
    cells.adversary[0].code[0] = 1; /* one male of 100 cells of donor a is female */
    cells.adversary[0].code[6] = -1;
    cells.target.code[11] = 6; /* a donor of one cell */
    cells.target.class_name = realloc(cells.target.class_name, 7 * sizeof(char *));
    cells.target.class_name[cells.target.classes++] = strdup("only \"one\"\n\xff");
    bool right = !rules_split(&cells, &config);
    check(right &&
              says(&cells, "two values",
                   "1 of 7 classes of donor_id have two values of sex; the commoner one is "
                   "used, for 1 cells: a") &&
              cells.adversary[0].code[0] == cells.adversary[0].code[12],
          "a donor of two sexes is counted and takes the commoner one");
    check(cells.facts.unknown[0] == 1 && cells.adversary[0].code[6] == -1 &&
              says(&cells, "unknown adversary",
                   "1 of 600 cells have no known sex; they are kept and carry none of its loss"),
          "an unknown sex stays unknown");
    check(says(&cells, "one batch",
               "7 of 7 classes of donor_id lie in one library_id each: a split of their cells "
               "cannot tell the class from the batch") &&
              says(&cells, "shared batches",
                   "2 of 5 classes of library_id hold cells of several classes of donor_id"),
          "batches that stand for donors");
    check(says(&cells, "small classes",
               "1 of 7 classes of donor_id are too small for all three "
               "parts: only \"one\"??") &&
              said(&cells, "single cells")[0],
          "a class too small for three parts; its name in one line of UTF-8");
    cz_cells_free(&cells);

    cells = cells_of(600, "a,b,c", "1,2,3,4,5,6,7,8,9,10");
    right = !rules_split(&cells, &config);
    check(right && cells.adversary[0].classes == 10 &&
              strstr(said(&cells, "two values"), "which is taken cell by cell"),
          "an adversary that is no property of the donor is left as it is");
    cz_cells_free(&cells);

    cells = cells_of(600, "a,b,c", NULL);
    for (int i = 0; i < 600; i++) cells.row_hash[i] = (uint64_t)(i / 2); /* of two donors */
    right = !rules_split(&cells, &config);
    int torn = 0;
    for (int i = 0; i < 600 && right; i += 2) torn += 2 * (cells.split[i] != cells.split[i + 1]);
    check(right && torn > 0 && atoi(said(&cells, "torn duplicates")) == torn,
          "equal cells in different parts are counted (%d)", torn);
    cz_cells_free(&cells);

    cells = cells_of(30, "a", NULL);
    check(refused(rules_split(&cells, &config), CZ_ERR_INPUT, "all cells have the same 'donor_id'"),
          "one donor alone");
    cz_cells_free(&cells);
}

static void check_names(void)
{
    char text[RULES_NAMES];
    uint8_t marked[40];
    cz_column column = column_of("k", "a,b,c,d,e,f,g,h", 8);
    memset(marked, 1, sizeof marked);
    rules_name(text, &column, marked);
    bool five = !strcmp(text, "a, b, c, d, e and 3 more");
    marked[0] = marked[1] = marked[2] = 0;
    rules_name(text, &column, marked);
    check(five && !strcmp(text, "d, e, f, g, h"), "up to five classes are named");
    memset(marked, 1, sizeof marked);
    for (int k = 0; k < 8; k++) {
        free(column.class_name[k]);
        column.class_name[k] = calloc(1, 61);
        memset(column.class_name[k], 'x', 60);
    }
    rules_name(text, &column, marked);
    check(strlen(text) == 60 + 2 + 60 + 11 && !strcmp(text + 122, " and 6 more"),
          "names of 60 characters: as many as there is room for");
    column_free(&column);
}

int main(void)
{
    check_filter_texts();
    check_roles();
    check_filters();
    check_review();
    check_column_split();
    check_group_split();
    check_folds();
    check_said();
    check_names();
    return check_done();
}

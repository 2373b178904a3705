/* What a job writes, where names and numbers are the worst there are: quotes, commas, newlines,
 * terminal commands, bytes that are no UTF-8; not a number, infinity; heads without a known cell.
 */
#include "check.h"
#include "czhpc/log.h"
#include "czhpc/report.h"

#include "../src/report/words.h"

#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CELLS = 12, CLASSES = 5, FIELDS = 64 };

static char folder[] = "/tmp/czhpc-report-XXXXXX";
static const char *const nasty[CLASSES] = {"say \"no\", or `id`\r\nand $HOME", "\x1b[2Jwipe\x07",
                                           "not \xff\xfe UTF-8",
                                           "Zelle \xc3\xa4\xe7\xb4\xb0\xe8\x83\x9e", ""};

static void fill_column(cz_column *column, const char *name, int classes)
{
    snprintf(column->name, sizeof column->name, "%s", name);
    column->classes = classes;
    column->code = calloc(CELLS, sizeof *column->code);
    column->class_name = calloc((size_t)classes, sizeof *column->class_name);
    for (int c = 0; c < classes; c++) column->class_name[c] = strdup(nasty[c]);
    for (int i = 0; i < CELLS; i++) column->code[i] = (int32_t)(i % classes);
}

/* The adversary is unknown in every cell; test cells are of one target class. */
static void fill_cells(cz_cells *cells)
{
    *cells = (cz_cells){.n = CELLS, .adversaries = 1};
    fill_column(&cells->target, "donor, \"id\"", CLASSES);
    fill_column(&cells->label, "type\n", CLASSES);
    fill_column(&cells->adversary[0], "sex\x1b", 2);
    cells->split = calloc(CELLS, 1);
    cells->cell_name = calloc(CELLS, sizeof *cells->cell_name);
    for (int i = 0; i < CELLS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s,%d", nasty[i % CLASSES], i);
        cells->cell_name[i] = strdup(name);
        cells->split[i] = (uint8_t)(i / 4);
        cells->adversary[0].code[i] = -1;
        if (cells->split[i] == CZ_TEST) cells->target.code[i] = 2;
    }
    snprintf(cells->facts.source, sizeof cells->facts.source, "file \xff.h5ad");
}

static void fill_evaluation(cz_evaluation *e, const cz_cells *cells, cz_split part)
{
    *e = (cz_evaluation){.heads = 2, .row = calloc(CELLS, sizeof *e->row)};
    for (int i = 0; i < CELLS; i++)
        if (cells->split[i] == part) e->row[e->n++] = i;
    for (int h = 0; h < 2; h++) {
        int classes = cz_head_column(cells, h)->classes;
        e->best[h] = calloc(CELLS, sizeof **e->best);
        e->log_prob[h] = calloc((size_t)CELLS * (size_t)classes, sizeof **e->log_prob);
        for (int k = 0; k < CELLS * classes; k++) e->log_prob[h][k] = -logf((float)classes);
    }
}

static char *read_file(const char *name, size_t *size)
{
    char path[128], *text = calloc(1, 1 << 16);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *in = fopen(path, "r");
    *size = in ? fread(text, 1, (1 << 16) - 1, in) : 0;
    if (in) fclose(in);
    return text;
}

/* Splits one record of RFC 4180 in place; returns its fields, *text behind it. */
static int read_record(char **text, char *field[FIELDS])
{
    char *from = *text, *to = *text;
    int fields = 0;
    bool more = *from != 0;
    while (more && fields < FIELDS) {
        bool quoted = *from == '"';
        field[fields++] = to;
        if (quoted) from++;
        while (*from && (quoted || (*from != ',' && *from != '\n'))) {
            if (quoted && *from == '"' && *++from != '"') break;
            *to++ = *from++;
        }
        more = *from++ == ',';
        *to++ = 0;
    }
    *text = from;
    return fields;
}

static void check_predictions(const cz_cells *cells, const cz_evaluation part[CZ_SPLITS])
{
    char path[128], *field[FIELDS], *text, *at;
    size_t size;
    int next[CZ_SPLITS] = {0}, lines = 0;
    cz_predictions *out;
    snprintf(path, sizeof path, "%s/predictions.csv", folder);
    cz_status status = cz_predictions_open(&out, path, cells);
    for (int i = 0; i < CELLS && !status; i++)
        cz_predictions_add(out, &part[cells->split[i]], next[cells->split[i]]++);
    struct stat about;
    bool early = !status && !stat(path, &about);
    status = cz_predictions_close(out, true);
    text = at = read_file("predictions.csv", &size);
    bool same = !status && read_record(&at, field) == 7 + CLASSES + 3 + 2;
    for (int c = 0; c < CLASSES && same; c++)
        same = !strncmp(field[7 + c], "prob_", 5) && !strcmp(field[7 + c] + 5, nasty[c]);
    same = same && !strcmp(field[7 + CLASSES], "true_sex\x1b") &&
           !strncmp(field[7 + CLASSES + 3], "prob_sex\x1b_", 10);
    for (int i = 0; i < CELLS && same; i++, lines++) {
        same = read_record(&at, field) == 7 + CLASSES + 3 + 2 &&
               !strcmp(field[0], cells->cell_name[i]) && atoi(field[1]) == i &&
               !strcmp(field[4], nasty[cells->target.code[i]]) && !strcmp(field[6], "0.2") &&
               !strcmp(field[7 + CLASSES], "");
    }
    check(same && at == text + size && !early,
          "predictions.csv reads back: %d cells, %zu bytes; it is there when it is whole", lines,
          size);
    free(text);
    remove(path);
    bool dropped = !cz_predictions_open(&out, path, cells) && !cz_predictions_close(out, false);
    check(dropped && stat(path, &about), "and one that is given up is not there");
    snprintf(path, sizeof path, "%s/no/predictions.csv", folder);
    check(cz_predictions_open(&out, path, cells) == CZ_ERR_IO && !cz_predictions_close(out, false),
          "predictions.csv where there is no folder: %s", cz_error_message());
    cz_error_clear();
}

static void check_tables(const cz_cells *cells, const cz_results *results)
{
    char *field[FIELDS], *text, *at;
    size_t size;
    bool same = !cz_result_tables_write(folder, results, cells);
    text = at = read_file("class_results.csv", &size);
    same = same && read_record(&at, field) == 10;
    for (int c = 0; c < CLASSES && same; c++) {
        same = read_record(&at, field) == 10 && !strcmp(field[0], "donor, \"id\"") &&
               !strcmp(field[1], nasty[c]) && atoi(field[2]) == (c == 2 ? 4 : 0) &&
               !strcmp(field[3], c == 2 ? "0" : "") && !strcmp(field[9], "");
    }
    check(same, "class_results.csv reads back; what is undefined is empty");
    free(text);
    text = at = read_file("confusion.csv", &size);
    same = read_record(&at, field) == 4 && read_record(&at, field) == 4 &&
           !strcmp(field[1], nasty[2]) && !strcmp(field[2], nasty[0]) && !strcmp(field[3], "4");
    check(same && at == text + size, "confusion.csv reads back");
    free(text);
}

static bool all_null(json_t *object, const char *const *key, size_t keys)
{
    for (size_t i = 0; i < keys; i++)
        if (!json_is_null(json_object_get(object, key[i]))) return false;
    return true;
}

static void check_summary(const cz_summary *summary)
{
    static const char *const undefined[] = {"accuracy",     "balanced_accuracy",
                                            "macro_f1",     "macro_auroc",
                                            "top3",         "loss",
                                            "brier",        "calibration_error",
                                            "temperature",  "scaled_loss",
                                            "majority",     "floor",
                                            "scaled_brier", "scaled_calibration_error"};
    static const char *const of_target[] = {"bayes", "bayes_without_label", "linear_discriminant",
                                            "from_quality", "macro_auroc"};
    char path[128];
    snprintf(path, sizeof path, "%s/summary.json", folder);
    bool written = !cz_summary_write(path, summary);
    json_error_t error;
    json_t *all = json_load_file(path, 0, &error);
    check(written && all, "summary.json is JSON %s %s", cz_error_message(), all ? "" : error.text);
    json_t *heads = json_object_get(json_object_get(all, "test"), "heads");
    json_t *target = json_array_get(heads, 0), *adversary = json_array_get(heads, 1);
    check(all_null(adversary, undefined, sizeof undefined / sizeof *undefined),
          "a head without a known test cell: null everywhere");
    check(all_null(target, of_target, sizeof of_target / sizeof *of_target) &&
              json_number_value(json_object_get(target, "accuracy")) == 0 &&
              fabs(json_number_value(json_object_get(target, "loss")) - log(CLASSES)) < 1e-9,
          "NaN and infinity are null, one class in the test has an accuracy and no AUROC");
    static const char *const mended = "not \xEF\xBF\xBD\xEF\xBF\xBD UTF-8";
    json_t *classes = json_object_get(target, "per_class");
    bool named = json_array_size(classes) == CLASSES;
    for (size_t c = 0; c < CLASSES && named; c++) {
        json_t *name = json_object_get(json_array_get(classes, c), "name");
        named = !strcmp(json_string_value(name), c == 2 ? mended : nasty[c]);
    }
    check(named, "names are whole; bytes that are no UTF-8 are replaced");
    json_decref(all);
}

static void check_shown(void)
{
    static const struct {
        const char *text, *expected;
    } all[] = {{"donor", "donor   "},
               {"12345678", "12345678"},
               {"123456789", "123456.."},
               {"a\nb\x1b[c", "a b [c  "},
               {"\xff\xfe", "\xEF\xBF\xBD\xEF\xBF\xBD      "},
               {"\xc2\x9bZ", " Z      "},
               {"\xe7\xb4\xb0\xe8\x83\x9e", "\xe7\xb4\xb0\xe8\x83\x9e      "},
               {"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
                "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4.."},
               {"", "        "}};
    char buffer[SHOWN_MAX];
    bool good = true;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        good = good && !strcmp(shown(buffer, all[i].text, 8), all[i].expected);
    check(good, "names on a terminal: padded, cut, harmless");
}

/* What is printed goes to the log too: no line of it may hold a control character. */
static void check_printed(const cz_summary *summary, const cz_evaluation *test,
                          const cz_cells *cells)
{
    char path[128];
    size_t size;
    snprintf(path, sizeof path, "%s/log", folder);
    bool opened = !cz_log_open(path);
    cz_log_set_speaker(true);
    cz_summary_print(summary);
    cz_samples_print(test, cells);
    cz_log_set_speaker(false);
    cz_log_close();
    char *text = read_file("log", &size);
    bool clean = opened && size > 1000;
    for (size_t i = 0; i < size; i++)
        clean = clean && (text[i] == '\n' || (unsigned char)text[i] >= ' ');
    check(clean, "what is printed holds no control characters (%zu bytes)", size);
    free(text);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    cz_log_set_speaker(false);
    if (!mkdtemp(folder)) return 1;
    cz_cells cells;
    cz_config config;
    cz_evaluation part[CZ_SPLITS];
    cz_results results;
    cz_model *model;
    cz_model_spec spec = {.width = 8,
                          .tokens = 2,
                          .heads = 2,
                          .fusion_dim = 4,
                          .feedforward = 4,
                          .latents = 2,
                          .latent_dim = 4,
                          .head_count = 1,
                          .head = {{"donor", CLASSES, false}}};
    cz_config_defaults(&config);
    fill_cells(&cells);
    for (int p = 0; p < CZ_SPLITS; p++) fill_evaluation(&part[p], &cells, (cz_split)p);
    bool made = !cz_results_make(&results, &part[CZ_TEST], &part[CZ_VALIDATION], &cells) &&
                !cz_model_open(&model, &spec);
    if (check(made, "results of %d cells %s", CELLS, cz_error_message())) {
        cz_summary summary = {.config = &config,
                              .cells = &cells,
                              .model = model,
                              .training = {.transport = "window", .best_value = NAN},
                              .results = &results,
                              .optimum = {INFINITY, -INFINITY, NAN},
                              .device = "cpu",
                              .backend = "cpu",
                              .host = "host",
                              .total_s = INFINITY,
                              .first_step_s = NAN};
        check_predictions(&cells, part);
        check_tables(&cells, &results);
        check_summary(&summary);
        check_printed(&summary, &part[CZ_TEST], &cells);
        cz_model_close(model);
    }
    check_shown();
    cz_results_free(&results);
    for (int p = 0; p < CZ_SPLITS; p++) cz_evaluation_free(&part[p]);
    cz_cells_free(&cells);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command)) perror(command);
    MPI_Finalize();
    return check_done();
}

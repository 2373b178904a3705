#include "czhpc/usage.h"

#include "czhpc/text.h"
#include "czhpc/version.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef enum takes { NOTHING, VALUE, MAYBE_VALUE } takes;

typedef enum meaning {
    AN_ACTION,
    SET,
    RESULTS,
    NAME,
    RESUME,
    TEXT_MODEL,
    OUT,
    WITHOUT_TEXT,
    EXPERIMENT,
    SEARCH,
    TRAIN,
    NOT_YET
} meaning;

typedef enum belongs { TO_JOBS, TO_LABELS, TO_BOTH } belongs;

typedef struct option {
    const char *name;
    belongs belongs;
    takes takes;
    const char *value; /* as --help calls it */
    meaning meaning;
    cz_action action;
    const char *help; /* NULL: accepted, not in --help; lines are broken by '\n' */
} option;

static const option options[] = {
    {"--set", TO_BOTH, VALUE, "KEY=VALUE", SET, 0,
     "give a key of the configuration another value; may\nbe repeated, the last one counts"},
    {"--results", TO_JOBS, VALUE, "DIR", RESULTS, 0, "folder for the folders of runs (results)"},
    {"--name", TO_JOBS, VALUE, "NAME", NAME, 0,
     "folder of this run (the configuration's file name)"},
    {"--resume", TO_JOBS, MAYBE_VALUE, "[auto|PATH]", RESUME, 0,
     "go on where the run stopped, or start if it is new;\n"
     "PATH: from that checkpoint of the same run instead"},
    {"--text-model", TO_BOTH, VALUE, "DIR", TEXT_MODEL, 0,
     "make label vectors by the BERT in DIR (text.model)"},
    {"--disable-text-modality", TO_JOBS, NOTHING, NULL, WITHOUT_TEXT, 0,
     "expression alone (model.text=false)"},
    {"--search-hparams", TO_JOBS, NOTHING, NULL, SEARCH, 0,
     "search for hyperparameters (search.*) and write\n"
     "best_hyperparameters.json; a study there is joined"},
    {"--train-model", TO_JOBS, NOTHING, NULL, TRAIN, 0,
     "train: the default; with --search-hparams, train with\nthe best then"},
    {"--experiment", TO_JOBS, VALUE, "N", EXPERIMENT, 0,
     "of a list of experiments run number N alone, from 0"},
    {"--dry-run", TO_JOBS, NOTHING, NULL, AN_ACTION, CZ_ACTION_DRY_RUN,
     "read the data's shape; print parameters, steps and\nmemory a rank; stop"},
    {"--check-config", TO_JOBS, NOTHING, NULL, AN_ACTION, CZ_ACTION_CHECK_CONFIG,
     "check the configuration; stop"},
    {"--print-config", TO_JOBS, NOTHING, NULL, AN_ACTION, CZ_ACTION_PRINT_CONFIG,
     "print the configuration with all its keys; stop"},
    {"--describe", TO_JOBS, NOTHING, NULL, AN_ACTION, CZ_ACTION_DESCRIBE,
     "print layers, shapes, parameters and FLOPs; stop"},
    {"--write-synthetic", TO_JOBS, VALUE, "FILE.h5ad", AN_ACTION, CZ_ACTION_WRITE_SYNTHETIC,
     "write the synthetic cells as AnnData; stop"},
    {"--out", TO_LABELS, VALUE, "FILE.h5", OUT, 0, "the table to write"},
    {"--help", TO_BOTH, NOTHING, NULL, AN_ACTION, CZ_ACTION_HELP, "print this"},
    {"--help-config", TO_BOTH, NOTHING, NULL, AN_ACTION, CZ_ACTION_HELP_CONFIG,
     "print every key of a configuration"},
    {"--version", TO_BOTH, NOTHING, NULL, AN_ACTION, CZ_ACTION_VERSION, "print the version"},
    {"-h", TO_BOTH, NOTHING, NULL, AN_ACTION, CZ_ACTION_HELP, NULL},
    {"--pretrain-resampler", TO_JOBS, NOTHING, NULL, NOT_YET, 0, NULL},
};
enum { OPTIONS = (int)(sizeof options / sizeof *options) };

typedef struct reader {
    cz_usage *usage;
    int argc, at; /* the argument being read */
    char **argv;
    belongs tool; /* TO_JOBS: none */
    bool given[OPTIONS];
} reader;

/* The option of an argument "--name" or "--name=value", *value behind the '=', else NULL. */
static cz_status find_option(const option **found, const char **value, const char *argument)
{
    const char *names[OPTIONS];
    char name[CZ_NAME_MAX];
    const char *equals = strchr(argument, '=');
    int length = equals ? (int)(equals - argument) : (int)strlen(argument);
    snprintf(name, sizeof name, "%.*s", length, argument);
    *value = equals ? equals + 1 : NULL;
    for (int i = 0; i < OPTIONS; i++) {
        names[i] = options[i].name;
        *found = &options[i];
        if (strcmp(name, names[i]) == 0) return CZ_OK;
    }
    const char *nearest = cz_text_nearest(name, names, OPTIONS);
    return cz_fail(CZ_ERR_USAGE, "option %s is unknown%s%s%s", name,
                   nearest ? ", did you mean " : "", nearest ? nearest : "",
                   nearest ? "?" : ": --help lists them all");
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool is_config(const char *word) { return ends_in(word, ".yaml") || ends_in(word, ".yml"); }

/* The value of an option that takes one: behind its '=', else the next argument; "" for none. */
static cz_status take_value(reader *r, const option *o, const char **value)
{
    const char *next = r->at + 1 < r->argc ? r->argv[r->at + 1] : "";
    if (o->takes == NOTHING && *value)
        return cz_fail(CZ_ERR_USAGE, "option %s takes no value, found '%s'", o->name, *value);
    /* A path may begin with '-', but --results --dry-run is a slip. */
    bool usable = o->takes == VALUE         ? strncmp(next, "--", 2) != 0
                  : o->takes == MAYBE_VALUE ? next[0] != '-' && !is_config(next)
                                            : false;
    bool empty = *value && !**value;
    if (!*value) {
        *value = usable ? next : "";
        r->at += **value != 0;
        empty = o->takes == VALUE && !**value;
    }
    if (!empty) return CZ_OK;
    return cz_fail(CZ_ERR_USAGE, "option %s needs a value: %s %s", o->name, o->name, o->value);
}

static cz_status add_override(cz_usage *usage, const char *text)
{
    if (usage->override_count == CZ_OVERRIDES_MAX)
        return cz_fail(CZ_ERR_USAGE, "more than %d values are set: write them into the CONFIG",
                       CZ_OVERRIDES_MAX);
    usage->overrides[usage->override_count++].text = text;
    return CZ_OK;
}

static cz_status set_key(reader *r, const option *o, char *text, size_t size, const char *key,
                         const char *value)
{
    if ((size_t)snprintf(text, size, "%s=%s", key, value) >= size)
        return cz_fail(CZ_ERR_USAGE, "the value of %s has %zu bytes: at most %zu are possible",
                       o->name, strlen(value), size - strlen(key) - 2);
    return add_override(r->usage, text);
}

static cz_status set_override(reader *r, const char *value)
{
    const char *equals = strchr(value, '=');
    if (equals && equals != value) return add_override(r->usage, value);
    return cz_fail(CZ_ERR_USAGE, "--set %s: expected KEY=VALUE, such as train.lr=1e-3", value);
}

static cz_status set_action(cz_usage *usage, const option *o, const char *value)
{
    if (usage->action != CZ_ACTION_TRAIN && o->action < CZ_ACTION_LABELS)
        return cz_fail(CZ_ERR_USAGE,
                       "option %s cannot stand beside another that does something and stops",
                       o->name);
    usage->action = o->action;
    if (o->action == CZ_ACTION_WRITE_SYNTHETIC) usage->write_synthetic = value;
    return CZ_OK;
}

static cz_status set_resume(cz_usage *usage, const char *value)
{
    usage->resume = true;
    if (!*value || strcmp(value, "auto") == 0) return CZ_OK;
    if (cz_text_copy(usage->resume_from, sizeof usage->resume_from, value)) return CZ_OK;
    return cz_fail(CZ_ERR_USAGE, "the value of --resume has %zu bytes: at most %zu are possible",
                   strlen(value), sizeof usage->resume_from - 1);
}

static cz_status set_experiment(cz_usage *usage, const char *value)
{
    char *end;
    long number = strtol(value, &end, 10);
    if (*end || end == value || number < 0 || number > INT_MAX)
        return cz_fail(CZ_ERR_USAGE,
                       "option --experiment needs a number from 0, found '%s': --check-config "
                       "lists them",
                       value);
    usage->experiment = (int)number;
    return CZ_OK;
}

static cz_status read_option(reader *r)
{
    cz_usage *usage = r->usage;
    const option *o;
    const char *value;
    CZ_TRY(find_option(&o, &value, r->argv[r->at]));
    CZ_TRY(take_value(r, o, &value));
    if (r->given[o - options] && o->meaning != SET)
        return cz_fail(CZ_ERR_USAGE, "option %s is given twice", o->name);
    r->given[o - options] = true;
    if (o->belongs != TO_BOTH && o->belongs != r->tool)
        return cz_fail(CZ_ERR_USAGE, "option %s is %s", o->name,
                       r->tool == TO_LABELS ? "not one of czhpc labels" : "for czhpc labels only");
    switch (o->meaning) {
    case AN_ACTION:
        return set_action(usage, o, value);
    case SET:
        return set_override(r, value);
    case RESULTS:
        return set_key(r, o, usage->results, sizeof usage->results, "run.results", value);
    case NAME:
        return set_key(r, o, usage->name, sizeof usage->name, "run.name", value);
    case RESUME:
        return set_resume(usage, value);
    case TEXT_MODEL:
        return set_key(r, o, usage->text_model, sizeof usage->text_model, "text.model", value);
    case OUT:
        usage->out = value;
        return CZ_OK;
    case WITHOUT_TEXT:
        return add_override(usage, "model.text=false");
    case EXPERIMENT:
        return set_experiment(usage, value);
    case SEARCH:
        usage->search = true;
        return CZ_OK;
    case TRAIN:
        usage->train = true;
        return CZ_OK;
    case NOT_YET:
        break;
    }
    return cz_fail(CZ_ERR_USAGE, "option %s is not implemented in czhpc " CZ_VERSION, o->name);
}

static cz_status read_word(reader *r)
{
    const char *word = r->argv[r->at];
    if (r->tool == TO_LABELS) {
        if (!*word || r->usage->labels)
            return cz_fail(CZ_ERR_USAGE, "czhpc labels reads one file of labels, found '%s' too",
                           word);
        r->usage->labels = word;
        return CZ_OK;
    }
    if (!*word) return cz_fail(CZ_ERR_USAGE, "the name of the CONFIG is empty");
    if (r->usage->config)
        return cz_fail(CZ_ERR_USAGE, "two configurations, %s and %s: a job has one",
                       r->usage->config, word);
    r->usage->config = word;
    return CZ_OK;
}

/* What a command line lacks. */
static cz_status check_whole(const reader *r)
{
    const cz_usage *usage = r->usage;
    if (r->tool == TO_LABELS && (!usage->labels || !usage->out))
        return cz_fail(CZ_ERR_USAGE,
                       "czhpc labels needs %s: czhpc labels FILE.txt --text-model "
                       "DIR --out FILE.h5",
                       usage->labels ? "--out" : "a file of labels");
    if (r->tool == TO_LABELS) return CZ_OK;
    if (!usage->config)
        return cz_fail(CZ_ERR_USAGE,
                       "no configuration: czhpc configs/demo.yaml shows what it does, "
                       "czhpc --help how");
    if (usage->search && usage->resume_from[0])
        return cz_fail(CZ_ERR_USAGE, "--resume PATH goes on from a state of one training: a search "
                                     "takes --resume alone");
    if (usage->resume && usage->action != CZ_ACTION_TRAIN)
        return cz_fail(CZ_ERR_USAGE, "--resume goes on with a run, but another option stops early");
    return CZ_OK;
}

cz_status cz_usage_parse(cz_usage *usage, int argc, char **argv)
{
    *usage = (cz_usage){.experiment = -1};
    reader r = {.usage = usage, .argc = argc, .at = 1, .argv = argv};
    if (argc > 1 && strcmp(argv[1], "labels") == 0) {
        r.tool = TO_LABELS;
        r.at = 2;
        usage->action = CZ_ACTION_LABELS;
    }
    for (; r.at < argc; r.at++) {
        if (argv[r.at][0] == '-' && argv[r.at][1]) CZ_TRY(read_option(&r));
        else CZ_TRY(read_word(&r));
        if (usage->action >= CZ_ACTION_HELP) return CZ_OK;
    }
    return check_whole(&r);
}

/* Name and value on the left, lines of help on the right; below where the left is wide. */
static void print_option(const option *o, FILE *out)
{
    enum { LEFT = 25 };
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
    if (strlen(left) < LEFT) fprintf(out, "  %-*s", LEFT, left);
    else fprintf(out, "  %s\n%*s", left, LEFT + 2, "");
    for (const char *line = o->help; line;) {
        int length = (int)strcspn(line, "\n");
        fprintf(out, "%.*s\n", length, line);
        line = line[length] ? line + length + 1 : NULL;
        if (line) fprintf(out, "%*s", LEFT + 2, "");
    }
}

static void print_options(bool of_labels, FILE *out)
{
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].help && (options[i].belongs == TO_LABELS) == of_labels)
            print_option(&options[i], out);
}

void cz_usage_help(FILE *out)
{
    fputs("Usage: czhpc CONFIG [OPTION]...\n"
          "       mpirun -np RANKS czhpc CONFIG [OPTION]...\n"
          "       czhpc labels FILE.txt --text-model DIR --out FILE.h5 [--set KEY=VALUE]...\n\n"
          "Trains and tests the model that a configuration (a YAML file) describes.\n"
          "`labels` makes a table of vectors (text.table) for the labels that stand in a\n"
          "file, one a line.\n\n"
          "Options:\n",
          out);
    print_options(false, out);
    fputs("\nOptions of labels:\n", out);
    print_options(true, out);
    fputs("\nResults are in DIR/NAME, and figures of them in DIR/NAME/figures.\n"
          "SIGTERM and SIGUSR1 save the state and stop.\n\n"
          "Exit codes:\n"
          "   0  done\n"
          "   2  the command line or the configuration is wrong\n"
          "   3  an input file is missing, damaged or not what was expected\n"
          "   4  the environment failed: MPI, device, memory, disk\n"
          "   5  training diverged\n"
          "  75  stopped by a signal with its state saved: run again with --resume\n\n"
          "Examples:\n"
          "  czhpc configs/demo.yaml\n"
          "  mpirun -np 2 czhpc configs/base.yaml --set train.epochs=20 --name short\n"
          "  mpirun -np 2 czhpc configs/base.yaml --set train.epochs=20 --name short \\\n"
          "      --resume\n"
          "  mpirun -np 2 czhpc configs/counts.yaml --set data.h5ad=cells.h5ad\n"
          "  mpirun -np 2 czhpc configs/base.yaml --search-hparams --train-model\n"
          "  czhpc configs/base.yaml --set data.adversary_keys=[] --print-config\n"
          "  czhpc labels names.txt --text-model biobert --out names.h5\n",
          out);
}

void cz_usage_answer(cz_action action, FILE *out)
{
    if (action == CZ_ACTION_HELP) cz_usage_help(out);
    if (action == CZ_ACTION_HELP_CONFIG) cz_config_help(out);
    if (action == CZ_ACTION_VERSION) fputs("czhpc " CZ_VERSION "\n", out);
}

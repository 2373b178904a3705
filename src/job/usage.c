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
    PROFILE,
    STUDY_NAME,
    TRIALS,
    NOT_YET
} meaning;

/* What an option belongs to: jobs, or tools that a first word names. */
enum { TO_JOBS = 1, TO_LABELS = 2, TO_STUDY = 4, TO_ALL = 7 };

typedef struct tool {
    const char *word; /* NULL: no tool but a job */
    int bit;
    cz_action action;
    const char *reads, *usage; /* its only word, and how --help calls all of it */
    bool writes;               /* --out is needed */
} tool;

static const tool tools[] = {
    {NULL, TO_JOBS, CZ_ACTION_TRAIN, "CONFIG", "CONFIG [OPTION]...", false},
    {"labels", TO_LABELS, CZ_ACTION_LABELS, "file of labels",
     "FILE.txt --text-model DIR --out FILE.h5", true},
    {"study", TO_STUDY, CZ_ACTION_STUDY, "journal of a study",
     "FILE.log [--name STUDY] [--out DIR] [--trials N]", false},
};
enum { TOOLS = (int)(sizeof tools / sizeof *tools) };

typedef struct option {
    const char *name;
    int belongs; /* TO_... */
    takes takes;
    const char *value; /* as --help calls it */
    meaning meaning;
    cz_action action;
    const char *help; /* NULL: accepted, not in --help; lines are broken by '\n' */
} option;

static const option options[] = {
    {"--set", TO_JOBS | TO_LABELS, VALUE, "KEY=VALUE", SET, 0,
     "give a key of the configuration another value; may\nbe repeated, the last one counts"},
    {"--results", TO_JOBS, VALUE, "DIR", RESULTS, 0, "folder for the folders of runs (results)"},
    {"--name", TO_JOBS, VALUE, "NAME", NAME, 0,
     "folder of this run (the configuration's file name)"},
    {"--resume", TO_JOBS, MAYBE_VALUE, "[auto|PATH]", RESUME, 0,
     "go on where the run stopped, or start if it is new;\n"
     "PATH: from that checkpoint of the same run instead"},
    {"--text-model", TO_JOBS | TO_LABELS, VALUE, "DIR", TEXT_MODEL, 0,
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
    {"--profile", TO_JOBS, NOTHING, NULL, PROFILE, 0,
     "print where the time went; profile.json: a trace for\nchrome://tracing or Perfetto"},
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
    {"--name", TO_STUDY, VALUE, "STUDY", STUDY_NAME, 0, "which study (the first of the file)"},
    {"--out", TO_STUDY, VALUE, "DIR", OUT, 0, "folder for the figures (FILE-figures)"},
    {"--trials", TO_STUDY, VALUE, "N", TRIALS, 0, "trials to print, best first (20)"},
    {"--help", TO_ALL, NOTHING, NULL, AN_ACTION, CZ_ACTION_HELP, "print this"},
    {"--help-config", TO_ALL, NOTHING, NULL, AN_ACTION, CZ_ACTION_HELP_CONFIG,
     "print every key of a configuration"},
    {"--version", TO_ALL, NOTHING, NULL, AN_ACTION, CZ_ACTION_VERSION, "print the version"},
    {"-h", TO_ALL, NOTHING, NULL, AN_ACTION, CZ_ACTION_HELP, NULL},
    {"--pretrain-resampler", TO_JOBS, NOTHING, NULL, NOT_YET, 0, NULL},
};
enum { OPTIONS = (int)(sizeof options / sizeof *options) };

typedef struct reader {
    cz_usage *usage;
    int argc, at; /* the argument being read */
    char **argv;
    const tool *tool;
    bool given[OPTIONS];
} reader;

/* The option of an argument "--name" or "--name=value", *value behind the '=', else NULL. */
static cz_status find_option(const option **found, const char **value, const char *argument,
                             const tool *of)
{
    const char *names[OPTIONS];
    char name[CZ_NAME_MAX];
    const char *equals = strchr(argument, '=');
    int length = equals ? (int)(equals - argument) : (int)strlen(argument);
    bool elsewhere = false;
    snprintf(name, sizeof name, "%.*s", length, argument);
    *value = equals ? equals + 1 : NULL;
    for (int i = 0; i < OPTIONS; i++) {
        names[i] = options[i].name;
        *found = &options[i];
        if (strcmp(name, names[i]) != 0) continue;
        if (options[i].belongs & of->bit) return CZ_OK;
        elsewhere = true;
    }
    if (elsewhere && of->word)
        return cz_fail(CZ_ERR_USAGE, "option %s is not one of czhpc %s", name, of->word);
    if (elsewhere)
        return cz_fail(CZ_ERR_USAGE, "option %s is for a tool only: --help tells of which", name);
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

/* A whole number from 0. */
static cz_status set_number(int *to, const option *o, const char *value, const char *hint)
{
    char *end;
    long number = strtol(value, &end, 10);
    if (*end || end == value || number < 0 || number > INT_MAX)
        return cz_fail(CZ_ERR_USAGE, "option %s needs a number from 0, found '%s'%s", o->name,
                       value, hint);
    *to = (int)number;
    return CZ_OK;
}

static cz_status read_option(reader *r)
{
    cz_usage *usage = r->usage;
    const option *o;
    const char *value;
    CZ_TRY(find_option(&o, &value, r->argv[r->at], r->tool));
    CZ_TRY(take_value(r, o, &value));
    if (r->given[o - options] && o->meaning != SET)
        return cz_fail(CZ_ERR_USAGE, "option %s is given twice", o->name);
    r->given[o - options] = true;
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
        return set_number(&usage->experiment, o, value, ": --check-config lists them");
    case STUDY_NAME:
        usage->study = value;
        return CZ_OK;
    case TRIALS:
        return set_number(&usage->trials, o, value, "");
    case SEARCH:
        usage->search = true;
        return CZ_OK;
    case TRAIN:
        usage->train = true;
        return CZ_OK;
    case PROFILE:
        usage->profile = true;
        return CZ_OK;
    case NOT_YET:
        break;
    }
    return cz_fail(CZ_ERR_USAGE, "option %s is not implemented in czhpc " CZ_VERSION, o->name);
}

/* The CONFIG of a job, the file of a tool. */
static cz_status read_word(reader *r)
{
    const char *word = r->argv[r->at], *name = r->tool->word;
    const char **to = name ? &r->usage->file : &r->usage->config;
    if (name && (!*word || *to))
        return cz_fail(CZ_ERR_USAGE, "czhpc %s reads one %s, found '%s' too", name, r->tool->reads,
                       word);
    if (!*word) return cz_fail(CZ_ERR_USAGE, "the name of the CONFIG is empty");
    if (*to)
        return cz_fail(CZ_ERR_USAGE, "two configurations, %s and %s: a job has one", *to, word);
    *to = word;
    return CZ_OK;
}

static cz_status check_tool(const reader *r)
{
    const tool *of = r->tool;
    if (r->usage->file && (r->usage->out || !of->writes)) return CZ_OK;
    return cz_fail(CZ_ERR_USAGE, "czhpc %s needs %s%s: czhpc %s %s", of->word,
                   r->usage->file ? "--out" : "a ", r->usage->file ? "" : of->reads, of->word,
                   of->usage);
}

/* What a job's command line lacks. */
static cz_status check_job(const cz_usage *usage)
{
    if (!usage->config)
        return cz_fail(CZ_ERR_USAGE,
                       "no configuration: czhpc configs/demo.yaml shows what it does, "
                       "czhpc --help how");
    if (usage->search && usage->resume_from[0])
        return cz_fail(CZ_ERR_USAGE, "--resume PATH goes on from a state of one training: a search "
                                     "takes --resume alone");
    if (usage->resume && usage->action != CZ_ACTION_TRAIN)
        return cz_fail(CZ_ERR_USAGE, "--resume goes on with a run, but another option stops early");
    if (usage->profile && usage->action != CZ_ACTION_TRAIN)
        return cz_fail(CZ_ERR_USAGE, "--profile is of a run, but another option stops early");
    return CZ_OK;
}

cz_status cz_usage_parse(cz_usage *usage, int argc, char **argv)
{
    *usage = (cz_usage){.experiment = -1, .trials = 20};
    reader r = {.usage = usage, .argc = argc, .at = 1, .argv = argv, .tool = tools};
    for (int i = 1; i < TOOLS && argc > 1; i++)
        if (strcmp(argv[1], tools[i].word) == 0) r.tool = &tools[i];
    r.at += r.tool->word != NULL;
    usage->action = r.tool->action;
    for (; r.at < argc; r.at++) {
        if (argv[r.at][0] == '-' && argv[r.at][1]) CZ_TRY(read_option(&r));
        else CZ_TRY(read_word(&r));
        if (usage->action >= CZ_ACTION_HELP) return CZ_OK;
    }
    return r.tool->word ? check_tool(&r) : check_job(usage);
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

/* The options of a job, those it shares with tools among them, or those of a tool alone. */
static void print_options(const tool *of, FILE *out)
{
    if (of->word) fprintf(out, "\nOptions of %s:\n", of->word);
    else fputs("Options:\n", out);
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].help &&
            (options[i].belongs & TO_JOBS ? TO_JOBS : options[i].belongs) == of->bit)
            print_option(&options[i], out);
}

void cz_usage_help(FILE *out)
{
    fputs("Usage: czhpc CONFIG [OPTION]...\n"
          "       mpirun -np RANKS czhpc CONFIG [OPTION]...\n",
          out);
    for (int i = 1; i < TOOLS; i++)
        fprintf(out, "       czhpc %s %s\n", tools[i].word, tools[i].usage);
    fputs("\nTrains and tests the model that a configuration (a YAML file) describes.\n"
          "`labels` makes a table of vectors (text.table) for the labels that stand in a\n"
          "file, one a line; --set counts there too. `study` shows the trials of a search\n"
          "(any Optuna journal), the importance of its parameters, and figures of both.\n\n",
          out);
    for (int i = 0; i < TOOLS; i++) print_options(&tools[i], out);
    fputs("\nResults are in DIR/NAME, and figures of them in DIR/NAME/figures.\n"
          "SIGTERM, SIGUSR1 and Ctrl-C save the state and stop; a second Ctrl-C ends at\n"
          "once. Of SIGTERM mpirun makes its own exit code: send it SIGUSR1.\n\n"
          "Exit codes:\n"
          "   0  done\n"
          "   2  the command line or the configuration is wrong\n"
          "   3  an input file is missing, damaged or not what was expected\n"
          "   4  the environment failed: MPI, device, memory, disk\n"
          "   5  training diverged, or some experiments of a list failed\n"
          "  75  stopped by a signal with its state saved: run again with --resume\n\n"
          "The environment's CZHPC_CUDA_PLUGIN names the plug-in for GPUs, where it is not\n"
          "libczhpc_cuda.so beside czhpc; CZHPC_CUDA_AWARE_MPI=1 says that MPI takes\n"
          "memory of GPUs, where it does not say so itself.\n\n"
          "Examples:\n"
          "  czhpc configs/demo.yaml\n"
          "  mpirun -np 2 czhpc configs/base.yaml --set train.epochs=20 --name short\n"
          "  mpirun -np 2 czhpc configs/base.yaml --set train.epochs=20 --name short \\\n"
          "      --resume\n"
          "  mpirun -np 2 czhpc configs/counts.yaml --set data.h5ad=cells.h5ad\n"
          "  mpirun -np 2 czhpc configs/base.yaml --search-hparams --train-model\n"
          "  czhpc configs/base.yaml --set data.adversary_keys=[] --print-config\n"
          "  czhpc labels names.txt --text-model biobert --out names.h5\n"
          "  czhpc study results/base/study.log\n",
          out);
}

void cz_usage_answer(cz_action action, FILE *out)
{
    if (action == CZ_ACTION_HELP) cz_usage_help(out);
    if (action == CZ_ACTION_HELP_CONFIG) cz_config_help(out);
    if (action == CZ_ACTION_VERSION) fputs("czhpc " CZ_VERSION "\n", out);
}

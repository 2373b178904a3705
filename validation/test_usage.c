/* The command line: what it asks for, and what is wrong with it. */
#include "check.h"

#include "czhpc/usage.h"
#include "czhpc/version.h"

static cz_usage usage;

/* Words are parted by one blank; "" stands for an empty word. */
static cz_status parse(const char *line)
{
    static char words[4096], *argv[256];
    int argc = 0;
    snprintf(words, sizeof words, "czhpc%s%s", *line ? " " : "", line);
    for (char *word = words; word;) {
        char *blank = strchr(word, ' ');
        if (blank) *blank++ = 0;
        argv[argc++] = strcmp(word, "\"\"") ? word : word + 2;
        word = blank;
    }
    argv[argc] = NULL;
    cz_error_clear();
    memset(&usage, 0xAB, sizeof usage);
    return cz_usage_parse(&usage, argc, argv);
}

static bool same(const char *a, const char *b) { return a && strcmp(a, b) == 0; }

static bool overrides_are(int count, const char *const *text)
{
    if (usage.override_count != count) return false;
    for (int i = 0; i < count; i++)
        if (!same(usage.overrides[i].text, text[i])) return false;
    return true;
}

static void check_good(void)
{
    check(!parse("a.yaml") && usage.action == CZ_ACTION_TRAIN && same(usage.config, "a.yaml") &&
              !usage.resume && !usage.override_count,
          "a configuration alone trains");
    check(!parse("a.yaml --train-model") && usage.action == CZ_ACTION_TRAIN,
          "so does --train-model");
    check(!parse("a.yaml --search-hparams") && usage.search && !usage.train && usage.experiment < 0,
          "--search-hparams searches");
    check(!parse("a.yaml --train-model --search-hparams --resume") && usage.search && usage.train &&
              usage.resume,
          "and trains too where both are asked for");
    check(!parse("a.yaml --profile --resume") && usage.profile && !parse("a.yaml") &&
              !usage.profile,
          "--profile tells where the time goes");
    check(!parse("a.yaml --experiment 12") && usage.experiment == 12,
          "--experiment has its number");
    static const char *const want[] = {"a=1", "run.results=out", "a=2=3", "run.name=n",
                                       "model.text=false"};
    check(!parse("--set a=1 --results out a.yaml --set=a=2=3 --name=n --disable-text-modality") &&
              overrides_are(5, want) && same(usage.config, "a.yaml"),
          "overrides keep the order of the command line");
    static const struct {
        const char *line;
        cz_action action;
    } actions[] = {
        {"a --dry-run", CZ_ACTION_DRY_RUN},
        {"--check-config a", CZ_ACTION_CHECK_CONFIG},
        {"a --print-config", CZ_ACTION_PRINT_CONFIG},
        {"a --describe", CZ_ACTION_DESCRIBE},
        {"a --write-synthetic f.h5ad", CZ_ACTION_WRITE_SYNTHETIC},
        {"--help", CZ_ACTION_HELP},
        {"-h --nonsense", CZ_ACTION_HELP},
        {"a --dry-run --help", CZ_ACTION_HELP},
        {"--help-config", CZ_ACTION_HELP_CONFIG},
        {"--version", CZ_ACTION_VERSION},
    };
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        check(!parse(actions[i].line) && usage.action == actions[i].action, "%s", actions[i].line);
    check(!parse("--write-synthetic=f.h5ad a") && same(usage.write_synthetic, "f.h5ad") &&
              same(usage.config, "a"),
          "--write-synthetic has its file");
}

static void check_labels_tool(void)
{
    static const char *const want[] = {"text.pooling=mean", "text.model=bert"};
    check(!parse("labels l.txt --set text.pooling=mean --text-model bert --out=o.h5") &&
              usage.action == CZ_ACTION_LABELS && same(usage.file, "l.txt") &&
              same(usage.out, "o.h5") && !usage.config && overrides_are(2, want),
          "labels has its file, its model and its table");
    check(!parse("a --text-model bert") && overrides_are(1, want + 1),
          "--text-model is a job's too");
    check(!parse("./labels") && same(usage.config, "./labels"), "a configuration named labels");
    check(!parse("labels --help") && usage.action == CZ_ACTION_HELP, "labels --help");
}

static void check_study_tool(void)
{
    check(!parse("study s.log") && usage.action == CZ_ACTION_STUDY && same(usage.file, "s.log") &&
              !usage.config && !usage.study && !usage.out && usage.trials == 20,
          "study has its file");
    check(!parse("study --name n s.log --out=d --trials 5") && same(usage.file, "s.log") &&
              same(usage.study, "n") && same(usage.out, "d") && usage.trials == 5 &&
              !usage.override_count,
          "its name is not that of a run, its folder no table");
    check(!parse("study s.log --version") && usage.action == CZ_ACTION_VERSION, "study --version");
}

static void check_resume(void)
{
    static const struct {
        const char *line, *config, *from;
    } cases[] = {
        {"a.yaml --resume", "a.yaml", ""},
        {"--resume a.yaml", "a.yaml", ""},
        {"--resume a.yml", "a.yml", ""},
        {"--resume auto a", "a", ""},
        {"--resume=auto a", "a", ""},
        {"a --resume dir/ck.h5", "a", "dir/ck.h5"},
        {"--resume dir a.yaml", "a.yaml", "dir"},
        {"a --resume=odd.yaml", "a", "odd.yaml"},
        {"a --resume --name n", "a", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(!parse(cases[i].line) && usage.resume && same(usage.config, cases[i].config) &&
                  same(usage.resume_from, cases[i].from),
              "%s: from '%s'", cases[i].line, cases[i].from);
}

static void check_bad(void)
{
    static const char *const cases[][2] = {
        {"", "no configuration"},
        {"--dry-run", "no configuration"},
        {"\"\"", "the name of the CONFIG is empty"},
        {"a.yaml b.yaml", "two configurations, a.yaml and b.yaml"},
        {"a --resum", "option --resum is unknown, did you mean --resume?"},
        {"a --dryrun", "did you mean --dry-run?"},
        {"a --Describe", "did you mean --describe?"},
        {"a --qqqqqq", "option --qqqqqq is unknown: --help lists them all"},
        {"a -x", "option -x is unknown"},
        {"a --set", "option --set needs a value: --set KEY=VALUE"},
        {"a --set=", "option --set needs a value"},
        {"a --set train.lr", "--set train.lr: expected KEY=VALUE"},
        {"a --set =3", "--set =3: expected KEY=VALUE"},
        {"a --name", "option --name needs a value: --name NAME"},
        {"a --name \"\"", "option --name needs a value"},
        {"a --results --dry-run", "option --results needs a value: --results DIR"},
        {"a --resume=", "option --resume needs a value"},
        {"a --dry-run=yes", "option --dry-run takes no value, found 'yes'"},
        {"a --name x --name y", "option --name is given twice"},
        {"a --dry-run --dry-run", "option --dry-run is given twice"},
        {"a --dry-run --describe", "option --describe cannot stand beside"},
        {"a --resume --dry-run", "--resume goes on with a run"},
        {"a --profile --describe", "--profile is of a run"},
        {"a --experiment", "option --experiment needs a value"},
        {"a --experiment x", "needs a number from 0, found 'x'"},
        {"a --experiment=-1", "needs a number from 0, found '-1'"},
        {"a --experiment 99999999999", "needs a number from 0"},
        {"a --experiment 3x", "needs a number from 0"},
        {"a --search-hparams --resume x.h5", "a search takes --resume alone"},
        {"a --pretrain-resampler", "option --pretrain-resampler is not implemented"},
        {"labels", "czhpc labels needs a file of labels"},
        {"labels l.txt", "czhpc labels needs --out"},
        {"labels l.txt m.txt", "reads one file of labels, found 'm.txt' too"},
        {"labels l.txt --resume", "option --resume is not one of czhpc labels"},
        {"a --out o.h5", "option --out is for a tool only"},
        {"a --trials 3", "option --trials is for a tool only"},
        {"study", "czhpc study needs a journal of a study"},
        {"study a.log b.log", "reads one journal of a study, found 'b.log' too"},
        {"study a.log --trials -1", "needs a number from 0, found '-1'"},
        {"study a.log --trials 2x", "needs a number from 0, found '2x'"},
        {"study a.log --set a=1", "option --set is not one of czhpc study"},
        {"study a.log --name x --name y", "option --name is given twice"},
        {"labels l.txt --name x --out o", "option --name is not one of czhpc labels"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool ok = parse(cases[i][0]) == CZ_ERR_USAGE && strstr(cz_error_message(), cases[i][1]);
        check(ok, "'%s': %s%s%s", cases[i][0], cases[i][1],
              ok ? "" : ", not: ", ok ? "" : cz_error_message());
    }
    char line[2200];
    snprintf(line, sizeof line, "a --name %0200d", 0);
    check(parse(line) == CZ_ERR_USAGE && strstr(cz_error_message(), "has 200 bytes"),
          "a --name that is too long");
    snprintf(line, sizeof line, "a --results %02000d", 0);
    check(parse(line) == CZ_ERR_USAGE && strstr(cz_error_message(), "has 2000 bytes"),
          "a --results that is too long");
    snprintf(line, sizeof line, "a --resume %02000d", 0);
    check(parse(line) == CZ_ERR_USAGE && strstr(cz_error_message(), "has 2000 bytes"),
          "a --resume that is too long");
    snprintf(line, sizeof line, "a");
    for (int i = 0; i <= CZ_OVERRIDES_MAX; i++) strcat(line, " --set=a=1");
    check(parse(line) == CZ_ERR_USAGE && strstr(cz_error_message(), "more than 128 values"),
          "more overrides than there is room for");
}

static char *answer(cz_action action)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) exit(1);
    cz_usage_answer(action, out);
    fclose(out);
    return text;
}

static void check_help(void)
{
    static const char *const wanted[] = {"--set KEY=VALUE",
                                         "--results DIR",
                                         "--name NAME",
                                         "--resume [auto|PATH]",
                                         "--dry-run",
                                         "--check-config",
                                         "--print-config",
                                         "--describe",
                                         "--disable-text-modality",
                                         "--text-model DIR",
                                         "--out FILE.h5",
                                         "czhpc labels FILE.txt",
                                         "czhpc study FILE.log",
                                         "--name STUDY",
                                         "--trials N",
                                         "--train-model",
                                         "--search-hparams",
                                         "--experiment N",
                                         "--write-synthetic FILE.h5ad",
                                         "--help ",
                                         "--help-config",
                                         "--version",
                                         "\n   0  ",
                                         "\n   2  ",
                                         "\n   3  ",
                                         "\n   4  ",
                                         "\n   5  ",
                                         "\n  75  ",
                                         "Examples:"};
    char *help = answer(CZ_ACTION_HELP);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(help, wanted[i])) check(false, "--help lacks '%s'", wanted[i]);
    size_t widest = 0;
    for (const char *line = help; *line;) {
        size_t length = strcspn(line, "\n");
        if (length > widest) widest = length;
        line += length + (line[length] != 0);
    }
    check(widest <= 80, "--help is %zu columns wide", widest);
    check(!strstr(help, "--pretrain-resampler"), "--help shows nothing that is not there");
    free(help);
    char *version = answer(CZ_ACTION_VERSION);
    check(same(version, "czhpc " CZ_VERSION "\n"), "--version: %s", CZ_VERSION);
    free(version);
    char *keys = answer(CZ_ACTION_HELP_CONFIG);
    check(strstr(keys, "\ntrain.lr: ") != NULL, "--help-config lists keys");
    free(keys);
}

int main(void)
{
    check_good();
    check_labels_tool();
    check_study_tool();
    check_resume();
    check_bad();
    check_help();
    return check_done();
}

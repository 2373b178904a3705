/* The tokenizer against ids that Hugging Face's tokenizers library gave, and what it refuses.
 *   test_tokenizer                          the committed folders, the refusals, threads
 *   test_tokenizer FOLDER CASES [cased|uncased]   one folder
 * CASES has lines "hex-of-utf8 id id id ...", or "most:hex-of-utf8 id id id ..." where the text is
 * truncated to so many tokens. */
#include "check.h"
#include "czhpc/tokenizer.h"

#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHOWN = 5 };

typedef struct text_case {
    int most, size, count;
    char *text;
    int32_t *id;
} text_case;

typedef struct cases {
    int count;
    text_case *at;
} cases;

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static void read_case(text_case *c, char *line)
{
    char *colon = strchr(line, ':'), *hex = colon ? colon + 1 : line, *space = strchr(hex, ' ');
    *c = (text_case){.most = colon ? atoi(line) : INT_MAX, .size = (int)(space - hex) / 2};
    c->text = malloc((size_t)c->size + 1);
    for (int i = 0; i < c->size; i++)
        c->text[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    c->id = malloc(strlen(space) * sizeof *c->id);
    for (char *at = space; *at == ' ';) c->id[c->count++] = (int32_t)strtol(at + 1, &at, 10);
}

static cases read_cases(const char *path)
{
    cases all = {0};
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    while (file && getline(&line, &room, file) > 0) {
        if (!(all.count & (all.count - 1)))
            all.at = realloc(all.at, (size_t)(2 * all.count + 1) * sizeof *all.at);
        read_case(&all.at[all.count++], line);
    }
    free(line);
    if (file) fclose(file);
    return all;
}

static void free_cases(cases *all)
{
    for (int i = 0; i < all->count; i++) {
        free(all->at[i].text);
        free(all->at[i].id);
    }
    free(all->at);
}

static void show(const text_case *c, const int32_t *id, int count)
{
    printf("     ");
    for (int i = 0; i < c->size && i < 200; i++) {
        unsigned char byte = (unsigned char)c->text[i];
        if (byte > 32 && byte < 127 && byte != '\\') putchar(byte);
        else printf("\\x%02x", byte);
    }
    printf("\n       got ");
    for (int i = 0; i < count && i < 40; i++) printf(" %d", id[i]);
    printf("%s\n       not ", id ? "" : cz_error_message());
    for (int i = 0; i < c->count && i < 40; i++) printf(" %d", c->id[i]);
    putchar('\n');
}

/* Whether `cut` is right, too: without a limit the text has more tokens. */
static bool is_cut(const cz_tokenizer *tokenizer, const text_case *c)
{
    int32_t *id;
    int count;
    bool cut = false;
    cz_tokenize(tokenizer, c->text, (size_t)c->size, INT_MAX, &id, &count, &cut);
    free(id);
    return !cut && count > c->most;
}

static bool right(const cz_tokenizer *tokenizer, const text_case *c, bool print)
{
    int32_t *id;
    int count;
    bool cut = false;
    cz_status status = cz_tokenize(tokenizer, c->text, (size_t)c->size, c->most, &id, &count, &cut);
    bool same = !status && count == c->count && !memcmp(id, c->id, (size_t)count * sizeof *id) &&
                cut == is_cut(tokenizer, c);
    if (!same && print) show(c, id, count);
    free(id);
    return same;
}

static void check_cases(const char *folder, const char *path, cz_text_case wanted)
{
    cz_tokenizer *tokenizer;
    cases all = read_cases(path);
    int wrong = 0;
    if (cz_tokenizer_open(&tokenizer, folder, wanted)) {
        check(false, "%s: %s", folder, cz_error_message());
    } else {
        for (int i = 0; i < all.count; i++) wrong += !right(tokenizer, &all.at[i], wrong < SHOWN);
        check(!wrong && all.count, "%s: %d texts, %d of them otherwise than expected (%s)", folder,
              all.count, wrong, cz_tokenizer_origin(tokenizer));
    }
    cz_tokenizer_close(tokenizer);
    free_cases(&all);
}

typedef struct job {
    const cz_tokenizer *tokenizer;
    const cases *all;
    int wrong;
} job;

static void *work(void *argument)
{
    job *j = argument;
    for (int i = 0; i < j->all->count; i++) j->wrong += !right(j->tokenizer, &j->all->at[i], false);
    return NULL;
}

static void check_threads(void)
{
    enum { THREADS = 4 };
    cz_tokenizer *tokenizer;
    pthread_t thread[THREADS];
    job jobs[THREADS];
    int wrong = 0;
    cases all = read_cases("validation/fixtures/tokenizer/uncased/cases.txt");
    cz_tokenizer_open(&tokenizer, "validation/fixtures/tokenizer/uncased", CZ_CASE_AUTO);
    for (int i = 0; tokenizer && i < THREADS; i++) {
        jobs[i] = (job){tokenizer, &all, 0};
        pthread_create(&thread[i], NULL, work, &jobs[i]);
    }
    for (int i = 0; tokenizer && i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        wrong += jobs[i].wrong;
    }
    check(tokenizer && !wrong, "%d threads use one tokenizer at once", THREADS);
    cz_tokenizer_close(tokenizer);
    free_cases(&all);
}

/* A folder of this process whose files the checks below write. */
static char folder[64];
static const char *const names[] = {"tokenizer.json", "vocab.txt", "tokenizer_config.json"};

static void write_bytes(const char *name, const char *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
    if (!bytes) return;
    FILE *file = fopen(path, "wb");
    fwrite(bytes, 1, size, file);
    fclose(file);
}

static void write_files(const char *json, const char *vocabulary, const char *config)
{
    const char *const text[] = {json, vocabulary, config};
    for (int i = 0; i < 3; i++) write_bytes(names[i], text[i], text[i] ? strlen(text[i]) : 0);
}

/* The folder as it stands must be refused with this message, after the folder's name. */
static void refused(const char *message)
{
    cz_tokenizer *tokenizer;
    cz_status status = cz_tokenizer_open(&tokenizer, folder, CZ_CASE_AUTO);
    const char *got = cz_error_message();
    size_t skip = strlen(folder);
    bool same = status == CZ_ERR_INPUT && !tokenizer && !strncmp(got, folder, skip) &&
                !strncmp(got + skip, message, strlen(message));
    if (!check(same, "refused: %s", message)) printf("     got: %s\n", got);
    cz_tokenizer_close(tokenizer);
    cz_error_clear();
}

static void refused_vocabulary(const char *vocabulary, size_t size, const char *message)
{
    write_files(NULL, NULL, NULL);
    write_bytes("vocab.txt", vocabulary, size);
    refused(message);
}

static const char good_vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\ncell\n##s\n";

static void refused_config(const char *config, const char *message)
{
    write_files(NULL, good_vocabulary, config);
    refused(message);
}

#define FALSE_FLAGS "\"lstrip\":false,\"rstrip\":false,\"single_word\":false,\"normalized\":false"
#define SPECIAL(name) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":0}}"
#define KNOWN(name, id)                                                                            \
    "\"" name "\":{\"id\":\"" name "\",\"ids\":[" id "],\"tokens\":[\"" name "\"]}"
static const char good_json[] =
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":3},\"padding\":null,\n"
    "\"added_tokens\":[{\"id\":0,\"content\":\"[UNK]\"," FALSE_FLAGS ",\"special\":true}],\n"
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
    "\"strip_accents\":null,\"lowercase\":true},\n"
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\n"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" SPECIAL(
        "[CLS]") ","
                 "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}," SPECIAL(
                     "[SEP]") "],\"pair\":[],"
                              "\"special_tokens\":{" KNOWN("[CLS]", "1") "," KNOWN(
                                  "[SEP]",
                                  "2") "}},\n"
                                       "\"decoder\":null,\n"
                                       "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\","
                                       "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_"
                                       "word\":100,\n"
                                       "\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"cell\":3,"
                                       "\"##s\":4}}}";

/* tokenizer.json with one part of it replaced. */
static char *changed(const char *from, const char *to)
{
    const char *at = strstr(good_json, from);
    char *text = malloc(sizeof good_json + strlen(to));
    if (!at || !text) {
        check(false, "the test's own tokenizer.json holds %s", from);
        exit(2);
    }
    sprintf(text, "%.*s%s%s", (int)(at - good_json), good_json, to, at + strlen(from));
    return text;
}

static void refused_json(const char *from, const char *to, const char *message)
{
    char *text = changed(from, to);
    write_files(text, NULL, NULL);
    free(text);
    refused(message);
}

/* What a text becomes, by the folder as it stands. */
static void gives(const char *what, const char *text, const char *ids, cz_text_case wanted,
                  const char *origin)
{
    cz_tokenizer *tokenizer;
    char got[256] = "";
    int32_t *id = NULL;
    int count = 0;
    if (!cz_tokenizer_open(&tokenizer, folder, wanted))
        cz_tokenize(tokenizer, text, strlen(text), 512, &id, &count, NULL);
    for (int i = 0; i < count && strlen(got) < 200; i++)
        sprintf(got + strlen(got), "%s%d", i ? " " : "", id[i]);
    const char *from = tokenizer ? cz_tokenizer_origin(tokenizer) : "";
    if (!check(!strcmp(got, ids) && !strcmp(from, origin), "%s (%s)", what, origin))
        printf("     got %s (%s) %s\n", got, from, cz_error_message());
    cz_error_clear();
    free(id);
    cz_tokenizer_close(tokenizer);
}

static void check_vocabularies(void)
{
    char *text = calloc(1, 10 << 20);
    write_files(NULL, NULL, NULL);
    refused(": holds neither tokenizer.json nor vocab.txt");
    refused_vocabulary("", 0, "/vocab.txt: is empty, expected one token a line");
    refused_vocabulary("[UNK]\nb\xff\n", 9, "/vocab.txt:2: is not UTF-8 (byte 7 of the file)");
    refused_vocabulary("[UNK]\nb\xe2\x82", 9, "/vocab.txt:2: the file ends within a character");
    refused_vocabulary("[UNK]\na\0b\n", 10, "/vocab.txt:2: holds a byte 0");
    refused_vocabulary("\xef\xbb\xbf[UNK]\n", 9, "/vocab.txt:1: begins with a byte order mark");
    refused_vocabulary("[CLS]\n[SEP]\n", 12, "/vocab.txt: the token '[UNK]' is missing");
    refused_vocabulary("[UNK]\n[SEP]\n", 12, "/vocab.txt: the token '[CLS]' is missing");
    refused_vocabulary("[UNK]\n[CLS]\n", 12, "/vocab.txt: the token '[SEP]' is missing");
    refused_vocabulary("[UNK]\n[CLS]\n[SEP]\nx\nx \n", 23,
                       "/vocab.txt:5: the token 'x' stands in line 4, too");
    memset(text, 'x', 1025);
    refused_vocabulary(text, 1025, "/vocab.txt:1: a token of 1025 bytes, more than 1024");
    for (int i = 0; i < 4000001; i++) memcpy(text + 2 * (size_t)i, "x\n", 2);
    refused_vocabulary(text, 8000002, "/vocab.txt: more than 4000000 tokens");
    free(text);
}

static void check_configs(void)
{
    refused_config("", "/tokenizer_config.json: is empty");
    refused_config("{", "/tokenizer_config.json:1:1: is not JSON: ");
    refused_config("[]", "/tokenizer_config.json: expected an object, found an array");
    refused_config("{\"do_lower_case\": 1}",
                   "/tokenizer_config.json: do_lower_case: expected true or false, found a number");
    refused_config("{\"unk_token\": []}",
                   "/tokenizer_config.json: unk_token: expected a token or its \"content\", found "
                   "an array");
    refused_config("{\"unk_token\": \"\"}", "/tokenizer_config.json: unk_token: expected a token "
                                            "or its \"content\", found an empty text");
    refused_config("{\"cls_token\": {\"content\": \"<s>\"}}",
                   "/vocab.txt: the token '<s>' is missing");
    refused_config("{\"mask_token\": {\"content\": \"[MASK]\", \"lstrip\": true}}",
                   "/tokenizer_config.json: token '[MASK]': lstrip: expected false, found true");
    refused_config("{\"added_tokens_decoder\": {\"7\": {\"content\": \"[X]\"}}}",
                   "/tokenizer_config.json: token '[X]': expected the id 6, the next that is free, "
                   "found 7");
    refused_config("{\"added_tokens_decoder\": {\"4\": {\"content\": \"[UNK]\"}}}",
                   "/tokenizer_config.json: token '[UNK]': expected the id 1, which the token has");
    refused_config("{\"added_tokens_decoder\": {\"x\": {\"content\": \"[UNK]\"}}}",
                   "/tokenizer_config.json: added_tokens_decoder: 'x': expected an id");
    refused_config("{\"additional_special_tokens\": [\"[X]\"]}",
                   "/tokenizer_config.json: additional_special_tokens: expected tokens of "
                   "vocab.txt, found [X]");
}

static void check_models(void)
{
    refused_json(good_json, "", "/tokenizer.json: is empty");
    refused_json(good_json, "[]", "/tokenizer.json: expected an object, found an array");
    refused_json("}}}", "}}", "/tokenizer.json:");
    refused_json("\"##s\":4", "\"cell\":4", "/tokenizer.json:");
    refused_json("\"model\"", "\"mode\"", "/tokenizer.json: model: expected an object, found noth");
    refused_json("WordPiece", "BPE",
                 "/tokenizer.json: model.type: expected 'WordPiece', found 'BPE'");
    refused_json("\"type\":\"WordPiece\"", "\"merges\":[]",
                 "/tokenizer.json: model.type: expected 'WordPiece', found nothing");
    refused_json("\"##\"", "\"@@\"",
                 "/tokenizer.json: model.continuing_subword_prefix: expected '##', found '@@'");
    refused_json("_word\":100", "_word\":\"100\"",
                 "/tokenizer.json: model.max_input_chars_per_word: expected a whole number");
    refused_json("unk_token\":\"[UNK]", "unk_token\":\"[UNX]",
                 "/tokenizer.json: model.unk_token: '[UNX]' is not in the vocabulary");
    refused_json("unk_token\":\"[UNK]\"", "unk_token\":null",
                 "/tokenizer.json: model.unk_token: expected a text, found null");
    refused_json("\"vocab\"", "\"vocabulary\"",
                 "/tokenizer.json: model.vocab: expected tokens with their ids, found nothing");
    refused_json("\"##s\":4", "\"##s\":3",
                 "/tokenizer.json: model.vocab: '##s': another token has the id 3, too");
    refused_json("\"##s\":4", "\"##s\":4.5",
                 "/tokenizer.json: model.vocab: '##s': expected an id of 0 to 4000000");
    refused_json("\"##s\":4", "\"##s\":-1",
                 "/tokenizer.json: model.vocab: '##s': expected an id of 0 to 4000000");
    char longer[1100];
    sprintf(longer, "\"%01025d\":4", 0);
    refused_json("\"##s\":4", longer, "/tokenizer.json: model.vocab: '000");
}

static void check_parts(void)
{
    refused_json("\"BertNormalizer\"", "\"NFC\"",
                 "/tokenizer.json: normalizer.type: expected 'BertNormalizer', found 'NFC'");
    refused_json("\"clean_text\":true", "\"clean_text\":1",
                 "/tokenizer.json: normalizer.clean_text: expected true or false, found a number");
    refused_json("\"strip_accents\":null", "\"strip_accents\":\"\"",
                 "/tokenizer.json: normalizer.strip_accents: expected true or false, found a text");
    refused_json("{\"type\":\"BertPreTokenizer\"}", "null",
                 "/tokenizer.json: pre_tokenizer: expected an object, found null");
    refused_json("BertPreTokenizer", "Whitespace",
                 "/tokenizer.json: pre_tokenizer.type: expected 'BertPreTokenizer', found 'White");
    refused_json("\"lstrip\":false", "\"lstrip\":true",
                 "/tokenizer.json: token '[UNK]': lstrip: expected false, found true");
    refused_json("\"rstrip\":false", "\"rstrip\":true",
                 "/tokenizer.json: token '[UNK]': rstrip: expected false, found true");
    refused_json("\"single_word\":false", "\"single_word\":true",
                 "/tokenizer.json: token '[UNK]': single_word: expected false, found true");
    refused_json("\"normalized\":false", "\"normalized\":true",
                 "/tokenizer.json: token '[UNK]': normalized: expected false, found true");
    refused_json("{\"id\":0,", "{\"id\":1,",
                 "/tokenizer.json: token '[UNK]': expected the id 0, which the token has, found 1");
    refused_json("{\"id\":0,\"content\"", "{\"content\"",
                 "/tokenizer.json: added_tokens[0]: expected an object with a \"content\"");
    refused_json("\"added_tokens\":[", "\"added_tokens\":1,\"more\":[",
                 "/tokenizer.json: added_tokens: expected an array, found a number");
    refused_json("\"TemplateProcessing\"", "\"RobertaProcessing\"",
                 "/tokenizer.json: post_processor.type: expected 'TemplateProcessing', found 'Rob");
    const char *shape = "/tokenizer.json: post_processor: expected [CLS], the text and [SEP]";
    refused_json(SPECIAL("[CLS]") ",", "", shape);
    refused_json("\"id\":\"A\"", "\"id\":\"B\"", shape);
    refused_json("\"id\":\"A\",\"type_id\":0", "\"id\":\"A\",\"type_id\":1", shape);
    refused_json("\"ids\":[1]", "\"ids\":[1,1]", shape);
    refused_json("\"ids\":[1]", "\"ids\":[5]", shape);
}

/* Lower case as the files say, and names that tokenizer_config.json gives. */
static void check_choices(void)
{
    const char *lower = "[UNK]\r\n[CLS]\r\n[SEP]\r\ncell\r\n##s\r\n\r\n";
    write_files(NULL, lower, NULL);
    gives("no capitals", "Cells CELL", "1 3 4 3 2", CZ_CASE_AUTO,
          "uncased, as the vocabulary has no capitals");
    gives("overruled", "Cells cell", "1 0 3 2", CZ_CASE_CASED, "cased, as configured");
    write_files(NULL, "[UNK]\n[CLS]\n[SEP]\ncell\nCell", "{\"do_lower_case\":null}");
    gives("capitals", "Cell cell", "1 4 3 2", CZ_CASE_AUTO,
          "cased, as the vocabulary has capitals");
    gives("overruled", "Cell cell", "1 3 3 2", CZ_CASE_UNCASED, "uncased, as configured");
    write_files(NULL, "[UNK]\n[CLS]\n[SEP]\ncell\nCell", "{\"do_lower_case\":true}");
    gives("settings", "Cell", "1 3 2", CZ_CASE_AUTO, "uncased by tokenizer_config.json");
    write_files(
        NULL, "[UNK]\n[CLS]\n[SEP]\n\xc3\xa4\n\xe4\xba\xba\n##\xe4\xba\xba\ni\n##\xcc\x87",
        "{\"do_lower_case\":true,\"strip_accents\":false,\"tokenize_chinese_chars\":false}");
    gives("accents and ideographs kept", "\xc3\x84 \xe4\xba\xba\xe4\xba\xba \xc4\xb0",
          "1 3 4 5 6 7 2", CZ_CASE_AUTO, "uncased by tokenizer_config.json");
    write_files(NULL, "<unk>\n<s>\n</s>\ncell\ncells\n",
                "{\"unk_token\":\"<unk>\",\"cls_token\":{\"content\":\"<s>\"},"
                "\"sep_token\":\"</s>\",\"do_lower_case\":false,"
                "\"added_tokens_decoder\":{\"5\":{\"content\":\"[NEW]\",\"special\":true}},"
                "\"additional_special_tokens\":[\"cells\",\"cell\"]}");
    gives("other names", "xcellx<s>[NEW]cellss", "1 0 3 0 1 5 4 0 2", CZ_CASE_AUTO,
          "cased by tokenizer_config.json");
    write_files(good_json, "damaged", "{\"do_lower_case\":false}");
    gives("tokenizer.json goes first", "Cells cells cells", "1 3 4 3 4 3 4 2", CZ_CASE_AUTO,
          "uncased by tokenizer.json, against tokenizer_config.json");
    char *old = changed("\"type\":\"WordPiece\",", "");
    write_files(old, NULL, NULL);
    gives("a model without type", "Cells", "1 3 4 2", CZ_CASE_AUTO, "uncased by tokenizer.json");
    free(old);
}

static void check_limit(const char *text, int limit)
{
    char config[128];
    cz_tokenizer *tokenizer;
    snprintf(config, sizeof config, "{\"model_max_length\": %s}", text);
    write_files(NULL, good_vocabulary, config);
    cz_tokenizer_open(&tokenizer, folder, CZ_CASE_AUTO);
    check(tokenizer && cz_tokenizer_limit(tokenizer) == limit && cz_tokenizer_size(tokenizer) == 6,
          "model_max_length %s: %d", text, limit);
    cz_tokenizer_close(tokenizer);
}

static void check_texts(void)
{
    cz_tokenizer *tokenizer;
    int32_t *id = NULL;
    int count;
    write_files(NULL, good_vocabulary, NULL);
    cz_tokenizer_open(&tokenizer, folder, CZ_CASE_AUTO);
    cz_status status = cz_tokenize(tokenizer, "ab\xc3", 3, 512, &id, &count, NULL);
    check(status == CZ_ERR_INPUT && !id &&
              !strcmp(cz_error_message(), "byte 2 of a text to tokenize is not UTF-8"),
          "a text that is not UTF-8 is refused");
    cz_error_clear();
    check(cz_tokenize(tokenizer, "", 0, 1, &id, &count, NULL) == CZ_ERR_BUG && !id,
          "a limit of 1 is refused");
    cz_error_clear();
    status = cz_tokenize(tokenizer, "ce\0lls", 6, 512, &id, &count, NULL);
    check(!status && count == 4 && id[1] == 4 && id[2] == 5, "a byte 0 within a word is dropped");
    free(id);
    cz_tokenizer_close(tokenizer);
}

static void check_all(void)
{
    check_cases("validation/fixtures/tokenizer/cased",
                "validation/fixtures/tokenizer/cased/cases.txt", CZ_CASE_AUTO);
    check_cases("validation/fixtures/tokenizer/uncased",
                "validation/fixtures/tokenizer/uncased/cases.txt", CZ_CASE_AUTO);
    check_threads();
    snprintf(folder, sizeof folder, "/tmp/test_tokenizer-%ld", (long)getpid());
    mkdir(folder, 0700);
    check_vocabularies();
    check_configs();
    check_models();
    check_parts();
    check_choices();
    check_limit("512", 512);
    check_limit("1000000000000000019884624838656", INT_MAX);
    check_limit("1e30", INT_MAX);
    check_limit("0", INT_MAX);
    check_limit("null", INT_MAX);
    check_texts();
    write_files(NULL, NULL, NULL);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    const char *wanted = argc > 3 ? argv[3] : "";
    cz_text_case by = !strcmp(wanted, "cased")     ? CZ_CASE_CASED
                      : !strcmp(wanted, "uncased") ? CZ_CASE_UNCASED
                                                   : CZ_CASE_AUTO;
    if (argc > 2) check_cases(argv[1], argv[2], by);
    else check_all();
    return check_done();
}

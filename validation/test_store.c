/* Files of a run: folders, whole files, metrics.jsonl. */
#include "check.h"
#include "czhpc/file.h"
#include "czhpc/store.h"

#include <dirent.h>
#include <float.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static const char *path_of(const char *name)
{
    static char path[4][512];
    static int next;
    char *at = path[next++ % 4];
    snprintf(at, 512, "%s/%s", root, name);
    return at;
}

static bool said(const char *part)
{
    bool has = strstr(cz_error_message(), part) != NULL;
    if (!has) printf("     message: '%s', '%s' expected\n", cz_error_message(), part);
    cz_error_clear();
    return has;
}

/* All of a file as text. */
static const char *text_of(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[size] = 0;
    return text;
}

static int entries(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    for (struct dirent *e; directory && (e = readdir(directory));) count += e->d_name[0] != '.';
    if (directory) closedir(directory);
    return count;
}

static void limit_size(rlim_t size)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void check_folders(void)
{
    struct stat status;
    check(!cz_make_folder(path_of("a/b//c/")) && !stat(path_of("a/b/c"), &status) &&
              S_ISDIR(status.st_mode),
          "a folder with its parents");
    check(!cz_make_folder(path_of("a/b")), "one that is there");
    check(!cz_write_file(path_of("file"), "x", 1) &&
              cz_make_folder(path_of("file/sub")) == CZ_ERR_IO &&
              said("file: the folder cannot be created: it is a file"),
          "not below a file");
    check(cz_make_folder("") == CZ_ERR_IO && said("not a path"), "not without a name");
}

static void check_whole_files(void)
{
    cz_make_folder(path_of("whole"));
    check(!cz_write_file(path_of("whole/x"), "first", 5) &&
              !strcmp(text_of(path_of("whole/x")), "first"),
          "a file is written");
    check(!cz_write_file(path_of("whole/x"), "2", 1) && !strcmp(text_of(path_of("whole/x")), "2") &&
              entries(path_of("whole")) == 1,
          "and replaced, without a trace of the other");
    limit_size(4);
    cz_status status = cz_write_file(path_of("whole/x"), "too long", 8);
    limit_size(RLIM_INFINITY); /* before anything is printed: stdout may be a file */
    check(status == CZ_ERR_IO && said("File too large"), "a disk that refuses is told");
    check(!strcmp(text_of(path_of("whole/x")), "2") && entries(path_of("whole")) == 1,
          "and the former file stands");
    check(cz_write_file(path_of("none/x"), "x", 1) == CZ_ERR_IO &&
              said("No such file or directory"),
          "a folder that is missing");
    check(cz_write_file(path_of("file/x"), "x", 1) == CZ_ERR_IO && said("Not a directory"),
          "a file in place of the folder");
    check(cz_write_file(path_of("whole"), "x", 1) == CZ_ERR_IO && said("is a folder"),
          "a folder in place of the file");
    check(!mkfifo(path_of("pipe"), 0600) && cz_write_file(path_of("pipe"), "x", 1) == CZ_ERR_IO &&
              said("a device or a pipe") && !unlink(path_of("pipe")),
          "a pipe in place of the file is not replaced");
    check(!cz_may_create_file(path_of("whole/new")) &&
              cz_may_create_file(path_of("none/x")) == CZ_ERR_IO && said("No such file"),
          "and it can be asked before");
    check(cz_may_create_file(path_of("whole/x")) == CZ_ERR_USAGE && said("is there already"),
          "as can whether a file is in the way");
}

static const double numbers[] = {
    0.1, 1.0 / 3, DBL_MIN, DBL_MAX, 4.9406564584124654e-324, -0.0, 1e22, 123456789.12345678, 2};
enum { NUMBERS = sizeof numbers / sizeof numbers[0] };

static cz_status append(cz_metrics *metrics, int epoch)
{
    json_t *values = json_array();
    for (int i = 0; i < NUMBERS; i++) json_array_append_new(values, json_real(numbers[i]));
    json_t *line = json_pack("{s:i, s:o, s:s}", "epoch", epoch, "values", values, "text", "a\nb");
    cz_status status = cz_metrics_append(metrics, line);
    json_decref(line);
    return status;
}

/* Lines that are JSON with these numbers, to the bit; -1 if one is not. */
static int good_lines(const char *path)
{
    char *copy = strdup(text_of(path)), *at = copy;
    int lines = 0;
    for (char *end; lines >= 0 && (end = strchr(at, '\n')); at = end + 1) {
        *end = 0;
        json_t *line = json_loads(at, 0, NULL), *values = json_object_get(line, "values");
        lines = json_integer_value(json_object_get(line, "epoch")) == lines + 1 ? lines + 1 : -1;
        for (int i = 0; i < NUMBERS; i++) {
            double got = json_real_value(json_array_get(values, (size_t)i));
            if (memcmp(&got, &numbers[i], sizeof got)) lines = -1;
        }
        json_decref(line);
    }
    if (*at) lines = -1;
    free(copy);
    return lines;
}

static void check_metrics(void)
{
    cz_metrics *metrics;
    const char *path = path_of("metrics.jsonl");
    check(!cz_metrics_open(&metrics, path, 0) && !append(metrics, 1) && !append(metrics, 2),
          "metrics are appended");
    int64_t two = cz_metrics_bytes(metrics);
    check(good_lines(path) == 2 && (int64_t)strlen(text_of(path)) == two,
          "lines are whole, numbers exact");
    check(!append(metrics, 3) && good_lines(path) == 3, "one more");

    limit_size((rlim_t)cz_metrics_bytes(metrics) + 20);
    cz_status status = append(metrics, 4);
    limit_size(RLIM_INFINITY);
    check(status == CZ_ERR_IO && said("File too large") && good_lines(path) == 3,
          "a line that does not fit leaves no part of it");
    check(!append(metrics, 4) && good_lines(path) == 4, "and the next goes well");
    json_t *nothing = json_pack("{s:o}", "x", json_real(1));
    json_object_clear(nothing);
    check(!cz_metrics_append(metrics, nothing) && strstr(text_of(path), "}\n{}\n"),
          "an empty object");
    json_decref(nothing);
    cz_metrics_close(metrics);

    check(!cz_metrics_open(&metrics, path, two) && good_lines(path) == 2 &&
              cz_metrics_bytes(metrics) == two && !append(metrics, 3) && good_lines(path) == 3,
          "resuming cuts to the length of the state");
    cz_metrics_close(metrics);
    check(cz_metrics_open(&metrics, path, two - 1) == CZ_ERR_INPUT && !metrics &&
              said("not the end of a line") && good_lines(path) == 3,
          "not inside a line");
    check(cz_metrics_open(&metrics, path, 100000) == CZ_ERR_INPUT && !metrics &&
              said("continues after 100000") && good_lines(path) == 3,
          "nor beyond the end");
    check(cz_metrics_open(&metrics, path_of("none/metrics.jsonl"), 0) == CZ_ERR_IO && !metrics &&
              said("No such file"),
          "nor in a folder that is missing");
    check(!cz_metrics_open(&metrics, path, 0) && text_of(path)[0] == 0,
          "a new run empties the file");
    cz_metrics_close(metrics);
    cz_metrics_close(NULL);
}

static void remove_tree(const char *path)
{
    char inner[600];
    DIR *directory = opendir(path);
    for (struct dirent *e; directory && (e = readdir(directory));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        if (unlink(inner)) remove_tree(inner);
    }
    if (directory) closedir(directory);
    rmdir(path);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    snprintf(root, sizeof root, "/tmp/test_store-%d", (int)getpid());
    check_folders();
    check_whole_files();
    check_metrics();
    remove_tree(root);
    return check_done();
}

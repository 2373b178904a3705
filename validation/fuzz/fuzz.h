/* What the fuzz targets share: decisions taken from the fuzzer's bytes, a file to write, and what
 * every outcome must be. A target defines LLVMFuzzerTestOneInput();
 * https://llvm.org/docs/LibFuzzer.html A byte of 0, and every byte beyond the end, decides for what
 * is right: the empty input is a well-formed file. */
#ifndef FUZZ_H
#define FUZZ_H

#include "czhpc/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fuzz {
    const uint8_t *at, *end;
} fuzz;

static inline unsigned fuzz_byte(fuzz *f) { return f->at < f->end ? *f->at++ : 0; }

/* 0 .. n-1, n at most 256. */
static inline unsigned fuzz_below(fuzz *f, unsigned n) { return fuzz_byte(f) % n; }

/* True for the few bytes that end in 1111. */
static inline bool fuzz_seldom(fuzz *f) { return (fuzz_byte(f) & 15) == 15; }

/* A number of any size: a byte says how many bytes of it follow. */
static inline uint64_t fuzz_whole(fuzz *f)
{
    uint64_t value = 0;
    for (unsigned bytes = fuzz_below(f, 9); bytes > 0; bytes--) value = value << 8 | fuzz_byte(f);
    return value;
}

/* A text of at most size - 1 bytes. */
static inline void fuzz_text(fuzz *f, char *text, unsigned size)
{
    unsigned length = fuzz_below(f, size < 256 ? size : 256);
    for (unsigned i = 0; i < length; i++) text[i] = (char)fuzz_byte(f);
    text[length] = 0;
}

/* A file of this process, in memory where the system has such a place; removed at exit. */
static char fuzz_file[64];
static void fuzz_remove(void) { unlink(fuzz_file); }
static inline const char *fuzz_path(void)
{
    if (fuzz_file[0]) return fuzz_file;
    const char *folder = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
    snprintf(fuzz_file, sizeof fuzz_file, "%s/czhpc-fuzz-%ld", folder, (long)getpid());
    atexit(fuzz_remove);
    return fuzz_file;
}

static inline void fuzz_write(const void *bytes, size_t size)
{
    FILE *file = fopen(fuzz_path(), "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
        perror(fuzz_file);
        exit(2);
    }
}

#define fuzz_must(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition,            \
                    cz_error_message());                                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Success without an error, or one of two failures with one; forgets it. */
static inline bool fuzz_good(cz_status status, cz_status failure, cz_status other)
{
    fuzz_must(!status || status == failure || status == other);
    fuzz_must(!status == !cz_error_message()[0]);
    cz_error_clear();
    return !status;
}

#endif

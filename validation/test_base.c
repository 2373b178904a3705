/* The base modules: random numbers, hash, arena, statuses, log, and the pool of threads. */
#include "check.h"

#include "czhpc/arena.h"
#include "czhpc/log.h"
#include "czhpc/pool.h"
#include "czhpc/rng.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(name) 0 /* gcc defines __SANITIZE_... instead */
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ ||                                 \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SANITIZED = 1 }; /* its shadow memory needs the whole address space */
#else
enum { SANITIZED = 0 };
#endif

/* kat_vectors of Random123 1.14, philox4x32 with 10 rounds. */
static void check_philox(void)
{
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        const uint32_t *c = known[i].counter, *k = known[i].key;
        cz_block got = cz_philox((uint64_t)k[1] << 32 | k[0], c[0], c[1], c[2], c[3]);
        check(memcmp(got.v, known[i].expected, sizeof got.v) == 0, "philox: known answer %d", i);
    }
}

/* A stream is the blocks of its counter, one after the other. */
static void check_stream(void)
{
    cz_rng rng = cz_rng_open(0x123456789abcdef, 7, 8, CZ_RNG_SPLIT, 9);
    bool same = true;
    for (uint32_t block = 0; block < 5; block++) {
        cz_block bits = cz_philox(0x123456789abcdef, 7, 8, cz_counter(CZ_RNG_SPLIT, block), 9);
        for (int i = 0; i < 4; i++) same = same && cz_rng_u32(&rng) == bits.v[i];
    }
    check(same, "a stream gives the words of its blocks in order");
}

/* Means of n draws lie within 5 standard errors: once in 1.7 million fails by chance, and
 * these draws are always the same. */
static bool near(double sum, double n, double mean, double deviation)
{
    return fabs(sum / n - mean) < 5 * deviation / sqrt(n);
}

static void check_uniform(void)
{
    enum { N = 1000000 };
    cz_rng rng = cz_rng_open(1, 0, 0, CZ_RNG_INIT, 0);
    double sum = 0, squares = 0, lag = 0, previous = 0;
    bool inside = true;
    for (int i = 0; i < N; i++) {
        double x = cz_rng_uniform(&rng);
        inside = inside && x >= 0 && x < 1;
        sum += x;
        squares += x * x;
        lag += i ? (x - 0.5) * (previous - 0.5) : 0;
        previous = x;
    }
    check(inside && near(sum, N, 0.5, sqrt(1 / 12.0)) && near(squares, N, 1 / 3.0, sqrt(4 / 45.0)),
          "uniform: in [0, 1), mean and second moment of 10^6 draws");
    check(near(lag, N - 1, 0, 1 / 12.0), "uniform: neighbours are not correlated");
}

static void check_normal(void)
{
    enum { N = 1000000 };
    cz_rng rng = cz_rng_open(2, 0, 0, CZ_RNG_INIT, 0);
    double power[5] = {0}, pairs = 0, even = 0;
    int beyond = 0;
    for (int i = 0; i < N; i++) {
        double x = cz_rng_normal(&rng), p = 1;
        for (int k = 1; k <= 4; k++) power[k] += p *= x;
        if (fabs(x) > 1.959963984540054) beyond++;
        if (i % 2) pairs += even * x;
        else even = x;
    }
    /* Standard deviations of x, x^2, x^3, x^4: 1, sqrt 2, sqrt 15, sqrt 96. */
    check(near(power[1], N, 0, 1) && near(power[2], N, 1, sqrt(2)), "normal: mean and variance");
    check(near(power[3], N, 0, sqrt(15)) && near(power[4], N, 3, sqrt(96)),
          "normal: third and fourth moment");
    check(near(beyond, N, 0.05, sqrt(0.05 * 0.95)), "normal: 5 %% lie beyond 1.96");
    check(near(pairs, N / 2.0, 0, 1), "normal: the two of a pair are not correlated");
}

/* Chi-square of the counts, with at most 5 standard deviations over its mean. For n = 3 * 2^30
 * a plain remainder would give the lowest third twice the chance of the others. */
static void check_below(void)
{
    enum { N = 300000, BINS = 12 };
    static const uint32_t sizes[] = {1, 2, 3, 12, 1000, 1u << 31, 3u << 30, UINT32_MAX};
    for (int s = 0; s < 8; s++) {
        uint32_t n = sizes[s];
        int bins = n < BINS ? (int)n : BINS, count[BINS] = {0};
        cz_rng rng = cz_rng_open(3, (uint32_t)s, 0, CZ_RNG_INIT, 0);
        bool inside = true;
        for (int i = 0; i < N; i++) {
            uint32_t x = cz_rng_below(&rng, n);
            inside = inside && x < n;
            count[(uint64_t)x * (uint64_t)bins / n]++;
        }
        double chi = 0;
        for (int b = 0; b < bins; b++) {
            /* Values v with v * bins / n == b; not the same number in each bin. */
            double low = ceil((double)b * n / bins), high = ceil((b + 1.0) * n / bins);
            double expected = N * (high - low) / n;
            chi += (count[b] - expected) * (count[b] - expected) / expected;
        }
        double freedom = bins - 1;
        check(inside && chi <= freedom + 5 * sqrt(2 * freedom) + 1e-9,
              "below %u: all values are equally likely, chi-square %.1f of %d", n, chi, bins - 1);
    }
}

static void check_hash(void)
{
    unsigned char row[2048], other[2048];
    for (int i = 0; i < 2048; i++) row[i] = other[i] = (unsigned char)(i * 31 + 7);
    uint64_t whole = cz_hash(0, row, sizeof row);
    check(whole == cz_hash(0, other, sizeof other), "hash: equal bytes have equal hashes");
    int unlike = 0, flips = 0;
    for (int i = 0; i < 2048; i++) {
        other[i] ^= (unsigned char)(1 << i % 8);
        uint64_t hash = cz_hash(0, other, sizeof other);
        unlike += hash != whole;
        flips += __builtin_popcountll(hash ^ whole);
        other[i] = row[i];
    }
    check(unlike == 2048 && near(flips, 2048 * 64.0, 0.5, 0.5),
          "hash: a changed bit changes half of the bits");
    check(cz_hash(0, row, 7) != cz_hash(0, row, 8) && cz_hash(1, row, 8) != cz_hash(0, row, 8),
          "hash: length and the hash before count");
}

static void check_arena(void)
{
    cz_arena arena;
    check(cz_arena_init(&arena, 1000) == CZ_OK, "arena: opened");
    char *a = cz_arena_take(&arena, 1), *b = cz_arena_take(&arena, 100);
    bool aligned = (uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0;
    check(a && b && aligned && b - a == 64 && arena.used == 192, "arena: pieces aligned to 64");
    memset(b, 1, 100);
    arena.used = 64;
    check(cz_arena_take(&arena, 100) == b && arena.peak == 192, "arena: given back and taken");
    bool full = !cz_arena_take(&arena, 900) && !cz_arena_take(&arena, SIZE_MAX);
    check(full && strstr(cz_error_message(), "is full") && arena.used == 192, "arena: full");
    cz_error_clear();
    check(cz_arena_take(&arena, 768) != NULL, "arena: a piece that still fits");
    cz_arena_free(&arena);
    check(cz_arena_init(&arena, 0) == CZ_OK && !cz_arena_take(&arena, 1), "arena: of nothing");
    cz_arena_free(&arena);
    cz_error_clear();
    check(cz_arena_init(&arena, SIZE_MAX / 2) == CZ_ERR_MEMORY && !arena.base, "arena: too large");
    cz_arena_free(&arena);
    cz_error_clear();
}

static void check_status(void)
{
    static const struct {
        cz_status status;
        int code;
    } codes[] = {{CZ_OK, 0},         {CZ_STOPPED, 75},   {CZ_ERR_DIVERGED, 5}, {CZ_ERR_USAGE, 2},
                 {CZ_ERR_CONFIG, 2}, {CZ_ERR_INPUT, 3},  {CZ_ERR_IO, 4},       {CZ_ERR_MEMORY, 4},
                 {CZ_ERR_MPI, 4},    {CZ_ERR_DEVICE, 4}, {CZ_ERR_BUG, 4},      {CZ_ERR_LOST, 4}};
    bool right = true;
    for (int i = 0; i < (int)(sizeof codes / sizeof *codes); i++)
        right = right && cz_exit_code(codes[i].status) == codes[i].code;
    check(right, "status: exit codes");

    bool ok = cz_fail(CZ_ERR_INPUT, "%s: line %d", "cells.h5ad", 3) == CZ_ERR_INPUT;
    ok = ok && cz_fail(CZ_ERR_IO, "later") == CZ_ERR_IO;
    check(ok && !strcmp(cz_error_message(), "cells.h5ad: line 3"), "status: the first message");
    cz_error_clear();
    check(!cz_error_message()[0], "status: cleared");
    volatile size_t huge = SIZE_MAX / 4;
    check(!cz_alloc(huge, 8, "a test") && strstr(cz_error_message(), "a test"),
          "status: memory that cannot be had, by name");
    cz_error_clear();
    unsigned char *memory = cz_alloc(0, 8, "nothing");
    check(memory != NULL, "status: no elements are not a failure");
    free(memory);
}

static void check_log(void)
{
    char path[] = "/tmp/czhpc-log-XXXXXX", text[4096] = "";
    int at = mkstemp(path);
    bool ok = at >= 0 && cz_log_open(path) == CZ_OK;
    cz_log("first %d", 1);
    cz_log_set_speaker(false);
    cz_log("not heard");
    cz_note("not heard");
    cz_warn("not heard");
    cz_log_set_speaker(true);
    cz_log_close();
    ok = ok && cz_log_open(path) == CZ_OK; /* goes on where it was */
    cz_log("second");
    cz_log_close();
    cz_log("after the end");
    ok = ok && read(at, text, sizeof text - 1) > 0;
    int year, month, day, hour, minute, second, lines = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    ok = ok && lines == 2 && !strstr(text, "not heard") && strstr(text, " second\n");
    ok = ok && sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d first 1", &year, &month, &day, &hour, &minute,
                      &second) == 6;
    check(ok, "log: lines with their time, of the speaker alone, appended");
    if (at >= 0) close(at);
    unlink(path);
    check(cz_log_open("/nowhere/at/all.log") == CZ_ERR_IO &&
              strstr(cz_error_message(), "/nowhere/at/all.log"),
          "log: a path that cannot be written");
    cz_error_clear();
    cz_log("without a file");
}

typedef struct pool_test {
    cz_pool *pool;
    int threads, rounds, calls[8], place[8];
    cz_status status[8];
    atomic_int arrived;
    bool wrong[8];
} pool_test;

static cz_status count_call(void *context, int thread)
{
    pool_test *test = context;
    test->calls[thread]++;
    return test->status[thread];
}

/* Between two barriers every thread sees what all wrote before the first. */
static cz_status pass_barriers(void *context, int thread)
{
    pool_test *test = context;
    for (int round = 1; round <= test->rounds; round++) {
        test->place[thread] = round;
        atomic_fetch_add(&test->arrived, 1);
        cz_pool_barrier(test->pool);
        if (atomic_load(&test->arrived) != round * test->threads) test->wrong[thread] = true;
        for (int t = 0; t < test->threads; t++)
            if (test->place[t] != round) test->wrong[thread] = true;
        cz_pool_barrier(test->pool);
    }
    return CZ_OK;
}

static void check_pool(int threads)
{
    pool_test test = {.threads = threads, .rounds = 300};
    if (!check(cz_pool_open(&test.pool, threads, NULL) == CZ_OK, "pool of %d: opened", threads))
        return;
    bool ok = cz_pool_threads(test.pool) == threads;
    for (int run = 0; run < 2000; run++) ok = ok && !cz_pool_run(test.pool, count_call, &test);
    for (int t = 0; t < threads; t++) ok = ok && test.calls[t] == 2000;
    check(ok, "pool of %d: 2000 runs, each thread once a run", threads);

    ok = true;
    for (int t = 0; t < threads; t++) {
        memset(test.status, 0, sizeof test.status);
        test.status[0] = CZ_STOPPED;
        test.status[t] = CZ_ERR_IO;
        ok = ok && cz_pool_run(test.pool, count_call, &test) == CZ_ERR_IO;
    }
    memset(test.status, 0, sizeof test.status);
    ok = ok && cz_pool_run(test.pool, count_call, &test) == CZ_OK;
    check(ok, "pool of %d: the worst status, and none of an earlier run", threads);

    ok = cz_pool_run(test.pool, pass_barriers, &test) == CZ_OK;
    for (int t = 0; t < threads; t++) ok = ok && !test.wrong[t];
    check(ok, "pool of %d: 300 barriers", threads);
    cz_pool_close(test.pool);

    ok = true;
    for (int i = 0; i < 100 && ok; i++) {
        ok = cz_pool_open(&test.pool, threads, NULL) == CZ_OK;
        if (ok) cz_pool_close(test.pool);
    }
    check(ok, "pool of %d: closed at once, before its threads have begun", threads);
}

/* Where threads cannot be started the pool says so, and leaves none behind. In a process of
 * its own, whose address space is limited. */
static void check_pool_limits(void)
{
    if (SANITIZED) {
        check_skip("pool: threads that cannot be started (address space under a sanitizer)");
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {256 << 20, 256 << 20}; /* stacks of 8 MB: some start */
        cz_pool *pool;
        alarm(20);
        setrlimit(RLIMIT_AS, &limit);
        cz_status status = cz_pool_open(&pool, 1000, NULL);
        bool ok = status == CZ_ERR_MEMORY && strstr(cz_error_message(), "run.threads") && !pool;
        cz_error_clear();
        ok = ok && cz_pool_open(&pool, 2, NULL) == CZ_OK;
        pool_test test = {.pool = pool, .threads = 2, .rounds = 10};
        ok = ok && cz_pool_run(pool, pass_barriers, &test) == CZ_OK;
        cz_pool_close(pool);
        _exit(!ok);
    }
    int status = -1;
    waitpid(child, &status, 0);
    check(child > 0 && status == 0, "pool: threads that cannot be started are a clear failure");
}

int main(void)
{
    check_philox();
    check_stream();
    check_uniform();
    check_normal();
    check_below();
    check_hash();
    check_arena();
    check_status();
    check_log();
    for (int threads = 1; threads <= 8; threads += threads < 3 ? 1 : 5) check_pool(threads);
    check_pool_limits();
    return check_done();
}

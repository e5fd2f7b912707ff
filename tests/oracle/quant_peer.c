/* quant_peer.c - our quantisers against llama.cpp's, on random weights.
 *
 *   quant_peer [LIB_DIR]      (default $PUMICE_TEST_PEER; PUMICE_TEST_SEED; PUMICE_TEST_ROWS)
 *
 * LIB_DIR, or a folder some levels below it, has libggml-base.* (tests/oracle/setup.sh peer).
 * Held, for normal weights of several deviations, with and without importance:
 *   F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1  the same bytes (without importance), for blocks of
 *                                            ties, zeros, subnormals and +-65504, too
 *   all others, and these with importance    a weighted squared error of at most 1.02 times
 *                                            llama.cpp's
 * The times are printed, not judged. Exits with 77 and the reason where the library is absent.
 */
#include "base/clock.h"
#include "base/half.h"
#include "base/hash.h"
#include "gguf/quant.h"

#include <dlfcn.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP = 77, K = 2048 };

typedef size_t quantize_chunk(int type, const float *source, void *blocks, int64_t start, int64_t rows, int64_t k,
                              const float *importance);

static char library_path[4096];

static int find_library(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    if (kind != FTW_F || strncmp(path + at->base, "libggml-base.", 13) != 0)
        return 0;
    snprintf(library_path, sizeof(library_path), "%s", path);
    return 1;
}

static _Noreturn void skip(const char *what, const char *detail)
{
    printf("skipped: %s%s%s\n", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    exit(SKIP);
}

static quantize_chunk *open_library(const char *folder)
{
    quantize_chunk *function;
    if (folder == NULL || folder[0] == '\0')
        skip("PUMICE_TEST_PEER is not set; tests/oracle/setup.sh peer DIR gets llama.cpp's libraries from npm", NULL);
    if (nftw(folder, find_library, 16, FTW_PHYS) != 1)
        skip("no libggml-base below", folder);
    void *library = dlopen(library_path, RTLD_NOW);
    void *address = library != NULL ? dlsym(library, "ggml_quantize_chunk") : NULL;
    if (address == NULL)
        skip(library_path, dlerror());
    memcpy(&function, &address, sizeof(function));
    return function;
}

/* --------------------------------------------------------------- inputs */

static uint64_t rng_state;

static double uniform(void)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    return ((double)(pm_mix64(rng_state) >> 11) + 0.5) / 9007199254740992.0;
}

static float normal(void)
{
    const double radius = sqrt(-2.0 * log(uniform()));
    return (float)(radius * cos(6.283185307179586 * uniform()));
}

/* A few columns matter a hundred times more than most, as activations have it. */
static void make_importance(float *importance)
{
    for (int i = 0; i < K; i++) {
        const float g = normal();
        importance[i] = expf(1.5f * g) + 0.01f;
    }
}

/* ----------------------------------------------------------------- test */

typedef struct outcome {
    double error, ns;
    uint8_t *blocks;
} outcome;

static double squared_error(pm_dtype type, const float *x, const float *importance, const uint8_t *blocks, int rows)
{
    static float y[K];
    double error = 0.0;
    for (int r = 0; r < rows; r++) {
        pm_dequant_row(type, blocks + (uint64_t)r * pm_dtype_row_bytes(type, K), y, K);
        for (int i = 0; i < K; i++) {
            const double off = (double)x[(size_t)r * K + i] - (double)y[i];
            error += (importance != NULL ? (double)importance[i] : 1.0) * off * off;
        }
    }
    return error;
}

static const struct {
    pm_dtype type;
    bool identical;
} types[] = {
    {PM_DTYPE_F16, true},   {PM_DTYPE_BF16, true},   {PM_DTYPE_Q8_0, true},   {PM_DTYPE_Q4_0, true},
    {PM_DTYPE_Q4_1, true},  {PM_DTYPE_Q5_0, true},   {PM_DTYPE_Q5_1, true},   {PM_DTYPE_Q2_K, false},
    {PM_DTYPE_Q3_K, false}, {PM_DTYPE_Q4_K, false},  {PM_DTYPE_Q5_K, false},  {PM_DTYPE_Q6_K, false},
    {PM_DTYPE_IQ4_NL, false}, {PM_DTYPE_IQ4_XS, false}, {PM_DTYPE_MXFP4, false},
};

static bool compare(quantize_chunk *peer, pm_dtype type, bool identical, const float *x, const float *importance,
                    int rows, const char *what)
{
    const uint64_t row_bytes = pm_dtype_row_bytes(type, K);
    outcome ours = {.blocks = malloc(row_bytes * (uint64_t)rows)}, theirs = {.blocks = malloc(row_bytes * (uint64_t)rows)};
    if (ours.blocks == NULL || theirs.blocks == NULL)
        exit(1);
    uint64_t start = pm_clock_ns();
    for (int r = 0; r < rows; r++)
        pm_quant_row(type, x + (size_t)r * K, importance, ours.blocks + (uint64_t)r * row_bytes, K);
    ours.ns = (double)(pm_clock_ns() - start) / rows / K;
    start = pm_clock_ns();
    const size_t bytes = peer((int)type, x, theirs.blocks, 0, rows, K, importance);
    theirs.ns = (double)(pm_clock_ns() - start) / rows / K;
    ours.error = squared_error(type, x, importance, ours.blocks, rows);
    theirs.error = squared_error(type, x, importance, theirs.blocks, rows);
    const bool same = bytes == row_bytes * (uint64_t)rows && memcmp(ours.blocks, theirs.blocks, bytes) == 0;
    const bool good = bytes == row_bytes * (uint64_t)rows &&
                      (identical && importance == NULL ? same : ours.error <= 1.02 * theirs.error);
    printf("%-8s %-12s %12.6g %12.6g %8.4f %-9s %8.1f %8.1f  %s\n", pm_dtype_get(type)->name, what, ours.error,
           theirs.error, theirs.error > 0.0 ? ours.error / theirs.error : 1.0, same ? "identical" : "", ours.ns,
           theirs.ns, good ? "ok" : "FAILED");
    free(ours.blocks);
    free(theirs.blocks);
    return good;
}

/* Blocks of which the rounding is easy to get wrong. */
static void make_awkward(float *x, int rows)
{
    static const float scales[] = {1.0f, 0.125f, 65504.0f / 16.0f, 3e-7f, 1e-20f, 0.0f};
    for (int b = 0; b < rows * K / 32; b++) {
        const float scale = scales[b % 6];
        for (int i = 0; i < 32; i++)
            switch (b / 6 % 4) {
            case 0: x[32 * b + i] = scale * (float)((int)(uniform() * 33.0) - 16); break;      /* ties of +16 and -16 */
            case 1: x[32 * b + i] = scale * 0.5f * (float)((int)(uniform() * 65.0) - 32); break; /* halves */
            case 2: x[32 * b + i] = scale; break;
            default: x[32 * b + i] = i == b % 32 ? -16.0f * scale : scale * normal(); break;   /* an outlier */
            }
    }
}

int main(int argc, char **argv)
{
    quantize_chunk *peer = open_library(argc > 1 ? argv[1] : getenv("PUMICE_TEST_PEER"));
    const char *given = getenv("PUMICE_TEST_SEED"), *given_rows = getenv("PUMICE_TEST_ROWS");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)pm_clock_ns() & 0xffffffff;
    const int rows = given_rows != NULL ? atoi(given_rows) : 64;
    printf("PUMICE_TEST_SEED=%llu, %d rows of %d\n", (unsigned long long)seed, rows, K);
    rng_state = seed;
    float *x = malloc((size_t)rows * K * sizeof(*x)), *importance = malloc(K * sizeof(*importance));
    if (x == NULL || importance == NULL)
        return 1;
    bool good = true;
    printf("%-8s %-12s %12s %12s %8s %-9s %8s %8s\n", "type", "weights", "our error", "their error", "ratio", "bytes",
           "ns/value", "theirs");
    for (int heavy = 0; heavy < 2; heavy++) {
        /* Normal with a deviation per row; then with tails: one value in 50 is ten times as great. */
        for (int i = 0; i < rows * K; i++)
            x[i] = normal() * powf(10.0f, (float)(i / K % 4) - 3.0f) * (heavy && uniform() < 0.02 ? 10.0f : 1.0f);
        make_importance(importance);
        for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
            good &= compare(peer, types[t].type, types[t].identical, x, NULL, rows, heavy ? "tails" : "normal");
            if (types[t].type != PM_DTYPE_F16 && types[t].type != PM_DTYPE_BF16)
                good &= compare(peer, types[t].type, types[t].identical, x, importance, rows,
                                heavy ? "tails, im" : "normal, im");
        }
    }
    make_awkward(x, rows);
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
        if (types[t].identical)
            good &= compare(peer, types[t].type, true, x, NULL, rows, "awkward");
    free(x);
    free(importance);
    return good ? 0 : 1;
}

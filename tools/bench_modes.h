/* bench_modes.h - the parts of "pumice bench MODE". */
#ifndef BENCH_MODES_H
#define BENCH_MODES_H

#include "bench_rows.h"

#define BENCH_LIST_MAX 32

typedef struct bench_options {
    const char *ops, *types, *variants, *rows, *matrix; /* ops */
    const char *contexts, *batches; /* model */
    const char *trace_path;        /* trace */
    uint32_t tg, depth, starts, reps, requests, seqs;
    float speed;
    bool full;
} bench_options;

/* "pumice bench ops|model|trace|startup|all ...": argv[0] is the mode. */
int bench_modes_main(int argc, char **argv);

/* "2048x4096": outputs, and inputs, a multiple of 256. */
bool bench_matrix_read(const char *text, uint32_t *n, uint32_t *k);

/* Numbers of a list with commas, each in [1, most]; out: [*count] at most `capacity`. False after a message. */
bool bench_list_read(const char *option, const char *list, uint32_t most, uint32_t *out, uint32_t capacity,
                     uint32_t *count);

/* "tinyllama-q8_0" of "models/tinyllama-q8_0.gguf". */
void bench_subject(const char *path, char *out, size_t capacity);

/* Each measures and adds its rows. Returns -1, or the exit code after a message. */
int bench_device(bench_rows *rows, pm_bench_peaks *peaks);
int bench_ops(bench_rows *rows, const bench_options *options, const pm_bench_peaks *peaks);
int bench_model(bench_rows *rows, const bench_options *options, const pm_bench_peaks *peaks);
int bench_trace(bench_rows *rows, const bench_options *options);
int bench_startup(bench_rows *rows, const bench_options *options);

#endif /* BENCH_MODES_H */

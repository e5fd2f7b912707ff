/* bench_rows.h - what a benchmark measured, as rows, and the forms in which they are told.
 *
 * A row is one case of one benchmark: "matmul q4_k lanes1 16 x 2048 x 2048" of "ops", or "batch16" of
 * "model". It has up to 8 metrics with their spread. */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include "common.h"

#define BENCH_METRICS_MAX 8

typedef struct bench_metric {
    const char *name, *unit;       /* static; "tokens_per_s", "tok/s" */
    double median, min, max;
} bench_metric;

typedef struct bench_row {
    const char *bench;             /* static: "device", "ops", "model", "trace" or "startup" */
    char subject[64];              /* the model's file, or the op */
    char name[128];
    double x;                      /* where it stands in a plot: tokens, sequences, operations per byte */
    uint32_t reps;
    const char *note;              /* static; "" */
    bool picked;                   /* of kernels: the one that an engine takes */
    uint32_t metric_count;
    bench_metric metrics[BENCH_METRICS_MAX];
} bench_row;

typedef struct bench_rows {
    char device[256], driver[256]; /* "" until one was opened */
    const char *label;             /* of the code: a commit */
    bench_row *rows;               /* owned */
    size_t count, capacity;
    bool quiet;                    /* rows are not printed as they come */
    const char *last_bench;        /* whose header was printed last */
} bench_rows;

/* The new last row, without metrics. It lasts until the next one is added. */
bench_row *bench_rows_add(bench_rows *rows, const char *bench, const char *subject, double x, uint32_t reps);

/* The median and the bounds of values [count], which are sorted. */
void bench_row_metric(bench_row *row, const char *name, const char *unit, double *values, size_t count);

/* The metric of that name, or NULL. */
const bench_metric *bench_row_find(const bench_row *row, const char *name);

/* The row is whole: it is printed as a line of a table, unless rows are quiet. */
void bench_rows_done(bench_rows *rows);

void bench_rows_finish(bench_rows *rows);

void bench_rows_json(const bench_rows *rows);
void bench_rows_csv(const bench_rows *rows);

/* FOLDER/<device>-<driver>.csv: these rows take the place of those there that have the same label,
 * engine, benchmark, subject, name and metric. False after a message. */
bool bench_rows_collect(const bench_rows *rows, const char *folder);

#endif /* BENCH_ROWS_H */

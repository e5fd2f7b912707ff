/* bench_ops.c - pumice bench ops: what a device can do at most, and what each op makes of it. */
#include "bench_modes.h"
#include "engine.h"
#include "generate.h"

#include <stdlib.h>
#include <string.h>

static void add_peak(bench_rows *rows, const char *name, const char *what, double per_s, const char *unit,
                     const char *note)
{
    double value = per_s * 1e-9;
    if (per_s <= 0.0)
        return;
    bench_row *row = bench_rows_add(rows, "device", what, 0.0, 1);
    snprintf(row->name, sizeof(row->name), "%s", name);
    row->note = note;
    bench_row_metric(row, strcmp(unit, "GB/s") == 0 ? "gb_per_s" : "gflop_per_s", unit, &value, 1);
    bench_rows_done(rows);
}

int bench_device(bench_rows *rows, pm_bench_peaks *peaks)
{
    if (pm_bench_device(engine_opts.device, peaks) != PM_OK)
        return fail("bench");
    snprintf(rows->device, sizeof(rows->device), "%s", peaks->device);
    snprintf(rows->driver, sizeof(rows->driver), "%s", peaks->driver);
    char matrix[64];
    snprintf(matrix, sizeof(matrix), "cooperative matrices %s", peaks->matrix);
    add_peak(rows, "memory, read", "memory", peaks->read_bytes_per_s, "GB/s", "");
    add_peak(rows, "memory, copied", "memory", peaks->copy_bytes_per_s, "GB/s", "read and written");
    add_peak(rows, "f32 multiply-adds", "f32", peaks->f32_per_s, "GFLOP/s", "");
    add_peak(rows, "f16 multiply-adds", "f16", peaks->f16_per_s, "GFLOP/s", "");
    add_peak(rows, "int8 dot products", "int8", peaks->int8_per_s, "GOP/s", "");
    add_peak(rows, matrix, "matrix", peaks->matrix_per_s, "GFLOP/s", "");
    return -1;
}

typedef struct op_sink {
    bench_rows *rows;
    uint32_t reps;
} op_sink;

static bool add_op(void *context, const pm_bench_row *r)
{
    const op_sink *sink = context;
    bench_rows *rows = sink->rows;
    double us[] = {r->us_min, r->us, r->us_max};
    double gb = r->gb_per_s, gflop = r->gflop_per_s, percent = r->percent, error = r->error;
    bench_row *row = bench_rows_add(rows, "ops", r->op, r->bytes > 0 ? (double)r->flops / (double)r->bytes : 0.0,
                                    sink->reps);
    snprintf(row->name, sizeof(row->name), "%s %s %s %s", r->op, r->type, r->variant, r->shape);
    row->picked = r->picked;
    row->note = r->bytes > 0 ? r->bound : "no device clock: the host's";
    bench_row_metric(row, "us", "us", us, 3);
    if (r->bytes > 0) { /* by the device's clock */
        bench_row_metric(row, "gb_per_s", "GB/s", &gb, 1);
        bench_row_metric(row, "gflop_per_s", "GFLOP/s", &gflop, 1);
        bench_row_metric(row, "percent", "%", &percent, 1);
    }
    if (error >= 0.0)
        bench_row_metric(row, "error", "", &error, 1);
    bench_rows_done(rows);
    return !interrupted();
}

bool bench_matrix_read(const char *text, uint32_t *n, uint32_t *k)
{
    char *end;
    const unsigned long rows = strtoul(text, &end, 10);
    if (end == text || *end != 'x' || rows < 1 || rows > 1u << 20)
        return false;
    const char *second = end + 1;
    const unsigned long columns = strtoul(second, &end, 10);
    *n = (uint32_t)rows;
    *k = (uint32_t)columns;
    return end != second && *end == '\0' && columns >= 256 && columns <= 1u << 20 && columns % 256 == 0;
}

int bench_ops(bench_rows *rows, const bench_options *o, const pm_bench_peaks *peaks)
{
    uint32_t counts[PM_BENCH_ROWS_MAX];
    pm_bench_params params = {.device = engine_opts.device, .ops = o->ops, .types = o->types, .variants = o->variants,
                              .rows = counts, .full = o->full, .runs = o->reps};
    if (o->rows != NULL && !bench_list_read("--rows", o->rows, 2048, counts, PM_BENCH_ROWS_MAX, &params.row_count))
        return EXIT_USAGE;
    if (o->matrix != NULL)
        (void)bench_matrix_read(o->matrix, &params.n, &params.k); /* as it was before */
    op_sink sink = {rows, o->reps};
    if (pm_bench_ops(&params, peaks, add_op, &sink) != PM_OK)
        return fail("bench");
    return interrupted() ? EXIT_INTERRUPTED : -1;
}

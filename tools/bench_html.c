/* bench_html.c - what a benchmark measured as one self-contained page: no scripts, no fonts, no network; light
 * or dark as the reader's system is. */
#include "bench_html.h"
#include "bench_plot.h"

#include <math.h>
#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>pumice bench</title>\n<style>\n"
    ":root { color-scheme: light dark; --ink: #1c2024; --dim: #5f6b76; --paper: #fcfcfb; --line: #dfe3e6;\n"
    "  --s0: #0b67b2; --s1: #c2410c; --s2: #15803d; --s3: #7c3aed; --limit: #7b858e; }\n"
    "@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --dim: #9ba5ae; --paper: #16181a; --line: #33383d;\n"
    "  --s0: #6cb6ff; --s1: #ff9d5c; --s2: #5bd39b; --s3: #c4a5ff; --limit: #8b949c; } }\n"
    "body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;\n"
    "  max-width: 70rem; padding: 0 1rem; }\n"
    "h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }\n"
    "p { margin: .3rem 0; } .dim { color: var(--dim); }\n"
    ".wide { overflow-x: auto; }\n"
    "figure { margin: 1.5rem 0 0; display: flex; flex-direction: column; justify-content: space-between; }\n"
    "figcaption { font-weight: 600; } figcaption .dim { font-weight: 400; }\n"
    ".plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 0 2rem; }\n"
    "svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; } .wide svg { min-width: 40rem; }\n"
    "@media (max-width: 40rem) { svg { font-size: 15px; } } /* which the picture's scale makes 11 */\n"
    "svg text { fill: var(--ink); } svg .tick { fill: var(--dim); } svg .grid { stroke: var(--line); }\n"
    "svg .frame { fill: none; stroke: var(--dim); } svg .limit { stroke: var(--limit); stroke-width: 1.5; fill: none; }\n"
    "svg .ideal { stroke: var(--limit); stroke-dasharray: 4 4; fill: none; }\n"
    "svg .halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4; }\n"
    "svg .s0 { fill: var(--s0); } svg .s1 { fill: var(--s1); } svg .s2 { fill: var(--s2); } svg .s3 { fill: var(--s3); }\n"
    "svg circle { stroke: var(--paper); }\n"
    "svg .l0 { stroke: var(--s0); } svg .l1 { stroke: var(--s1); } svg .l2 { stroke: var(--s2); } svg .l3 { stroke: var(--s3); }\n"
    "svg .curve { fill: none; stroke-width: 2; } svg .range { stroke-width: 1.5; }\n"
    "table { border-collapse: collapse; font-variant-numeric: tabular-nums; }\n"
    "th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }\n"
    "th { color: var(--dim); font-weight: 600; } td.n, th.n { text-align: right; }\n</style>\n";

static void text(FILE *file, const char *s)
{
    bench_plot_text(file, s);
}

/* ------------------------------------------------------------------ plots */

static bool is_bench(const bench_row *row, const char *bench)
{
    return strcmp(row->bench, bench) == 0;
}

/* What of the model's rows a plot shows. */
static bool starts(const bench_row *row, const char *prefix)
{
    return is_bench(row, "model") && strncmp(row->name, prefix, strlen(prefix)) == 0;
}

static int series_of(const bench_row *row)
{
    return strcmp(row->subject, "matmul") == 0 ? 0 : strcmp(row->subject, "attention") == 0 ? 1 : 2;
}

typedef struct peak {
    const char *name, *unit;
    double value;                  /* 1e9 a second; 0 = there is none */
} peak;

/* A line for each, its name above it, or below it where another line is close above; each name further to the left than the
 * one before, so that names of like peaks do not meet. */
static void roofs(bench_plot *plot, const peak *peaks, int count, double memory)
{
    for (int i = 0; i < count; i++) {
        const double value = peaks[i].value, ridge = value / memory;
        bool above = true;
        char label[64];
        if (value <= 0.0)
            continue;
        for (int j = 0; j < count; j++)
            above &= peaks[j].value <= value || log(peaks[j].value / value) > 0.1 * log(plot->y.max / plot->y.min);
        bench_plot_line(plot, "limit", ridge > plot->x.min ? ridge : plot->x.min, value, plot->x.max, value);
        snprintf(label, sizeof(label), "%s %.4g %s", peaks[i].name, value, peaks[i].unit);
        bench_plot_label(plot, plot->x.max * pow(plot->x.max / plot->x.min, -0.18 * i), value, above, label);
    }
}

/* Operations a second over operations a byte, under the peaks. */
static void roofline(FILE *file, const bench_rows *rows, const pm_bench_peaks *p)
{
    static const char *const legend[] = {"matmul", "attention", "other ops"};
    double low = 1e300, high = 0.0, left = 1e300, right = 0.0;
    for (size_t i = 0; i < rows->count; i++) {
        const bench_metric *m = is_bench(&rows->rows[i], "ops") ? bench_row_find(&rows->rows[i], "gflop_per_s") : NULL;
        if (m == NULL || m->median <= 0.0)
            continue;
        low = fmin(low, m->median);
        left = fmin(left, rows->rows[i].x);
        right = fmax(right, rows->rows[i].x);
    }
    const double memory = fmax(p->read_bytes_per_s, p->copy_bytes_per_s) * 1e-9;
    high = fmax(fmax(p->f32_per_s, p->f16_per_s), fmax(p->int8_per_s, p->matrix_per_s)) * 1e-9;
    if (right <= 0.0 || memory <= 0.0)
        return;
    bench_plot plot = {.file = file, .width = 960.0, .x = {left / 2, fmax(right, high / memory) * 4, true,
                                                           "operations per byte moved"},
                       .y = {fmin(low, left * memory) / 2, high * 2, true, "GFLOP/s"}};
    fputs("<figure><figcaption>Roofline: what each op reaches under the device's own peaks</figcaption>\n<div class=\"wide\">\n",
          file);
    bench_plot_begin(&plot, "Roofline");
    const peak peaks[] = {{"f32", "GFLOP/s", p->f32_per_s * 1e-9}, {"f16", "GFLOP/s", p->f16_per_s * 1e-9},
                          {"int8", "GOP/s", p->int8_per_s * 1e-9}, {"matrix", "GFLOP/s", p->matrix_per_s * 1e-9}};
    roofs(&plot, peaks, 4, memory);
    const double from = fmax(plot.x.min, plot.y.min / memory);
    bench_plot_line(&plot, "limit", from, from * memory, high / memory, high);
    char label[64];
    snprintf(label, sizeof(label), "memory %.4g GB/s", memory);
    bench_plot_label(&plot, high / memory, high, true, label); /* left of the roof nothing is */
    for (size_t i = 0; i < rows->count; i++) {
        const bench_row *row = &rows->rows[i];
        const bench_metric *m = is_bench(row, "ops") ? bench_row_find(row, "gflop_per_s") : NULL;
        const bench_metric *percent = bench_row_find(row, "percent");
        char title[256];
        if (m == NULL || m->median <= 0.0 || percent == NULL)
            continue;
        snprintf(title, sizeof(title), "%s: %.4g GFLOP/s, %.1f %% of the %s limit", row->name, m->median,
                 percent->median, row->note);
        bench_plot_point(&plot, series_of(row), row->x, m->median, title);
    }
    bench_plot_end(&plot, legend, 3);
    fputs("</div></figure>\n", file);
}

/* One metric of the rows whose names begin so, as a curve with its spread. */
static uint32_t collect(const bench_rows *rows, const char *prefix, const char *metric, bench_point *points,
                        uint32_t capacity)
{
    uint32_t count = 0;
    for (size_t i = 0; i < rows->count && count < capacity; i++) {
        const bench_metric *m = starts(&rows->rows[i], prefix) ? bench_row_find(&rows->rows[i], metric) : NULL;
        if (m != NULL && m->median > 0.0)
            points[count++] = (bench_point){rows->rows[i].x, m->median, m->min, m->max};
    }
    return count;
}

#define POINTS_MAX 64u

static void figure(FILE *file, const char *caption, bench_axis x, bench_axis y, const bench_point *points,
                   uint32_t count, bool ideal)
{
    bench_plot plot = {.file = file, .width = 520.0, .x = x, .y = y};
    double top = 0.0;
    if (count == 0)
        return;
    plot.x.min = x.log ? points[0].x / 1.3 : 0.0;
    for (uint32_t i = 0; i < count; i++) {
        plot.x.min = x.log ? fmin(plot.x.min, points[i].x / 1.3) : plot.x.min;
        plot.x.max = fmax(plot.x.max, points[i].x * (x.log ? 1.3 : 1.06));
        top = fmax(top, points[i].max);
    }
    plot.y.min = 0.0;
    plot.y.max = top * 1.12;
    fprintf(file, "<figure><figcaption>%s</figcaption>\n", caption);
    bench_plot_begin(&plot, y.label);
    if (ideal) { /* as many times the first as there are sequences, as far as the plot goes */
        const double slope = points[0].y / points[0].x, end = fmin(points[count - 1].x, plot.y.max / slope);
        bench_point line[33];
        for (int i = 0; i <= 32; i++) {
            line[i].x = points[0].x * pow(end / points[0].x, i / 32.0);
            line[i].y = line[i].x * slope;
        }
        bench_plot_lines(&plot, "ideal", line, 33);
    }
    bench_plot_curve(&plot, 0, points, count);
    bench_plot_end(&plot, NULL, 0);
    fputs("</figure>\n", file);
}

static void plots(FILE *file, const bench_rows *rows, const pm_bench_peaks *peaks)
{
    bench_point points[POINTS_MAX];
    if (peaks != NULL)
        roofline(file, rows, peaks);
    fputs("<div class=\"plots\">\n", file);
    uint32_t count = collect(rows, "batch", "tokens_per_s", points, POINTS_MAX);
    figure(file, "Throughput over sequences at once <span class=\"dim\">dashed: each as fast as the first alone</span>",
           (bench_axis){.log = true, .label = "sequences at once"}, (bench_axis){.label = "tokens per second, all together"}, points,
           count, true);
    count = collect(rows, "tg", "ms_per_token", points, POINTS_MAX);
    figure(file, "Latency over context", (bench_axis){.label = "tokens before, and half of those generated"},
           (bench_axis){.label = "milliseconds per generated token"}, points, count, false);
    count = collect(rows, "pp", "tokens_per_s", points, POINTS_MAX);
    figure(file, "Prompt rate over its length", (bench_axis){.log = true, .label = "tokens of the prompt"},
           (bench_axis){.label = "prompt tokens per second"}, points, count, false);
    fputs("</div>\n", file);
}

/* ----------------------------------------------------------------- tables */

static void number(FILE *file, double value)
{
    if (value != 0.0 && fabs(value) < 1e-2)
        fprintf(file, "%.1e", value);
    else
        fprintf(file, "%.*f", value < 10.0 ? 3 : value < 1000.0 ? 1 : 0, value);
}

/* The metrics of a benchmark's rows, in the order in which they first come. */
typedef struct heads {
    const bench_metric *list[2 * BENCH_METRICS_MAX];
    uint32_t count;
    bool spread;                   /* the first one has some */
} heads;

static void add_heads(heads *h, const bench_row *row)
{
    h->spread |= row->metric_count > 0 && row->metrics[0].max > row->metrics[0].min;
    for (uint32_t m = 0; m < row->metric_count; m++) {
        uint32_t i = 0;
        while (i < h->count && strcmp(h->list[i]->name, row->metrics[m].name) != 0)
            i++;
        if (i == h->count && h->count < 2 * BENCH_METRICS_MAX)
            h->list[h->count++] = &row->metrics[m];
    }
}

static void table_row(FILE *file, const heads *h, const bench_row *row)
{
    fputs("<tr><td>", file);
    text(file, row->name);
    fputs(row->picked ? " <span class=\"dim\">*</span>" : "", file);
    for (uint32_t i = 0; i < h->count; i++) {
        const bench_metric *m = bench_row_find(row, h->list[i]->name);
        fputs("<td class=\"n\">", file);
        if (m != NULL)
            number(file, m->median);
        if (i > 0 || !h->spread)
            continue;
        fputs("<td class=\"dim\">", file);
        if (m != NULL && m->max > m->min) {
            number(file, m->min);
            fputs(" &ndash; ", file);
            number(file, m->max);
        }
    }
    fputs("<td class=\"dim\">", file);
    text(file, row->note);
    fputs("\n", file);
}

static void table(FILE *file, const bench_rows *rows, const char *bench)
{
    heads h = {0};
    const bench_row *first = NULL;
    for (size_t i = 0; i < rows->count; i++)
        if (is_bench(&rows->rows[i], bench)) {
            first = first == NULL ? &rows->rows[i] : first;
            add_heads(&h, &rows->rows[i]);
        }
    if (h.count == 0)
        return;
    fprintf(file, "<h2>%s", bench);
    if (strcmp(bench, "ops") != 0 && strcmp(bench, "device") != 0) {
        fputs(" <span class=\"dim\">", file);
        text(file, first->subject);
        fputs("</span>", file);
    } else if (strcmp(bench, "ops") == 0) {
        fputs(" <span class=\"dim\">* what an engine takes</span>", file);
    }
    fputs("</h2>\n<div class=\"wide\"><table>\n<tr><th>case", file);
    for (uint32_t i = 0; i < h.count; i++)
        fprintf(file, "<th class=\"n\">%s%s", h.list[i]->unit[0] != '\0' ? h.list[i]->unit : h.list[i]->name,
                i == 0 && h.spread ? "<th>from &ndash; to" : "");
    fprintf(file, "<th>%s\n", strcmp(bench, "ops") == 0 ? "limit" : "");
    for (size_t i = 0; i < rows->count; i++)
        if (is_bench(&rows->rows[i], bench))
            table_row(file, &h, &rows->rows[i]);
    fputs("</table></div>\n", file);
}

bool bench_html_write(const char *path, const bench_rows *rows, const pm_bench_peaks *peaks)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    fputs(head, file);
    fputs("<h1>", file);
    text(file, rows->device);
    fputs("</h1>\n<p class=\"dim\">", file);
    text(file, rows->driver);
    fprintf(file, " &middot; pumice %s", pm_version());
    if (strcmp(rows->label, pm_version()) != 0) {
        fputs(" &middot; ", file);
        text(file, rows->label);
    }
    fputs("</p>\n", file);
    plots(file, rows, peaks);
    static const char *const benches[] = {"device", "ops", "model", "trace", "startup"};
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
        table(file, rows, benches[i]);
    fputs("</html>\n", file);
    const bool written = ferror(file) == 0;
    return fclose(file) == 0 && written;
}

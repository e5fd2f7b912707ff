/* bench_plot.h - plots as inline SVG, whose colours are those of the page. */
#ifndef BENCH_PLOT_H
#define BENCH_PLOT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct bench_axis {
    double min, max;               /* with log: both > 0 */
    bool log;
    const char *label;             /* with its unit */
} bench_axis;

typedef struct bench_plot {
    FILE *file;
    double width;                  /* of the picture, in pixels; its text has 12 of them */
    bench_axis x, y;
} bench_plot;

typedef struct bench_point {
    double x, y, min, max;         /* min .. max: the spread of y */
} bench_point;

/* Opens the figure with its frame, its grid, its ticks and its labels. */
void bench_plot_begin(const bench_plot *plot, const char *title);

/* The parts of it, in the plot's own units; class: of the page's style. */
void bench_plot_line(const bench_plot *plot, const char *class, double x0, double y0, double x1, double y1);
void bench_plot_lines(const bench_plot *plot, const char *class, const bench_point *points, uint32_t count);
void bench_plot_point(const bench_plot *plot, int series, double x, double y, const char *title);
void bench_plot_curve(const bench_plot *plot, int series, const bench_point *points, uint32_t count);

/* Words that end above a point, or below it. */
void bench_plot_label(const bench_plot *plot, double x, double y, bool above, const char *text);

/* Ends it; legend: [count] names of series 0, 1, ... */
void bench_plot_end(const bench_plot *plot, const char *const *legend, int count);

/* Text that may hold anything, as HTML. */
void bench_plot_text(FILE *file, const char *text);

#endif /* BENCH_PLOT_H */

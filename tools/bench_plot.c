/* bench_plot.c - plots as inline SVG. */
#include "bench_plot.h"

#include <math.h>

/* The picture, and the frame within it. */
#define HEIGHT 340.0
#define LEFT 64.0
#define RIGHT (plot->width - 12.0)
#define TOP 32.0
#define BOTTOM 288.0
#define TICKS 5.0                  /* about so many on a linear axis */

void bench_plot_text(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        const char c = *text;
        const char *entity = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : NULL;
        if (entity != NULL)
            fputs(entity, file);
        else
            fputc(*text, file);
    }
}

static double share(const bench_axis *axis, double value)
{
    if (axis->log)
        return log(value / axis->min) / log(axis->max / axis->min);
    return (value - axis->min) / (axis->max - axis->min);
}

static double at_x(const bench_plot *plot, double x)
{
    return LEFT + (RIGHT - LEFT) * share(&plot->x, x);
}

static double at_y(const bench_plot *plot, double y)
{
    return BOTTOM - (BOTTOM - TOP) * share(&plot->y, y);
}

/* 1, 2 or 5 times a power of ten. */
static double nice_step(double wanted)
{
    const double power = pow(10.0, floor(log10(wanted))), times = wanted / power;
    return power * (times < 1.5 ? 1.0 : times < 3.5 ? 2.0 : times < 7.5 ? 5.0 : 10.0);
}

static void tick(const bench_plot *plot, bool is_x, double value)
{
    char text[32];
    const bench_axis *axis = is_x ? &plot->x : &plot->y;
    if (share(axis, value) < -1e-9 || share(axis, value) > 1.0 + 1e-9)
        return;
    if (value >= 1e6)
        snprintf(text, sizeof(text), "%gM", value * 1e-6);
    else if (value >= 1e4)
        snprintf(text, sizeof(text), "%gk", value * 1e-3);
    else
        snprintf(text, sizeof(text), "%g", value);
    if (is_x)
        fprintf(plot->file, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" "
                            "x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", at_x(plot, value),
                at_x(plot, value),
                TOP, BOTTOM, at_x(plot, value), BOTTOM + 18.0, text);
    else
        fprintf(plot->file, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" "
                            "x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT, RIGHT, at_y(plot, value),
                at_y(plot, value), LEFT - 8.0, at_y(plot, value) + 4.0, text);
}

/* Powers of two up to 10 times, of ten up to 5 decades, else of a hundred. */
static void log_ticks(const bench_plot *plot, bool is_x)
{
    const bench_axis *axis = is_x ? &plot->x : &plot->y;
    const double decades = log10(axis->max / axis->min), base = decades < 3.0 ? 2.0 : decades < 7.0 ? 10.0 : 100.0;
    const double first = ceil(log(axis->min) / log(base) - 1e-9);
    const int skip = base == 2.0 && decades > 2.1 ? 2 : 1;
    for (double power = first; pow(base, power) <= axis->max * (1.0 + 1e-9); power += skip)
        tick(plot, is_x, pow(base, power));
}

static void ticks(const bench_plot *plot, bool is_x)
{
    const bench_axis *axis = is_x ? &plot->x : &plot->y;
    if (axis->log) {
        log_ticks(plot, is_x);
        return;
    }
    const double step = nice_step((axis->max - axis->min) / TICKS);
    for (double i = ceil(axis->min / step); i * step <= axis->max; i += 1.0)
        tick(plot, is_x, i * step);
}

void bench_plot_begin(const bench_plot *plot, const char *title)
{
    FILE *file = plot->file;
    fprintf(file, "<svg viewBox=\"0 0 %.0f %.0f\" style=\"max-width: %.0fpx\" role=\"img\" aria-label=\"", plot->width,
            HEIGHT, plot->width);
    bench_plot_text(file, title);
    fputs("\">\n", file);
    ticks(plot, true);
    ticks(plot, false);
    fprintf(file, "<rect class=\"frame\" x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\"/>\n", LEFT, TOP,
            RIGHT - LEFT, BOTTOM - TOP);
    fprintf(file, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>\n", (LEFT + RIGHT) / 2, HEIGHT - 12.0,
            plot->x.label);
    fprintf(file, "<text transform=\"translate(16 %.0f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
            (TOP + BOTTOM) / 2, plot->y.label);
}

void bench_plot_line(const bench_plot *plot, const char *class, double x0, double y0, double x1, double y1)
{
    fprintf(plot->file, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, at_x(plot, x0),
            at_y(plot, y0), at_x(plot, x1), at_y(plot, y1));
}

void bench_plot_point(const bench_plot *plot, int series, double x, double y, const char *title)
{
    fprintf(plot->file, "<circle class=\"s%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"><title>", series, at_x(plot, x),
            at_y(plot, y));
    bench_plot_text(plot->file, title);
    fputs("</title></circle>\n", plot->file);
}

void bench_plot_lines(const bench_plot *plot, const char *class, const bench_point *points, uint32_t count)
{
    fprintf(plot->file, "<polyline class=\"%s\" points=\"", class);
    for (uint32_t i = 0; i < count; i++)
        fprintf(plot->file, "%.1f,%.1f ", at_x(plot, points[i].x), at_y(plot, points[i].y));
    fputs("\"/>\n", plot->file);
}

void bench_plot_curve(const bench_plot *plot, int series, const bench_point *points, uint32_t count)
{
    char class[16];
    snprintf(class, sizeof(class), "curve l%d", series);
    bench_plot_lines(plot, class, points, count);
    for (uint32_t i = 0; i < count; i++) {
        char title[96];
        fprintf(plot->file, "<line class=\"range l%d\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", series,
                at_x(plot, points[i].x), at_x(plot, points[i].x), at_y(plot, points[i].min), at_y(plot, points[i].max));
        snprintf(title, sizeof(title), "%g: %.4g (%.4g to %.4g)", points[i].x, points[i].y, points[i].min,
                 points[i].max);
        bench_plot_point(plot, series, points[i].x, points[i].y, title);
    }
}

void bench_plot_label(const bench_plot *plot, double x, double y, bool above, const char *text)
{
    fprintf(plot->file, "<text class=\"halo\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
            at_x(plot, x) - 6.0, at_y(plot, y) + (above ? -6.0 : 15.0));
    bench_plot_text(plot->file, text);
    fputs("</text>\n", plot->file);
}

void bench_plot_end(const bench_plot *plot, const char *const *legend, int count)
{
    double x = LEFT;
    for (int i = 0; i < count; i++) {
        fprintf(plot->file, "<circle class=\"s%d\" cx=\"%.0f\" cy=\"16\" r=\"5\"/><text x=\"%.0f\" y=\"20\">%s</text>\n", i,
                x + 6.0, x + 16.0, legend[i]);
        x += 110.0;
    }
    fputs("</svg>\n", plot->file);
}

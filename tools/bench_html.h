/* bench_html.h - what a benchmark measured, as one self-contained page with plots. */
#ifndef BENCH_HTML_H
#define BENCH_HTML_H

#include "bench_rows.h"

/* peaks: NULL = not measured. False: errno says why. */
bool bench_html_write(const char *path, const bench_rows *rows, const pm_bench_peaks *peaks);

#endif /* BENCH_HTML_H */

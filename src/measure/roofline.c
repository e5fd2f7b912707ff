/* measure/roofline.c - what an op could reach at the peaks of its device. */
#include "measure/roofline.h"

void pm_roofline(pm_bench_row *row, const pm_bench_peaks *p, pm_arithmetic arithmetic)
{
    const double seconds = row->us * 1e-6;
    const double memory = p->read_bytes_per_s > p->copy_bytes_per_s ? p->read_bytes_per_s : p->copy_bytes_per_s;
    const double peaks[] = {p->f32_per_s, p->f16_per_s, p->int8_per_s, p->matrix_per_s};
    static const char *const names[] = {"f32", "f16", "int8", "matrix"};
    const pm_arithmetic own = peaks[arithmetic] > 0.0 ? arithmetic : PM_ARITHMETIC_F32;
    const double peak = peaks[own];
    const double moving = memory > 0.0 ? (double)row->bytes / memory : 0.0;
    const double computing = peak > 0.0 ? (double)row->flops / peak : 0.0;
    row->gb_per_s = seconds > 0.0 ? (double)row->bytes * 1e-9 / seconds : 0.0;
    row->gflop_per_s = seconds > 0.0 ? (double)row->flops * 1e-9 / seconds : 0.0;
    row->bound = moving >= computing ? "memory" : names[own];
    row->percent = seconds > 0.0 ? 100.0 * (moving >= computing ? moving : computing) / seconds : 0.0;
}

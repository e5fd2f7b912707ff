/* measure/roofline.h - what an op could reach at the peaks of its device. Floor 4. */
#ifndef PM_MEASURE_ROOFLINE_H
#define PM_MEASURE_ROOFLINE_H

#include "pumice.h"

/* What an op computes with, and so which peak is its own. */
typedef enum pm_arithmetic {
    PM_ARITHMETIC_F32,
    PM_ARITHMETIC_F16,
    PM_ARITHMETIC_INT8,
    PM_ARITHMETIC_MATRIX,
} pm_arithmetic;

/* Fills in row->gb_per_s, gflop_per_s, bound and percent from us, bytes and flops: the limit is the longer
 * of bytes at the memory's rate, the better of reading and copying, and operations at the peak of the
 * arithmetic (f32's where the device has none of its own). */
void pm_roofline(pm_bench_row *row, const pm_bench_peaks *peaks, pm_arithmetic arithmetic);

#endif /* PM_MEASURE_ROOFLINE_H */

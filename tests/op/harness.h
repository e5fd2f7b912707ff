/* op/harness.h - what the op tests share: one device, buffers with canaries, seeded inputs,
 * and comparison against double references. */
#ifndef PM_TEST_OP_HARNESS_H
#define PM_TEST_OP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vk/record.h"
#include "vk/upload.h"

/* The device of the whole program; opened on first use, prints its name and driver. With
 * PUMICE_TEST_MODULES=DIR the modules of a folder are served in place of the build's
 * (modules.h; tests/mutants); PUMICE_TEST_FILTER=PATTERN runs only the tests that match. */
pm_vk_device *harness_device(void);
void harness_close(void);
int harness_finish(void **state); /* harness_close() as the end of a group of tests */

/* PUMICE_TEST_SEED, or a fixed number. */
uint64_t harness_seed(void);

/* A call that must succeed; a failure prints the library's message. */
#define ok(call) harness_ok((call), #call, __FILE__, __LINE__)
void harness_ok(pm_result result, const char *call, const char *file, int line);

/* ---------------------------------------------------------------- buffers */

/* A device buffer of `bytes` between two canaries. */
typedef struct test_buffer {
    pm_vk_buffer *buffer;
    pm_slice slice;                /* what the op sees */
} test_buffer;

test_buffer buffer_make(uint64_t bytes);              /* filled with the canary's bytes */
test_buffer buffer_from(const void *data, uint64_t bytes);

/* Reads it back and checks that both canaries are whole. */
void buffer_read(const test_buffer *b, void *data);
void buffer_free(test_buffer *b);

/* Ends the recorder, runs it once, and destroys both. */
void run_recorder(pm_vk_recorder *recorder);
pm_vk_recorder *make_recorder(void);

/* What memory that nobody wrote holds, as a float: a NaN. */
#define CANARY_WORD 0xffc0dead

/* ----------------------------------------------------------------- inputs */

typedef enum input_kind {          /* shaders/include/input_value.h says what they are */
    INPUT_NORMAL,
    INPUT_OUTLIERS,
    INPUT_ZEROS,
    INPUT_TINY,
    INPUT_LARGE,
    INPUT_ZERO_BLOCKS,
    INPUT_KINDS,                   /* those before it are numbers that f16 can hold */
    INPUT_SCALES = INPUT_KINDS,
    INPUT_MASKED,
} input_kind;

/* Element i of a stream is a function of (seed, i) alone. */
float input_value(input_kind kind, uint64_t seed, uint64_t i);
const char *input_name(input_kind kind);

/* Element (row, column) of a matrix: what buffer_input() makes on the device. */
float input_at(input_kind kind, uint64_t seed, uint32_t row, uint32_t column);

/* [rows, stride] f32 made on the device: columns elements of each row, then zeros. The first
 * fills a slice, of which nothing else is written. */
void slice_input(pm_slice slice, input_kind kind, uint64_t seed, uint32_t rows, uint32_t columns, uint32_t stride);
test_buffer buffer_input(input_kind kind, uint64_t seed, uint32_t rows, uint32_t columns, uint32_t stride);
void input_fill(float *x, uint64_t count, input_kind kind, uint64_t seed);
uint32_t input_index(uint64_t seed, uint64_t i, uint32_t limit);

/* ------------------------------------------------------------- comparison */

/* |got - want| <= atol + rtol * scale for each element; scale[i] is the sum of |terms| that
 * made it, NULL = |want[i]|. A failure prints the worst element. `what` names the case. */
void compare(const float *got, const double *want, const double *scale, uint64_t count, double rtol, double atol,
             const char *what);

/* FlashAttention's rule: the worst error of `got` is at most twice that of `trusted`, a plain C
 * implementation in the same precision, both of the terms' sum, and `slack`: what Vulkan lets a
 * device err more than C. Source: T. Dao, FlashAttention's tests. */
#define RULE_SLACK 0x1p-23         /* sums and products: correctly rounded in both */
void compare_rule(const float *got, const float *trusted, const double *want, const double *scale, uint64_t count,
                  double slack, const char *what);

/* The largest |got - want| / scale of the compare() calls since it was last asked. */
double compare_worst(void);

/* Prints the largest |got - want| / scale and the NMSE, sum (got - want)^2 / sum want^2, of all
 * compare() calls since the last report. */
void compare_report(const char *test);

#endif /* PM_TEST_OP_HARNESS_H */

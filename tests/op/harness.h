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

/* The device of the whole program; opened on first use, prints its name and driver. */
pm_vk_device *harness_device(void);
void harness_close(void);

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

typedef enum input_kind {
    INPUT_NORMAL,                  /* mean 0, deviation 1 */
    INPUT_OUTLIERS,                /* one channel in 64 is 100 times larger */
    INPUT_ZEROS,
    INPUT_TINY,                    /* around 1e-38: denormals among them */
    INPUT_LARGE,                   /* +-65504 */
    INPUT_KINDS
} input_kind;

/* Element i of a stream is a function of (seed, i) alone. */
float input_value(input_kind kind, uint64_t seed, uint64_t i);
void input_fill(float *x, uint64_t count, input_kind kind, uint64_t seed);
uint32_t input_index(uint64_t seed, uint64_t i, uint32_t limit);

/* ------------------------------------------------------------- comparison */

/* |got - want| <= atol + rtol * scale for each element; scale[i] is the sum of |terms| that
 * made it, NULL = |want[i]|. A failure prints the worst element. `what` names the case. */
void compare(const float *got, const double *want, const double *scale, uint64_t count, double rtol, double atol,
             const char *what);

/* The largest |got - want| / scale seen by compare() since the program began, by test. */
void compare_report(const char *test);

#endif /* PM_TEST_OP_HARNESS_H */

/* op/suite.h - what the tests of single ops share beyond the harness: blocks of every tensor
 * type, matrices packed from them, memory past 4 GiB, and the count of what ran. */
#ifndef PM_TEST_OP_SUITE_H
#define PM_TEST_OP_SUITE_H

#include "op/harness.h"
#include "op/turn.h"

#include "op/weight.h"

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

/* ----------------------------------------------------------------- blocks */

typedef enum block_kind {
    BLOCKS_NORMAL,                 /* any bits; scales around 0.1 and of either sign, some zero */
    BLOCKS_ZERO,                   /* half of the blocks have a scale of zero */
    BLOCKS_EXTREME,                /* scales from the smallest denormal f16 to +-65504 */
    BLOCK_KINDS
} block_kind;

/* rows rows of the type's blocks, k elements each, as a file has them; free(). */
uint8_t *blocks_random(pm_dtype type, block_kind kind, uint32_t rows, uint32_t k, uint64_t seed);

/* A packed matrix [n, k] of which row i is row i % pool of `values`: n can be large where a
 * reference of each row cannot. */
typedef struct matrix {
    pm_weight weight;
    test_buffer packed;
    float *values;                 /* [pool, k] as pm_dequant_row() has them */
    uint32_t pool;
    block_kind kind;
} matrix;

matrix matrix_make(pm_dtype type, block_kind kind, uint32_t n, uint32_t k, uint32_t pool_max, uint64_t seed);
void matrix_free(matrix *m);

/* ----------------------------------------------------- memory past 4 GiB */

/* Addresses of which only what is touched takes memory: on a CPU driver, whose addresses are
 * this process's, a mapping; elsewhere a buffer. Dispatches that depend on each other
 * through it go into recorders of their own. */
typedef struct far_memory {
    pm_slice slice;
    uint8_t *host;                 /* CPU drivers: the mapping */
    pm_vk_buffer *buffer;
} far_memory;

/* False, and a line that begins with "skipped:", when the device has not that much. */
bool far_make(far_memory *far, uint64_t bytes, const char *what);
void far_write(const far_memory *far, uint64_t at, const void *data, uint64_t bytes);
void far_read(const far_memory *far, uint64_t at, void *data, uint64_t bytes);
void far_free(far_memory *far);

/* ------------------------------------------------------------------ count */

/* `elements` of an op's variant were compared in one more case, with the error of
 * compare_worst(). */
void tally(const char *op, const char *variant, uint64_t elements);

/* A case did not run; `reason` is static. */
void tally_skip(const char *op, const char *variant, const char *reason);

/* Prints the table of this device and empties it. */
void tally_print(void);

/* Runs `commands` 50 times and compares the slice's bits with those of the first run and of
 * `fresh`, another recording of the same; destroys both. */
void check_repeats(pm_vk_commands *commands, pm_vk_commands *fresh, const test_buffer *out, const char *what);

#endif /* PM_TEST_OP_SUITE_H */

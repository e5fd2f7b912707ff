/* op/turn.h - which of what costs much has its turn: by seed, so that another seed sees others. */
#ifndef PM_TEST_OP_TURN_H
#define PM_TEST_OP_TURN_H

#include <stdbool.h>
#include <stdint.h>

/* The next tensor type that kernels read, from `id` up; PM_DTYPE_LIMIT past the last.
 * PUMICE_TEST_TYPES=q8_0,f16 leaves the others out. */
uint32_t next_type(uint32_t id);
#define for_each_type(type) \
    for (uint32_t type##_id = next_type(0), type = type##_id; type##_id < PM_DTYPE_LIMIT; \
         type##_id = next_type(type##_id + 1), type = type##_id)

/* PUMICE_TEST_VARIANTS=texels,texels16 leaves the other variants of attention and matmul out. */
bool variant_is_wanted(const char *name);

/* PUMICE_TEST_FULL=1: nothing is left to the seed that all of can be run. Each kernel is compiled for every
 * type and size then, which takes lavapipe many minutes. */
bool is_full(void);

/* With many types, tests that cost much take a share of them at a time: true for those whose
 * turn it is, by seed, about `most` of all; for all when is_full(). */
bool type_in_turn(uint32_t type, uint32_t most);

/* One of them, another for each call, the same for the same seed. */
uint32_t some_type(void);

/* A number below limit, another for each call, the same for the same seed. */
uint32_t pick(uint32_t limit);

uint32_t matmul_variant_count(void);

/* A bit for each variant of matmul: all for about `most` types, whose turn it is. Of a family, which is a shader
 * and has one name but for its rows, the others get one by seed: so each type's decoding is seen in each shader, and
 * each module is compiled, the costly part, for few of its sizes. */
uint64_t matmul_variants_in_turn(uint32_t type, uint32_t most);

#endif /* PM_TEST_OP_TURN_H */

/* test_dequant.c - blocks to values in plain C: the definition that every kernel is held to.
 *
 * tests/oracle/dequant.py compares it with the gguf package on any bits; here is what that
 * package made of a few blocks, so that it is held without Python. */
#include "base/half.h"
#include "base/hash.h"
#include "gguf/codebook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BLOCKS 64

/* Printed by tests/oracle/dequant.py --record. */
static const struct known {
    pm_dtype type;
    float values[3];               /* the first, the middle and the last of block 0 */
    uint64_t hash;                 /* pm_hash64() of the values of all blocks, each NaN as 0x7fc00000 */
} knowns[] = {
    {PM_DTYPE_F32, {-3.7175287e-13f, -3.7175287e-13f, -3.7175287e-13f}, UINT64_C(0x57e02957142cdad5)},
    {PM_DTYPE_F16, {3.99e+02f, 3.99e+02f, 3.99e+02f}, UINT64_C(0xbea3449bc0970f37)},
    {PM_DTYPE_BF16, {-2.5388255e+38f, -2.5388255e+38f, -2.5388255e+38f}, UINT64_C(0xef2ef3577d3a8997)},
    {PM_DTYPE_Q8_0, {1.4359951e-03f, -1.1147857e-03f, 1.095891e-03f}, UINT64_C(0x2677c3f55f55558c)},
    {PM_DTYPE_Q4_0, {-1.7152e+05f, -1.072e+05f, -6.432e+04f}, UINT64_C(0xbe154e511d5e13de)},
    {PM_DTYPE_Q4_1, {-7.8716106e+00f, -7.8726444e+00f, -7.8721275e+00f}, UINT64_C(0x7d6c0a4407aca2bd)},
    {PM_DTYPE_Q5_0, {-6.986875e+02f, 9.98125e+01f, 9.98125e+01f}, UINT64_C(0xdb26350f6c326d27)},
    {PM_DTYPE_Q5_1, {-8.426e+03f, -8.426e+03f, -3.5246e+04f}, UINT64_C(0xf5566495ebbcd3ac)},
    {PM_DTYPE_Q2_K, {1.7004712e+02f, 1.0762573e+02f, 8.334961e-01f}, UINT64_C(0xb577488975cf3058)},
    {PM_DTYPE_Q3_K, {3.541031e-01f, 8.743286e-03f, -4.371643e-02f}, UINT64_C(0xf66d0c345b426b63)},
    {PM_DTYPE_Q4_K, {1.2169564e+05f, 2.9501854e+04f, 2.1623606e+05f}, UINT64_C(0x173484ca1d0125f8)},
    {PM_DTYPE_Q5_K, {2.5747192e+06f, -1.3122559e-01f, 8.024543e+06f}, UINT64_C(0xd4b5624ac5b0f061)},
    {PM_DTYPE_Q6_K, {9.765076e+01f, 1.9796692e+02f, -2.6169434e+02f}, UINT64_C(0xe542330a681193f5)},
    {PM_DTYPE_IQ4_NL, {-1.1492729e-01f, 1.7681122e-03f, 2.2985458e-02f}, UINT64_C(0x6452f06bf28499d2)},
    {PM_DTYPE_IQ4_XS, {1.17425e+05f, -5.512265e+05f, -8.1191e+04f}, UINT64_C(0x179414b96b2658b7)},
    {PM_DTYPE_MXFP4, {0.0e+00f, -3.2526065e-19f, -1.0842022e-19f}, UINT64_C(0xfc9d80073b8be446)},
    {PM_DTYPE_IQ1_S, {2.30968e-06f, 6.005168e-06f, 2.9101968e-05f}, UINT64_C(0x0e9747d943d1aafe)},
    {PM_DTYPE_IQ1_M, {2.475679e-04f, -2.3275614e-05f, -1.3330579e-04f}, UINT64_C(0xb3d6b75ffdc62d10)},
    {PM_DTYPE_IQ2_XXS, {1.3264648e+01f, -8.583008e+00f, 6.0958862e+01f}, UINT64_C(0x83b980054a6e8d3f)},
    {PM_DTYPE_IQ2_XS, {-3.495625e+02f, 4.99375e+01f, 5.099867e+03f}, UINT64_C(0x184a54e971fdac15)},
    {PM_DTYPE_IQ2_S, {-9.0589746e+02f, 5.8520508e+01f, -2.348623e+02f}, UINT64_C(0xdcbce9ae127b687e)},
    {PM_DTYPE_IQ3_XXS, {2.91214e+05f, 7.90438e+05f, 6.1732e+04f}, UINT64_C(0xbc390e8947afba3d)},
    {PM_DTYPE_IQ3_S, {-9.753418e-02f, -3.803833e+00f, 1.4630127e+00f}, UINT64_C(0xed725cb1b25f38b1)},
};

#define KNOWNS (sizeof(knowns) / sizeof(knowns[0]))

/* Bytes of a linear congruential generator that starts at the type's id. */
static void fill(uint8_t *bytes, size_t count, uint32_t state)
{
    for (size_t i = 0; i < count; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        bytes[i] = (uint8_t)(state >> 24);
    }
}

static void every_type_gives_the_recorded_values(void **state)
{
    (void)state;
    for (const struct known *known = knowns; known < knowns + KNOWNS; known++) {
        static uint8_t blocks[BLOCKS * 512 + 1];
        static float values[BLOCKS * 256];
        const pm_dtype_info *info = pm_dtype_get(known->type);
        uint8_t *const odd = blocks + 1; /* a block may lie at any byte */
        fill(odd, BLOCKS * info->bytes, known->type);
        pm_dequant_row(known->type, odd, values, BLOCKS * info->block);
        const uint32_t at[3] = {0, info->block / 2, info->block - 1};
        for (int i = 0; i < 3; i++)
            if (values[at[i]] != known->values[i])
                fail_msg("%s: element %u is %.9g, expected %.9g", info->name, at[i], (double)values[at[i]],
                         (double)known->values[i]);
        uint64_t hash = PM_HASH_SEED;
        for (uint32_t i = 0; i < BLOCKS * info->block; i++) {
            const uint32_t bits = values[i] != values[i] ? UINT32_C(0x7fc00000) : pm_f32_bits(values[i]);
            hash = pm_hash64(&bits, sizeof(bits), hash);
        }
        if (hash != known->hash)
            fail_msg("%s: the hash of %d blocks is %016llx, expected %016llx", info->name, BLOCKS, (unsigned long long)hash,
                     (unsigned long long)known->hash);
    }
}

/* The table above holds every type that can be read; the others say that they cannot. */
static void every_type_that_can_be_read_is_held(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < PM_DTYPE_LIMIT + 8; type++) {
        bool held = false;
        for (size_t i = 0; i < KNOWNS; i++)
            held = held || knowns[i].type == type;
        assert_int_equal(pm_dtype_can_dequant((pm_dtype)type), held);
        if (held)
            assert_non_null(pm_dtype_get(type));
    }
}

static void rows_are_whole_blocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < KNOWNS; i++) {
        const pm_dtype_info *info = pm_dtype_get(knowns[i].type);
        assert_int_equal(pm_dtype_row_bytes(knowns[i].type, 0), 0);
        assert_int_equal(pm_dtype_row_bytes(knowns[i].type, 768), 768 / info->block * info->bytes);
        const uint64_t wide = UINT64_C(1) << 31; /* past 2^32 bytes for F32 */
        assert_true(pm_dtype_row_bytes(knowns[i].type, wide) == wide / info->block * info->bytes);
    }
}

static void grids_hold_points_that_differ(void **state)
{
    (void)state;
    static const struct { pm_dtype type; uint32_t count; } sizes[] = {
        {PM_DTYPE_IQ1_S, 2048}, {PM_DTYPE_IQ1_M, 2048},  {PM_DTYPE_IQ2_XXS, 256}, {PM_DTYPE_IQ2_XS, 512},
        {PM_DTYPE_IQ2_S, 1024}, {PM_DTYPE_IQ3_XXS, 256}, {PM_DTYPE_IQ3_S, 512},
    };
    uint32_t count;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const uint32_t *grid = pm_codebook_get(sizes[i].type, &count);
        assert_non_null(grid);
        assert_int_equal(count, sizes[i].count);
        for (uint32_t a = 0; a < count; a++)
            for (uint32_t b = 0; b < a; b++)
                assert_int_not_equal(grid[a], grid[b]);
    }
    assert_null(pm_codebook_get(PM_DTYPE_Q4_K, &count));
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_gives_the_recorded_values),
        cmocka_unit_test(every_type_that_can_be_read_is_held),
        cmocka_unit_test(rows_are_whole_blocks),
        cmocka_unit_test(grids_hold_points_that_differ),
    };
    return cmocka_run_group_tests_name("dequant", tests, NULL, NULL);
}

/* Tiles of flexible matrices are what a device lists: scope, granularity, lanes, dimensions, shared memory.
 * No driver at hand lists matrices of a workgroup, so a made-up device stands for one that does. */
#include "op/matmul_cut.h"
#include "push_matmul.h"
#include "vk/buffer_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static pm_vk_caps wide(void)
{
    return (pm_vk_caps){.bits = PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(COOPMAT2) | PM_CAP_BIT(COOPMAT2WG) |
                                PM_CAP_BIT(F16) | PM_CAP_BIT(SUBGROUP),
                        .subgroup_min = 32, .subgroup_max = 32, .subgroup_default = 32, .shared_bytes = 49152,
                        .workgroup_max = 1024, .flexible_count = 5, .flexible_max = 1024, .flexible_lanes_max = 1024,
                        .flexible_shared_bytes = 16384,
                        .flexible = {{16, 16, 16, 0}, {32, 16, 16, 64}, {64, 32, 16, 256}, {32, 32, 16, 128}, {64, 64, 16, 512}}};
}

static uint32_t constant(const pm_matmul_cut *cut, uint32_t id)
{
    for (uint32_t i = 0; i < cut->key.spec_count; i++)
        if (cut->key.spec[i].id == id)
            return cut->key.spec[i].value;
    return UINT32_MAX;
}

static void expect(const pm_vk_caps *caps, uint32_t lanes, uint32_t outputs)
{
    pm_matmul_cut cut;
    const char *lacks = pm_matmul_cut_coopmat2_wg(caps, 64, &cut);
    if (lacks != NULL)
        fail_msg("expected a workgroup of %u, needs %s", lanes, lacks);
    assert_int_equal(cut.rows, 64);
    assert_int_equal(cut.outputs, outputs);
    assert_int_equal(constant(&cut, PM_SPEC_LOCAL_X), lanes);
    assert_int_equal(constant(&cut, PM_SPEC_COOPMAT_M), 64);
    assert_int_equal(constant(&cut, PM_SPEC_COOPMAT_N), outputs);
}

static void expect_nothing(const pm_vk_caps *caps, const char *says)
{
    pm_matmul_cut cut;
    const char *lacks = pm_matmul_cut_coopmat2_wg(caps, 64, &cut);
    assert_non_null(lacks);
    if (strstr(lacks, says) == NULL)
        fail_msg("expected \"%s\", got: %s", says, lacks);
}

static void the_largest_workgroup_that_is_listed_owns_the_matrices(void **state)
{
    (void)state;
    pm_vk_caps caps = wide();
    expect(&caps, 256, 128);
    caps.flexible_lanes_max = 128; /* of all workgroups that may own matrices */
    expect(&caps, 128, 64);
    caps = wide();
    caps.workgroup_max = 128;
    expect(&caps, 128, 64);
    caps = wide();
    caps.flexible[2].n = 192; /* which does not divide 128 outputs */
    expect(&caps, 128, 64);
    caps = wide();
    caps.flexible[2].k = 64; /* nor that a step of k */
    expect(&caps, 128, 64);
    caps = wide();
    caps.flexible[2].m = caps.flexible[3].m = 128; /* nor that the rows */
    expect(&caps, 64, 64);
    caps = wide();
    caps.flexible_max = 64;
    expect(&caps, 128, 64);
    caps = wide();
    caps.shared_bytes = 16384 + 4 * (64 + 128) - 1;
    expect(&caps, 128, 64);
    caps.shared_bytes++;
    expect(&caps, 256, 128);
}

static void without_it_a_workgroup_owns_none(void **state)
{
    (void)state;
    static const uint32_t needs[] = {PM_CAP_BIT(COOPMAT2WG), PM_CAP_BIT(COOPMAT2), PM_CAP_BIT(COOPMAT), PM_CAP_BIT(F16)};
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        pm_vk_caps caps = wide();
        caps.bits &= ~needs[i];
        expect_nothing(&caps, "workgroups with decoding loads");
    }
    pm_vk_caps caps = wide();
    caps.flexible_count = 1; /* a subgroup's */
    expect_nothing(&caps, "of a workgroup");
    caps = wide();
    caps.flexible_lanes_max = 0;
    expect_nothing(&caps, "of a workgroup");
    caps = wide();
    caps.flexible_max = 16;
    expect_nothing(&caps, "of a workgroup");
    caps = wide();
    caps.flexible_shared_bytes = UINT32_MAX; /* no sum wraps round */
    expect_nothing(&caps, "shared memory");
    caps = wide();
    for (uint32_t i = 0; i < caps.flexible_count; i++)
        caps.flexible[i].m = 0;
    expect_nothing(&caps, "of a workgroup");
}

static void a_subgroup_gets_what_is_listed_for_it(void **state)
{
    (void)state;
    pm_matmul_cut cut;
    pm_vk_caps caps = wide();
    assert_null(pm_matmul_cut_coopmat2(&caps, 16, &cut));
    assert_true(cut.rows == 16 && cut.outputs == 16 && constant(&cut, PM_SPEC_LOCAL_X) == 32);
    caps.flexible[0].m = caps.flexible[0].n = caps.flexible[0].k = 8;
    assert_null(pm_matmul_cut_coopmat2(&caps, 16, &cut));
    assert_true(cut.rows == 8 && cut.outputs == 8 && constant(&cut, PM_SPEC_COOPMAT_M) == 8);
    caps.flexible[0].scope_lanes = 32; /* and nothing where only workgroups own any */
    assert_non_null(strstr(pm_matmul_cut_coopmat2(&caps, 16, &cut), "of a subgroup"));
    caps = wide();
    caps.bits &= ~PM_CAP_BIT(COOPMAT2WG); /* which it does not ask for */
    assert_null(pm_matmul_cut_coopmat2(&caps, 16, &cut));
}

/* As ANV has Intel's cards: native subgroups, and up to four times as many lanes in one. */
static pm_vk_caps intel(uint32_t subgroup_min)
{
    return (pm_vk_caps){.bits = PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(F16) | PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(INT8DOT),
                        .subgroup_min = subgroup_min, .subgroup_max = 32, .subgroup_default = 32, .shared_bytes = 65536,
                        .workgroup_max = 1024, .matrix_count = 1, .matrix = {{8, subgroup_min, 16}}};
}

static pm_matmul matmul_of(pm_dtype type, uint32_t rows)
{
    static pm_vk_buffer nowhere = {.address = UINT64_C(1) << 40, .bytes = UINT64_C(1) << 60};
    const pm_slice some = pm_vk_buffer_slice(&nowhere, 0, nowhere.bytes);
    return (pm_matmul){.weight = {.type = type, .n = 4096, .k = 4096, .data = some}, .x = some, .x_q8 = some, .y = some,
                       .rows = some, .rows_max = rows, .x_stride = 4096, .y_stride = 4096};
}

static void expect_lanes(const pm_vk_caps *caps, pm_dtype type, uint32_t rows, const char *name, uint32_t lanes)
{
    const pm_matmul m = matmul_of(type, rows);
    uint32_t index, is, slices;
    assert_int_equal(pm_matmul_pick(caps, &m, &index), PM_OK);
    assert_string_equal(pm_matmul_variant(index), name);
    pm_matmul_variant_split(index, caps, &m, &is, &slices);
    assert_int_equal(is, lanes);
}

static void where_lanes_share_registers_those_of_many_rows_have_more(void **state)
{
    (void)state;
    for (uint32_t native = 8; native <= 16; native *= 2) {
        const pm_vk_caps caps = intel(native);
        expect_lanes(&caps, PM_DTYPE_Q4_0, 1, "dot1", 2 * native);
        expect_lanes(&caps, PM_DTYPE_Q4_0, 16, "dot16", 2 * native);
        expect_lanes(&caps, PM_DTYPE_Q4_0, 32, "dot32", native);
        expect_lanes(&caps, PM_DTYPE_Q4_0, 512, "dot64", native);
        expect_lanes(&caps, PM_DTYPE_F16, 8, "rows8", 2 * native);
        expect_lanes(&caps, PM_DTYPE_F16, 16, "rows16", native);
        expect_lanes(&caps, PM_DTYPE_F16, 512, "tile64", 0);
        assert_int_equal(pm_vk_matrix_lanes(&caps), native);
    }
    pm_vk_caps others = intel(16);
    others.subgroup_max = 16;      /* Mali: registers are a lane's own */
    others.bits &= ~PM_CAP_BIT(COOPMAT);
    expect_lanes(&others, PM_DTYPE_Q4_0, 512, "dot64", 16);
    others.subgroup_min = others.subgroup_max = 32;
    expect_lanes(&others, PM_DTYPE_Q4_0, 1, "dot1", 32);
    assert_int_equal(pm_vk_matrix_lanes(&others), 32);
}

static void tiles_of_128_rows_are_for_many_outputs(void **state)
{
    (void)state;
    pm_vk_caps caps = wide();
    caps.matrix_count = 1;
    caps.matrix[0] = (pm_vk_matrix){16, 16, 16};
    pm_matmul m = matmul_of(PM_DTYPE_Q4_0, 512);
    pm_matmul_cut cut;
    assert_non_null(strstr(pm_matmul_cut_coopmat(&caps, &m, 128, &cut), "more outputs")); /* 128 workgroups */
    assert_null(pm_matmul_cut_coopmat(&caps, &m, 64, &cut));
    assert_true(cut.rows == 64 && cut.outputs == 128 && constant(&cut, PM_SPEC_COOPMAT_SUBGROUPS_M) == 1);
    m.weight.n = 11008;
    assert_null(pm_matmul_cut_coopmat(&caps, &m, 128, &cut));
    assert_true(cut.rows == 128 && cut.outputs == 128 && constant(&cut, PM_SPEC_LOCAL_X) == 256);
    assert_true(constant(&cut, PM_SPEC_COOPMAT_SUBGROUPS) == 8 && constant(&cut, PM_SPEC_COOPMAT_SUBGROUPS_M) == 2);
    assert_true(constant(&cut, PM_SPEC_COOPMAT_FRAGS_M) == 4 && constant(&cut, PM_SPEC_COOPMAT_BLOCKS) == 2);
    caps.workgroup_max = 128;      /* too few lanes */
    assert_non_null(pm_matmul_cut_coopmat(&caps, &m, 128, &cut));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_workgroup_that_is_listed_owns_the_matrices),
        cmocka_unit_test(without_it_a_workgroup_owns_none),
        cmocka_unit_test(a_subgroup_gets_what_is_listed_for_it),
        cmocka_unit_test(tiles_of_128_rows_are_for_many_outputs),
        cmocka_unit_test(where_lanes_share_registers_those_of_many_rows_have_more),
    };
    return cmocka_run_group_tests_name("matmul_cut", tests, NULL, NULL);
}

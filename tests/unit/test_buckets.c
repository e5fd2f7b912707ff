/* A batch in its bucket computes at most 25 % more rows than a pass recorded for just its rows,
 * and reads the weights no more often: each family of matmul, every row count, every rows_max. */
#include "op/matmul.h"
#include "plan/bucket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Devices as the variant tables see them. */
static const struct { const char *name; pm_vk_caps caps; } devices[] = {
    {"a CPU driver, subgroups of 8", {.bits = PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(TEXELS), .texels_max = 1u << 27, .subgroup_min = 8, .subgroup_max = 8,
                                      .subgroup_default = 8, .shared_bytes = 32768, .workgroup_max = 1024, .is_cpu = true}},
    {"a CPU driver, subgroups of 8, uniform loads", {.bits = PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(TEXELS),
                                      .texels_max = 1u << 27, .subgroup_min = 8, .subgroup_max = 8, .subgroup_default = 8,
                                      .shared_bytes = 32768, .workgroup_max = 1024, .is_cpu = true, .uniform_loads = true}},
    {"a CPU driver, subgroups of 4", {.bits = PM_CAP_BIT(SUBGROUP), .subgroup_min = 4, .subgroup_max = 4,
                                      .subgroup_default = 4, .shared_bytes = 32768, .workgroup_max = 256, .is_cpu = true}},
    {"the floor", {.subgroup_min = 32, .subgroup_max = 32, .subgroup_default = 32, .shared_bytes = 16384,
                   .workgroup_max = 256}},
    {"a GPU with shared memory", {.subgroup_min = 32, .subgroup_max = 64, .subgroup_default = 64, .shared_bytes = 65536,
                                  .workgroup_max = 1024}},
    {"a GPU with dot products", {.bits = PM_CAP_BIT(INT8DOT), .subgroup_min = 32, .subgroup_max = 32,
                                 .subgroup_default = 32, .shared_bytes = 49152, .workgroup_max = 1024}},
    {"a GPU with matrices", {.bits = PM_CAP_BIT(INT8DOT) | PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(F16) | PM_CAP_BIT(SUBGROUP),
                             .subgroup_min = 32, .subgroup_max = 32, .subgroup_default = 32, .shared_bytes = 49152,
                             .workgroup_max = 1024, .matrix_count = 1, .matrix = {{16, 16, 16}}}},
};

static pm_matmul matmul_of(uint32_t rows_max, bool deterministic)
{
    return (pm_matmul){.weight = {.type = PM_DTYPE_Q4_0, .n = 4096, .k = 4096}, .x_q8 = {.bytes = UINT64_MAX},
                       .rows_max = rows_max, .x_stride = 4096, .y_stride = 4096, .deterministic = deterministic};
}

static uint32_t variant_for(const pm_vk_caps *caps, uint32_t rows_max, bool deterministic)
{
    const pm_matmul m = matmul_of(rows_max, deterministic);
    uint32_t variant = 0;
    assert_int_equal(pm_matmul_pick(caps, &m, &variant), PM_OK);
    return variant;
}

static uint32_t weight_reads(uint32_t variant, uint32_t rows)
{
    const uint32_t held = pm_matmul_variant_rows(variant);
    return (rows + held - 1) / held;
}

static void padding_costs_at_most_a_quarter(void **state)
{
    (void)state;
    static const uint32_t most[] = {1, 3, 6, 16, 20, 64, 100, 256, 512, 2048};
    double worst = 1.0;
    uint32_t compared = 0;
    for (size_t d = 0; d < sizeof(devices) / sizeof(devices[0]); d++)
        for (size_t m = 0; m < sizeof(most) / sizeof(most[0]); m++)
            for (int deterministic = 0; deterministic <= 1; deterministic++)
                for (uint32_t before = 0, bucket = 1; bucket != 0; before = bucket, bucket = pm_bucket_next(bucket, most[m])) {
                    const uint32_t in_bucket = variant_for(&devices[d].caps, bucket, deterministic == 1);
                    for (uint32_t rows = before + 1; rows <= bucket; rows++, compared++) {
                        const uint32_t exact = variant_for(&devices[d].caps, rows, deterministic == 1);
                        const uint32_t got = pm_matmul_variant_computes(in_bucket, bucket, rows);
                        const uint32_t need = pm_matmul_variant_computes(exact, rows, rows);
                        worst = (double)got / need > worst ? (double)got / need : worst;
                        if (got * 4 > need * 5 || weight_reads(in_bucket, rows) > weight_reads(exact, rows))
                            fail_msg("%s: %u rows in the bucket of %u: %s computes %u rows, %s alone %u", devices[d].name,
                                     rows, bucket, pm_matmul_variant(in_bucket), got, pm_matmul_variant(exact), need);
                    }
                }
    printf("%u batches, at worst %.2f times the rows\n", compared, worst);
    assert_in_range(compared, 10000, UINT32_MAX);
}

static void buckets_are_few_and_less_than_half_empty(void **state)
{
    (void)state;
    for (uint32_t most = 1; most <= 4096; most++) {
        uint32_t count = 0, before = 0;
        for (uint32_t bucket = 1; bucket != 0; before = bucket, bucket = pm_bucket_next(bucket, most), count++) {
            assert_true(bucket > before && bucket <= 2 * before + (before == 0));
            if (bucket == most)
                assert_int_equal(pm_bucket_next(bucket, most), 0);
        }
        assert_int_equal(before, most);
        assert_in_range(count, 1, PM_BUCKETS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_costs_at_most_a_quarter),
        cmocka_unit_test(buckets_are_few_and_less_than_half_empty),
    };
    return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}

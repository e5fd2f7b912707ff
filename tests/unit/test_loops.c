/* test_loops.c - on a CPU driver no lane takes more turns of loops than lavapipe lets it
 * (op/loops.h), whatever the vocabulary, the row and the context: turns are counted here by
 * the loops that stand in the shaders, nothing unrolled that does not say so. */
#include "op/attention.h"
#include "op/lanes.h"
#include "op/matmul.h"

#include "sample_row.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const pm_vk_caps cpu = {.is_cpu = true, .workgroup_max = 1024, .shared_bytes = 32768, .subgroup_min = 8,
                               .subgroup_max = 8, .subgroup_default = 8};

/* A loop of n turns. */
static uint64_t loop(uint64_t n)
{
    return n + 1;
}

static uint64_t each_lane(uint64_t n, uint32_t lanes)
{
    return loop((n + lanes - 1) / lanes);
}

static uint64_t halving(uint32_t lanes)
{
    uint64_t turns = 1;
    for (; lanes > 1; lanes /= 2)
        turns++;
    return turns;
}

static void rows_are_read_to_their_end(void **state)
{
    (void)state;
    uint64_t most = 0;
    for (uint32_t n = 1; n < 4000000; n += n / 50 + 1) {
        const uint32_t lanes = pm_lanes_for(&cpu, n);
        const uint64_t rmsnorm = 3 * each_lane(n, lanes) + halving(lanes), argmax = each_lane(n, lanes) + halving(lanes);
        most = rmsnorm > most ? rmsnorm : most;
        assert_true(rmsnorm < PM_LOOPS_MAX && argmax < PM_LOOPS_MAX);
        assert_true(n > 200000 || lanes == 32);
    }
    printf("rmsnorm: %llu turns at most\n", (unsigned long long)most);
}

/* sample.comp at its longest. The few that were gathered are given up before they are ranked, and top_k and
 * top_p each go down all five levels, to a rank or to ties; or the few are ranked, twice, and do not reach
 * top_p, which is only without top_k; or they do, after a third time. */
static uint64_t sample_turns(uint32_t n, uint32_t lanes)
{
    enum { BINS = 512, PARTS = 32, GATHERED = 512 };
    const uint32_t groups = (n + 3) / 4, bounds = lanes * (lanes > 128 ? 2 : 4);
    const uint64_t own = (GATHERED + lanes - 1) / lanes, pass = each_lane(groups, lanes);
    const uint64_t best = pass + halving(lanes);
    const uint64_t few = loop((bounds + lanes - 1) / lanes) + (bounds + lanes - 1) / lanes * loop(bounds) +
                         pass + (pass - 1) * 2 * loop(4);
    const uint64_t few_rank = 2 * loop(own) + own * loop(GATHERED) + loop(PARTS);
    const uint64_t histogram = loop(BINS / lanes) + pass + (pass - 1) * loop(4) + loop(BINS / PARTS) + loop(PARTS) +
                               loop(PARTS) + loop(BINS);
    const uint64_t rank = pass + (pass - 1) * loop(4) + loop(own) + own * loop(GATHERED) + loop(GATHERED);
    uint64_t descend = 1;
    for (uint32_t count = n; count > 1; count = (count + PARTS - 1) / PARTS)
        descend += 1 + loop(((count + PARTS - 1) / PARTS + lanes / PARTS - 1) / (lanes / PARTS)) + 2 * loop(PARTS);
    const uint64_t ties = loop(19) + descend;
    const uint64_t stage = 1 + 5 * histogram + 6 + (rank > ties ? rank : ties), two = 2 * stage, one = 2 * few_rank + stage;
    return best + few + (two > one ? two : one) + few_rank + 1 + descend;
}

static void samples_are_drawn_from_all_tokens(void **state)
{
    (void)state;
    uint64_t most = 0;
    for (uint32_t step = 0; step <= 2000; step++) { /* 1 to all that may be, ends of the lanes' ranges included */
        const uint32_t n = step < 20 ? (1u << step) - (step == 19) : 1 + (uint32_t)((uint64_t)step * (PM_SAMPLE_VOCAB_MAX - 1) / 2000);
        const uint32_t lanes = pm_lanes_for_sample(&cpu, n);
        const uint64_t turns = sample_turns(n, lanes);
        const uint64_t logprobs = (PM_SAMPLE_TOP_MAX + 2) * (each_lane((n + 3) / 4, lanes) + halving(lanes) + 1);
        if (turns >= PM_LOOPS_MAX)
            fail_msg("%u tokens by %u lanes: %llu turns", n, lanes, (unsigned long long)turns);
        assert_true(logprobs < PM_LOOPS_MAX);
        most = turns > most ? turns : most;
    }
    printf("sample: %llu turns at most\n", (unsigned long long)most);
}

static uint64_t pieces_of(const pm_kv_layout *l) /* of 16 bytes, of a key */
{
    static const uint32_t elements[] = {[PM_KV_F16] = 8, [PM_KV_F32] = 4, [PM_KV_Q8_0] = 16, [PM_KV_Q4_0] = 32};
    return l->head_dim / elements[l->type];
}

/* Every context up to 128 K is served, alone and mixed, in any order of sums; and a row that decodes
 * reads no more than its turns allow. */
static void contexts_are_read_to_their_end(void **state)
{
    (void)state;
    static const uint32_t dims[] = {32, 64, 128, 256}, contexts[] = {1, 512, 4096, 32768, 70001, 131072};
    uint32_t splits_most = 0;
    for (uint32_t draw = 0; draw < 4 * 4 * 6 * 2 * 2 * 2; draw++) {
        const pm_attention a = {.layout = {(pm_kv_type)(draw % 4), 1 + draw / 64 % 2 * 7, dims[draw / 4 % 4], draw % 3 ? 16 : 32},
                                .heads = 8, .kv_len_max = contexts[draw / 16 % 6], .rows_max = draw % 2 ? 1 : 512,
                                .seqs_max = draw / 128 % 2 ? 1 : 64, .rows_per_seq_max = draw % 2 ? 1 : 512,
                                .out_stride = 8 * dims[draw / 4 % 4], .window = draw % 5 == 4 ? 4096 : 0,
                                .deterministic = draw / 32 % 2};
        for (uint32_t variant = 0; variant < 6; variant++) { /* decode, split, prefill; and by 64 lanes */
            const uint32_t lanes = variant < 3 ? 32 : 64;
            const char *lacks = pm_attention_variant_lacks(variant, &cpu, &a);
            if (lacks != NULL)
                fail_msg("%s, %u tokens of %s, heads of %u: %s", pm_attention_variant(variant), a.kv_len_max,
                         pm_kv_type_name(a.layout.type), a.layout.head_dim, lacks);
            const uint64_t one = (uint64_t)a.rows_max * a.heads * (a.layout.head_dim + 2) * 4;
            const uint64_t bytes = pm_attention_variant_scratch_bytes(&cpu, &a, variant), splits = bytes > 0 ? bytes / one : 1;
            const uint32_t seen = a.window > 0 && a.window < a.kv_len_max ? a.window : a.kv_len_max, page = a.layout.page_tokens;
            const uint64_t tile = 1 + loop(lanes / 4) + loop(pieces_of(&a.layout)) + loop(lanes / page) +
                                  lanes / page * loop(page);
            assert_true(bytes % one == 0 && splits <= 32);
            assert_true(seen / lanes / splits * tile < PM_LOOPS_MAX); /* one pass of it */
            splits_most = splits > splits_most ? (uint32_t)splits : splits_most;
            assert_true(variant % 3 == 1 || a.kv_len_max > 512 || splits == 1); /* short ones as ever */
        }
    }
    printf("attention: %u splits at most\n", splits_most);
    pm_vk_caps texels = cpu;
    texels.bits = PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(TEXELS) | PM_CAP_BIT(INT64);
    texels.texels_max = 1u << 27;
    uint32_t of_textures = 0;
    while (strcmp(pm_attention_variant(of_textures), "texels") != 0)
        of_textures++;
    for (uint32_t i = 0, length = 1; length < 1u << 20; i++, length += length / 9 + 1) { /* a row alone: it fits where its turns do */
        const uint32_t lanes = 4u << i % 3;
        texels.subgroup_min = texels.subgroup_max = texels.subgroup_default = lanes;
        const pm_attention a = {.layout = {PM_KV_F16, 1, 128, 16}, .heads = 1, .kv_len_max = length, .rows_max = 1, .seqs_max = 1,
                                .rows_per_seq_max = 1, .q_stride = 128, .out_stride = 128};
        const uint64_t turns = loop((length + 31) / 32) + (length + 31) / 32 * loop(128 / (4 * lanes));
        if (turns >= PM_LOOPS_MAX)
            assert_non_null(pm_attention_variant_lacks(of_textures, &texels, &a));
        else if (turns < PM_LOOPS_MAX - 64)
            assert_null(pm_attention_variant_lacks(of_textures, &texels, &a));
        pm_attention group = a;    /* eight heads of a KV head: where their loops would turn too often, fewer share a read */
        group.heads = 8;
        group.q_stride = group.out_stride = 1024;
        if (turns >= PM_LOOPS_MAX)
            assert_non_null(pm_attention_variant_lacks(of_textures, &texels, &group));
        else if (turns < PM_LOOPS_MAX - 64)
            assert_null(pm_attention_variant_lacks(of_textures, &texels, &group));
    }
    const pm_attention far = {.layout = {PM_KV_F32, 1, 256, 16}, .heads = 1, .kv_len_max = 1u << 24, .rows_max = 1,
                              .seqs_max = 1, .rows_per_seq_max = 1, .out_stride = 256};
    assert_non_null(pm_attention_variant_lacks(0, &cpu, &far)); /* and not in part */
    pm_vk_caps gpu = cpu;
    gpu.is_cpu = false;
    assert_null(pm_attention_variant_lacks(0, &gpu, &far));
}

/* A turn for each 32 weights of a row: the longest that is read to its end, and one that is refused. */
static void weight_rows_are_read_to_their_end(void **state)
{
    (void)state;
    pm_matmul m = {.weight = {.type = PM_DTYPE_F32, .n = 32, .k = (PM_LOOPS_MAX - 1) * 32}, .rows_max = 1,
                   .x_stride = (PM_LOOPS_MAX - 1) * 32, .y_stride = 32};
    uint32_t variant;
    assert_int_equal(pm_matmul_pick(&cpu, &m, &variant), PM_OK);
    m.weight.k += 1;
    m.x_stride += 32;
    const char *lacks = pm_matmul_variant_lacks(variant, &cpu, &m);
    assert_non_null(lacks);
    assert_non_null(strstr(lacks, PM_LOOPS_LACK));
    assert_int_equal(pm_matmul_pick(&cpu, &m, &variant), PM_ERR_UNSUP);
    pm_vk_caps gpu = cpu;
    gpu.is_cpu = false;
    assert_int_equal(pm_matmul_pick(&gpu, &m, &variant), PM_OK);

    /* Of textures, with two loops: of all blocks in one turn, or of the 8 that share their scales. */
    pm_vk_caps texels = cpu;
    texels.bits = PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(TEXELS);
    texels.texels_max = UINT32_MAX;
    uint32_t of_textures = 0;
    while (strcmp(pm_matmul_variant(of_textures), "texels16") != 0)
        of_textures++;
    uint64_t longest = 0;
    for (uint32_t eights = 1; eights < PM_LOOPS_MAX / 8; eights++) {
        m.weight.k = m.x_stride = eights * 256;
        if (!pm_matmul_variant_fits(of_textures, &texels, &m))
            continue;
        longest = eights;
        assert_true(loop(1) + loop(eights * 8) < PM_LOOPS_MAX && loop(eights) + eights * loop(8) < PM_LOOPS_MAX);
    }
    assert_true(loop(longest) + longest * loop(8) > PM_LOOPS_MAX - 16); /* and none that fits is refused */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_read_to_their_end),
                                       cmocka_unit_test(samples_are_drawn_from_all_tokens),
                                       cmocka_unit_test(contexts_are_read_to_their_end),
                                       cmocka_unit_test(weight_rows_are_read_to_their_end)};
    return cmocka_run_group_tests_name("loops", tests, NULL, NULL);
}

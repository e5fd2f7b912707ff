/* test_choice.c - choices of tuning: which one is found, what it changes in a pick and what it does not,
 * and the file that keeps them. */
#include "op/attention.h"
#include "op/choice_file.h"
#include "op/matmul.h"
#include "op/preset.h"
#include "op/variant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ok(call) do { if ((call) != PM_OK) fail_msg("%s: %s", #call, pm_error_message()); } while (0)
#define KEY "0000-1-2"
#define HEAD "pumice tuning 1\ndevice " KEY "\n"

/* A GPU with dot products and subgroups of 16 to 64. */
static pm_vk_caps gpu(void)
{
    return (pm_vk_caps){.bits = PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(INT8DOT), .subgroup_min = 16, .subgroup_max = 64,
                        .subgroup_default = 32, .shared_bytes = 65536, .workgroup_max = 1024};
}

static pm_matmul matmul(uint32_t rows, uint32_t n, uint32_t k)
{
    return (pm_matmul){.weight = {.type = PM_DTYPE_Q8_0, .n = n, .k = k}, .x_q8 = {.bytes = 1}, .rows_max = rows,
                       .x_stride = pm_row_stride(k), .y_stride = n};
}

static uint32_t variant(const char *name)
{
    uint32_t i = 0;
    while (strcmp(pm_matmul_variant(i), name) != 0)
        i++;
    return i;
}

static pm_choice choice(const char *name, uint32_t n, uint32_t k, uint32_t first, uint32_t last)
{
    return (pm_choice){.op = PM_CHOICE_MATMUL, .type = PM_DTYPE_Q8_0, .shape = {n, k}, .rows_first = first,
                       .rows_last = last, .variant = variant(name), .lanes = 64, .slices = 4};
}

static const char *picked(const pm_vk_caps *caps, const pm_matmul *m)
{
    uint32_t index = 0;
    ok(pm_matmul_pick(caps, m, &index));
    return pm_matmul_variant(index);
}

static void add(pm_choices *choices, pm_choice c)
{
    ok(pm_choices_add(choices, &c));
}

/* ------------------------------------------------------------------- find */

static void the_shape_goes_before_every_shape(void **state)
{
    (void)state;
    pm_choices all = {0};
    pm_choice key = choice("rows1", 512, 256, 5, 5);
    assert_null(pm_choices_find(NULL, &key));
    assert_null(pm_choices_find(&all, &key));
    add(&all, choice("rows4", 0, 0, 1, 8));
    assert_int_equal(pm_choices_find(&all, &key)->variant, variant("rows4"));
    add(&all, choice("rows8", 512, 256, 3, 5));
    add(&all, choice("rows2", 512, 128, 1, 2048));
    assert_int_equal(pm_choices_find(&all, &key)->variant, variant("rows8"));
    key.rows_first = 6; /* past its rows */
    assert_int_equal(pm_choices_find(&all, &key)->variant, variant("rows4"));
    key.rows_first = 9;
    assert_null(pm_choices_find(&all, &key));
    key.rows_first = 3;
    key.type = PM_DTYPE_Q4_0;
    assert_null(pm_choices_find(&all, &key));
    pm_choices_finish(&all);
}

static void a_newer_choice_takes_the_place_of_what_overlaps(void **state)
{
    (void)state;
    pm_choices all = {0};
    add(&all, choice("rows1", 512, 256, 1, 1));
    add(&all, choice("rows2", 512, 256, 2, 4));
    add(&all, choice("rows4", 512, 256, 5, 8));
    add(&all, choice("rows8", 512, 256, 4, 6));
    assert_int_equal(all.count, 2);
    const pm_choice key = choice("rows1", 512, 256, 1, 1);
    pm_choices_drop(&all, &key);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.list[0].variant, variant("rows8"));
    pm_choices_finish(&all);
    for (uint32_t i = 0; i < PM_CHOICES_MAX; i++)
        add(&all, choice("rows1", i + 1, 256, 1, 1));
    const pm_choice more = choice("rows1", PM_CHOICES_MAX + 1, 256, 1, 1);
    assert_int_equal(pm_choices_add(&all, &more), PM_ERR_FULL);
    pm_choices_finish(&all);
}

/* ------------------------------------------------------------------- pick */

static void a_choice_changes_variant_and_cut(void **state)
{
    (void)state;
    pm_vk_caps caps = gpu();
    pm_choices all = {0};
    const pm_matmul m = matmul(1, 4096, 4096), other = matmul(1, 4096, 2048);
    uint32_t lanes, slices;
    assert_string_equal(picked(&caps, &m), "dot1");
    add(&all, choice("rows2", 4096, 4096, 1, 1));
    caps.choices = &all;
    assert_string_equal(picked(&caps, &m), "rows2");
    assert_string_equal(picked(&caps, &other), "dot1");
    pm_matmul_variant_split(variant("rows2"), &caps, &m, &lanes, &slices);
    assert_int_equal(lanes, 64);
    assert_int_equal(slices, 4);
    pm_matmul_variant_split(variant("rows4"), &caps, &m, &lanes, &slices); /* another variant is cut as ever */
    assert_int_equal(lanes, 32);
    assert_int_equal(slices, 8);
    pm_matmul own = m; /* the caller's own goes before */
    own.lanes = 16;
    own.slices = 2;
    pm_matmul_variant_split(variant("rows2"), &caps, &own, &lanes, &slices);
    assert_int_equal(lanes, 16);
    assert_int_equal(slices, 2);
    pm_choices_finish(&all);
}

static void a_cut_that_the_device_cannot_have_is_its_own(void **state)
{
    (void)state;
    static const uint32_t cuts[][2] = {{128, 1}, {8, 1}, {64, 8}, {48, 3}, {0, 0}};
    pm_vk_caps caps = gpu();
    const pm_matmul m = matmul(1, 4096, 4096);
    uint32_t lanes, slices, usual_lanes, usual_slices;
    pm_matmul_variant_split(variant("rows2"), &caps, &m, &usual_lanes, &usual_slices);
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        pm_choices all = {0};
        pm_choice c = choice("rows2", 4096, 4096, 1, 1);
        c.lanes = cuts[i][0];
        c.slices = cuts[i][1];
        add(&all, c);
        caps.choices = &all;
        pm_matmul_variant_split(variant("rows2"), &caps, &m, &lanes, &slices);
        assert_true(lanes >= caps.subgroup_min && lanes <= caps.subgroup_max && (lanes & (lanes - 1)) == 0);
        assert_true(slices >= 1 && slices <= 8 && lanes * slices <= 256);
        if (i == 4)
            assert_true(lanes == usual_lanes && slices == usual_slices);
        pm_choices_finish(&all);
    }
}

/* Textures on a CPU driver; x by address where that is one load; whatever the rows. */
static void uniform_loads_decide_how_x_is_read(void **state)
{
    (void)state;
    static const struct { const char *driver; bool has; } drivers[] = {
        {"llvmpipe Mesa 22.3.6 (LLVM 15.0.6)", false}, {"llvmpipe Mesa 25.0.7-2+deb13u1 (LLVM 19.1.7)", false},
        {"llvmpipe Mesa 25.1.0 (LLVM 20.1.2)", true},  {"llvmpipe Mesa 26.1.6-1~bpo13+1 (LLVM 19.1.7)", true},
        {"llvmpipe Mesa 26.0.0-devel (git-0)", true},  {"radv Mesa 26.1.6 (LLVM 19.1.7)", false},
        {"SwiftShader driver ", false},                {"llvmpipe ", false},
    };
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        assert_int_equal(pm_vk_loads_uniform(drivers[i].driver), drivers[i].has);
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        assert_int_equal(pm_vk_unpacks_soft(drivers[i].driver, false), strncmp(drivers[i].driver, "llvmpipe ", 9) == 0);
        assert_false(pm_vk_unpacks_soft(drivers[i].driver, true));
    }
    for (int uniform = 0; uniform <= 1; uniform++) {
        const pm_vk_caps caps = {.bits = PM_CAP_BIT(SUBGROUP) | PM_CAP_BIT(TEXELS), .texels_max = 1u << 27, .is_cpu = true,
                                 .subgroup_min = 8, .subgroup_max = 8, .subgroup_default = 8, .shared_bytes = 32768,
                                 .workgroup_max = 1024, .uniform_loads = uniform == 1};
        for (uint32_t rows = 1; rows <= 64; rows++) {
            pm_matmul m = matmul(rows, 4096, 4096);
            m.deterministic = rows % 2 == 0;
            assert_string_equal(picked(&caps, &m), uniform ? "texels24_uniform" : "texels16");
        }
    }
}

static void a_choice_gives_way(void **state)
{
    (void)state;
    pm_vk_caps caps = gpu();
    pm_choices all = {0};
    pm_matmul m = matmul(4, 4096, 4096);
    add(&all, choice("rows4", 4096, 4096, 1, 64));
    caps.choices = &all;
    assert_string_equal(picked(&caps, &m), "rows4");
    m.deterministic = true; /* which may not depend on the rows */
    assert_string_equal(picked(&caps, &m), "dot4");
    m.deterministic = false;
    assert_int_equal(setenv("PUMICE_VARIANT", "matmul:rows16", 1), 0);
    assert_string_equal(picked(&caps, &m), "rows16");
    assert_int_equal(unsetenv("PUMICE_VARIANT"), 0);
    caps.off[caps.off_count++] = /* it is wrong here */
        (uint32_t)PM_VARIANTS_MATMUL << 24 | PM_DTYPE_Q8_0 << 16 | variant("rows4");
    assert_string_equal(picked(&caps, &m), "dot4");
    caps.off_count = 0;
    caps.shared_bytes = 1024; /* it does not fit */
    uint32_t index;
    assert_int_equal(pm_matmul_pick(&caps, &m, &index), PM_ERR_UNSUP);
    pm_choices_finish(&all);
}

static void masked_dot_products_are_not_chosen(void **state)
{
    (void)state;
    pm_vk_caps caps = gpu();
    pm_choices all = {0};
    pm_matmul m = matmul(4, 4096, 4096);
    caps.is_cpu = true;
    m.x_q8.bytes = pm_matmul_x_q8_bytes(&caps, 4, 4096);
    assert_int_equal(m.x_q8.bytes, 0);
    assert_string_equal(picked(&caps, &m), "rows4");
    add(&all, choice("dot4", 4096, 4096, 1, 64));
    caps.choices = &all;
    m.x_q8.bytes = pm_matmul_x_q8_bytes(&caps, 4, 4096);
    assert_int_equal(m.x_q8.bytes, pm_quantise_bytes(4, 4096));
    assert_string_equal(picked(&caps, &m), "dot4");
    caps.bits &= ~PM_CAP_BIT(INT8DOT);
    assert_int_equal(pm_matmul_x_q8_bytes(&caps, 4, 4096), 0);
    assert_string_equal(picked(&caps, &m), "rows4");
    pm_choices_finish(&all);
}

static void attention_takes_its_variant_and_splits(void **state)
{
    (void)state;
    pm_vk_caps caps = gpu();
    pm_choices all = {0};
    pm_attention a = {.layout = {.type = PM_KV_F16, .kv_heads = 8, .head_dim = 128, .page_tokens = 16}, .rows_max = 1,
                      .seqs_max = 1, .rows_per_seq_max = 1, .kv_len_max = 4096, .heads = 32, .q_stride = 6144,
                      .out_stride = 4096};
    uint32_t index;
    ok(pm_attention_pick(&caps, &a, &index));
    assert_string_equal(pm_attention_variant(index), "split");
    const uint32_t split = index, usual = pm_attention_variant_splits(index, &caps, &a);
    assert_true(usual > 8);
    pm_choice c = {.op = PM_CHOICE_ATTENTION, .type = PM_KV_F16, .shape = {32, 8, 128}, .decode = true, .rows_first = 1,
                   .rows_last = 1, .variant = split, .splits = 8};
    add(&all, c);
    caps.choices = &all;
    assert_int_equal(pm_attention_variant_splits(split, &caps, &a), 8);
    const uint64_t scratch = pm_attention_scratch_bytes(&caps, &a);
    assert_int_equal(scratch, 32ull * 8 * 130 * 4);
    a.deterministic = true;
    assert_int_not_equal(pm_attention_variant_splits(split, &caps, &a), 8);
    a.deterministic = false;
    c.variant = 0; /* decode */
    add(&all, c);
    ok(pm_attention_pick(&caps, &a, &index));
    assert_string_equal(pm_attention_variant(index), "decode");
    a.rows_per_seq_max = 2; /* a prompt */
    ok(pm_attention_pick(&caps, &a, &index));
    assert_string_equal(pm_attention_variant(index), "prefill");
    pm_choices_finish(&all);
}

/* A workgroup of 32 lanes would leave half of a subgroup idle where there are none of 32; all variants of a device add in
 * one order. */
static void attention_fills_subgroups_of_64(void **state)
{
    (void)state;
    static const struct { uint32_t subgroup_min, rows, per_seq; const char *want; } cases[] = {
        {32, 1, 1, "split"},   {32, 1024, 1, "decode"},   {32, 64, 64, "prefill"},
        {64, 1, 1, "split64"}, {64, 1024, 1, "decode64"}, {64, 64, 64, "prefill64"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int deterministic = 0; deterministic < 2; deterministic++) {
            const pm_attention a = {.layout = {.type = PM_KV_F16, .kv_heads = 8, .head_dim = 128, .page_tokens = 16},
                                    .rows_max = cases[i].rows, .seqs_max = 1024, .rows_per_seq_max = cases[i].per_seq,
                                    .kv_len_max = 4096, .heads = 32, .q_stride = 6144, .out_stride = 4096,
                                    .deterministic = deterministic};
            pm_vk_caps caps = gpu();
            uint32_t index;
            caps.subgroup_min = cases[i].subgroup_min;
            caps.subgroup_max = caps.subgroup_default = 64;
            ok(pm_attention_pick(&caps, &a, &index));
            assert_string_equal(pm_attention_variant(index), cases[i].want);
        }
}

/* ---------------------------------------------------------------- presets */

static const pm_device_info radv = {.name = "AMD Radeon RX 7900 XTX (RADV NAVI31)", .driver = "radv Mesa 25.0.7-2"};

static const pm_device_info radv_rdna4 = {.name = "AMD Radeon RX 9070 XT (RADV GFX1201)", .driver = "radv Mesa 25.2.0"};

/* RDNA 3, as RADV has it. */
static pm_vk_caps rdna3(void)
{
    pm_vk_caps caps = gpu();
    caps.bits |= PM_CAP_BIT(F16) | PM_CAP_BIT(COOPMAT);
    caps.subgroup_min = 32;
    caps.subgroup_default = 64;
    caps.matrix_count = 1;
    caps.matrix[0] = (pm_vk_matrix){16, 16, 16};
    return caps;
}

static pm_matmul matmul_of(pm_dtype type, uint32_t rows)
{
    pm_matmul m = matmul(rows, 4096, 4096);
    m.weight.type = type;
    return m;
}

static void a_family_has_its_presets(void **state)
{
    (void)state;
    static const struct { pm_dtype type; uint32_t rows; const char *usual, *preset; } cases[] = {
        {PM_DTYPE_IQ4_NL, 1, "dot1", "rows1"}, {PM_DTYPE_IQ4_XS, 2, "dot2", "rows2"}, {PM_DTYPE_MXFP4, 1, "dot1", "rows1"},
        {PM_DTYPE_MXFP4, 3, "dot4", "dot4"},   {PM_DTYPE_Q4_0, 1, "dot1", "dot1"},
    };
    pm_vk_caps caps = rdna3();
    pm_choices all = {0};
    assert_non_null(pm_preset_family(&radv, &caps));
    ok(pm_presets_append(&radv, &caps, &all));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pm_matmul m = matmul_of(cases[i].type, cases[i].rows);
        uint32_t lanes, slices, usual_lanes, usual_slices;
        caps.choices = NULL;
        assert_string_equal(picked(&caps, &m), cases[i].usual);
        pm_matmul_variant_split(variant(cases[i].preset), &caps, &m, &usual_lanes, &usual_slices);
        caps.choices = &all;
        assert_string_equal(picked(&caps, &m), cases[i].preset);
        pm_matmul_variant_split(variant(cases[i].preset), &caps, &m, &lanes, &slices); /* cut as ever */
        assert_true(lanes == usual_lanes && slices == usual_slices);
        m.deterministic = true;
        assert_true(strncmp(picked(&caps, &m), "dot", 3) == 0);
    }
    pm_choices_finish(&all);
}

/* The preset's variant, or "". */
static const char *preset_of(const pm_choices *all, pm_dtype type, uint32_t rows)
{
    const pm_choice key = {.op = PM_CHOICE_MATMUL, .type = type, .shape = {4096, 4096}, .rows_first = rows};
    const pm_choice *found = pm_choices_find(all, &key);
    return found != NULL ? pm_matmul_variant(found->variant) : "";
}

/* Where cooperative matrices are the usual choice, which this build may lack; on RDNA 4 they are twice as fast. */
static void bytes_go_before_matrices(void **state)
{
    (void)state;
    static const struct { pm_dtype type; uint32_t rows; const char *rdna3, *rdna4; } cases[] = {
        {PM_DTYPE_Q4_0, 15, "", ""},           {PM_DTYPE_Q4_0, 16, "dot16", "dot16"}, {PM_DTYPE_Q4_K, 32, "dot32", "dot32"},
        {PM_DTYPE_Q6_K, 64, "dot64", "dot64"}, {PM_DTYPE_Q8_0, 65, "dot64", ""},      {PM_DTYPE_IQ1_S, 2048, "dot64", ""},
        {PM_DTYPE_Q2_K, 64, "dot64", "dot64"}, {PM_DTYPE_Q2_K, 512, "", ""},          {PM_DTYPE_F16, 64, "", ""},
    };
    const pm_vk_caps caps = rdna3();
    pm_choices rdna3_presets = {0}, rdna4_presets = {0};
    assert_string_not_equal(pm_preset_family(&radv, &caps), pm_preset_family(&radv_rdna4, &caps));
    ok(pm_presets_append(&radv, &caps, &rdna3_presets));
    ok(pm_presets_append(&radv_rdna4, &caps, &rdna4_presets));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(preset_of(&rdna3_presets, cases[i].type, cases[i].rows), cases[i].rdna3);
        assert_string_equal(preset_of(&rdna4_presets, cases[i].type, cases[i].rows), cases[i].rdna4);
    }
    pm_choices_finish(&rdna3_presets);
    pm_choices_finish(&rdna4_presets);
}

static void other_devices_have_none(void **state)
{
    (void)state;
    pm_vk_caps others[5];
    for (size_t i = 0; i < 5; i++)
        others[i] = rdna3();
    others[0].bits &= ~PM_CAP_BIT(COOPMAT); /* navi21; or masked */
    others[1].bits &= ~PM_CAP_BIT(INT8DOT);
    others[2].subgroup_max = others[2].subgroup_min = 32;
    others[3].subgroup_min = 64;
    others[4].is_cpu = true;
    for (size_t i = 0; i < 5; i++) {
        pm_choices all = {0};
        ok(pm_presets_append(&radv, &others[i], &all));
        assert_int_equal(all.count, 0);
        assert_null(pm_preset_family(&radv, &others[i]));
    }
    const pm_vk_caps caps = rdna3(); /* what another compiler makes of the kernels is not known */
    static const char *const drivers[] = {"AMD proprietary driver 24.10", "NVIDIA 570.86", "", "amdvlk radv "};
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        pm_device_info info = radv;
        snprintf(info.driver, sizeof(info.driver), "%s", drivers[i]);
        assert_null(pm_preset_family(&info, &caps));
    }
}

static void what_was_tuned_goes_before_a_preset(void **state)
{
    (void)state;
    pm_vk_caps caps = rdna3();
    pm_choices all = {0};
    pm_choice tuned = choice("rows4", 0, 0, 1, 1);
    tuned.type = PM_DTYPE_IQ4_NL;
    add(&all, tuned);
    ok(pm_presets_append(&radv, &caps, &all));
    caps.choices = &all;
    const pm_matmul one = matmul_of(PM_DTYPE_IQ4_NL, 1), two = matmul_of(PM_DTYPE_IQ4_NL, 2);
    assert_string_equal(picked(&caps, &one), "rows4");
    assert_string_equal(picked(&caps, &two), "rows2"); /* which was not */
    pm_choices_finish(&all);
}

static void a_preset_that_does_not_fit_is_not_used(void **state)
{
    (void)state;
    pm_vk_caps caps = rdna3();
    pm_choices all = {0};
    const pm_matmul m = matmul_of(PM_DTYPE_IQ4_NL, 1);
    ok(pm_presets_append(&radv, &caps, &all));
    caps.choices = &all;
    caps.off[caps.off_count++] = /* it is wrong here */
        (uint32_t)PM_VARIANTS_MATMUL << 24 | PM_DTYPE_IQ4_NL << 16 | variant("rows1");
    assert_string_equal(picked(&caps, &m), "dot1");
    caps.off_count = 0;
    for (uint32_t i = 0; i < all.count; i++) /* the device lacks what it needs */
        all.list[i].variant = variant("coopmat2_wg");
    assert_string_equal(picked(&caps, &m), "dot1");
    pm_choices_finish(&all);
}

/* ------------------------------------------------------------------- file */

static const char whole[] = HEAD "matmul q8_0 2304x768 rows 1-1: rows8 lanes 32 slices 4\n"
                                 "matmul q4_k 0x0 rows 129-2048: coopmat64 lanes 0 slices 0\n"
                                 "attention f16 12/4x64 decode rows 1-2: split splits 8\n"
                                 "attention q8_0 0/0x0 prompt rows 9-16: prefill splits 0\n"
                                 "step 768x2048x12 rows 1024\n";

static void what_is_printed_is_read(void **state)
{
    (void)state;
    pm_choices all = {0}, again = {0};
    pm_str text = {0};
    ok(pm_choices_parse(whole, strlen(whole), KEY, &all));
    assert_int_equal(all.count, 5);
    assert_int_equal(all.list[0].slices, 4);
    assert_true(all.list[2].decode && !all.list[3].decode);
    assert_int_equal(all.list[4].rows_last, 1024);
    ok(pm_choices_print(&all, KEY, &text));
    assert_string_equal(text.data, whole);
    ok(pm_choices_parse(text.data, text.len, KEY, &again));
    assert_int_equal(again.count, all.count);
    assert_memory_equal(again.list, all.list, all.count * sizeof(*all.list));
    pm_choices_finish(&again);
    pm_choices_finish(&all);
    pm_str_finish(&text);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "line 1: '', expected 'pumice tuning 1'"},
        {"pumice tuning 2\n", "line 1: 'pumice tuning 2', expected 'pumice tuning 1'"},
        {"pumice tuning 1", "expected 'pumice tuning 1'"},
        {"pumice tuning 1\ndevice 0000-1-3\n", "expected 'device " KEY "'"},
        {"pumice tuning 1\ndevice " KEY "0\n", "expected 'device " KEY "'"},
        {HEAD "rmsnorm\n", "line 3: 'rmsnorm', expected matmul, attention or step"},
        {HEAD "\n", "line 3: '', expected matmul"},
        {HEAD "matmul q9_0 1x32 rows 1-1: rows1 lanes 0 slices 0\n", "expected a type of weights"},
        {HEAD "matmul i8 1x32 rows 1-1: rows1 lanes 0 slices 0\n", "expected a type of weights"},
        {HEAD "matmul q8_0 0x32 rows 1-1: rows1 lanes 0 slices 0\n", "expected a number from 0 to 0"},
        {HEAD "matmul q8_0 32x0 rows 1-1: rows1 lanes 0 slices 0\n", "expected a number from 1 to"},
        {HEAD "matmul q8_0 99999999999999999999x1 rows 1-1: rows1 lanes 0 slices 0\n", "expected a number from 0 to"},
        {HEAD "matmul q8_0 -1x1 rows 1-1: rows1 lanes 0 slices 0\n", "expected a number"},
        {HEAD "matmul q8_0 1x32 rows 0-1: rows1 lanes 0 slices 0\n", "expected a number from 1 to 2048"},
        {HEAD "matmul q8_0 1x32 rows 2-1: rows1 lanes 0 slices 0\n", "expected a number from 2 to 2048"},
        {HEAD "matmul q8_0 1x32 rows 1-2049: rows1 lanes 0 slices 0\n", "expected a number from 1 to 2048"},
        {HEAD "matmul q8_0 1x32 rows 1-1: rows3 lanes 0 slices 0\n",
         "'rows3 lanes 0 slices 0', expected a variant of matmul"},
        {HEAD "matmul q8_0 1x32 rows 1-1: split lanes 0 slices 0\n", "expected a variant of matmul"},
        {HEAD "matmul q8_0 1x32 rows 1-1: rows1 lanes 24 slices 0\n", "'24 slices 0', expected 0 or a power of two"},
        {HEAD "matmul q8_0 1x32 rows 1-1: rows1 lanes 256 slices 0\n", "expected a number from 0 to 128"},
        {HEAD "matmul q8_0 1x32 rows 1-1: rows1 lanes 32 slices 16\n", "expected a number from 0 to 8"},
        {HEAD "matmul q8_0 1x32 rows 1-1: rows1 lanes 32 slices 8 \n", "expected the end of the line"},
        {HEAD "matmul q8_0 1x32 rows 1-1: rows1 lanes 32 slices 8",
         "line 3: 'matmul q8_0 1x32 rows 1-1: rows1', expected a line that ends"},
        {HEAD "attention f16 4/8x64 decode rows 1-1: split splits 8\n", "expected a number from 1 to 4"},
        {HEAD "attention f16 4/4x512 decode rows 1-1: split splits 8\n", "expected a number from 1 to 256"},
        {HEAD "attention f16 4/4x64 rows 1-1: split splits 8\n", "expected ' decode' or ' prompt'"},
        {HEAD "attention f16 4/4x64 decode rows 1-1: split splits 33\n", "expected a number from 0 to 32"},
        {HEAD "step 1x1x1 rows 4096\n", "expected a number from 1 to 2048"},
        {HEAD "step 0x1x1 rows 512\n", "expected a number from 1 to"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pm_choices all = {.count = 7};
        assert_int_equal(pm_choices_parse(bad[i].text, strlen(bad[i].text), KEY, &all), PM_ERR_FORMAT);
        if (strstr(pm_error_message(), bad[i].says) == NULL)
            fail_msg("'%s' is not in '%s'", bad[i].says, pm_error_message());
        assert_int_equal(all.count, 7); /* untouched */
    }
}

static void every_cut_of_a_file_is_refused_or_shorter(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < strlen(whole); bytes++) {
        pm_choices all = {0};
        const pm_result result = pm_choices_parse(whole, bytes, KEY, &all);
        assert_true(bytes > 0 && whole[bytes - 1] == '\n' && bytes >= strlen(HEAD) ? result == PM_OK
                                                                               : result == PM_ERR_FORMAT);
        pm_choices_finish(&all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shape_goes_before_every_shape),
        cmocka_unit_test(a_newer_choice_takes_the_place_of_what_overlaps),
        cmocka_unit_test(a_choice_changes_variant_and_cut),
        cmocka_unit_test(a_cut_that_the_device_cannot_have_is_its_own),
        cmocka_unit_test(uniform_loads_decide_how_x_is_read),
        cmocka_unit_test(a_choice_gives_way),
        cmocka_unit_test(masked_dot_products_are_not_chosen),
        cmocka_unit_test(attention_takes_its_variant_and_splits),
        cmocka_unit_test(attention_fills_subgroups_of_64),
        cmocka_unit_test(a_family_has_its_presets),
        cmocka_unit_test(bytes_go_before_matrices),
        cmocka_unit_test(other_devices_have_none),
        cmocka_unit_test(what_was_tuned_goes_before_a_preset),
        cmocka_unit_test(a_preset_that_does_not_fit_is_not_used),
        cmocka_unit_test(what_is_printed_is_read),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(every_cut_of_a_file_is_refused_or_shorter),
    };
    return cmocka_run_group_tests_name("choice", tests, NULL, NULL);
}

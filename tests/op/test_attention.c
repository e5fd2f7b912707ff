/* test_attention.c - RoPE, KV pages and attention together and apart, against double: shapes, contexts,
 * batches, inputs, and what must not change a bit. */
#include "op/attention_check.h"

#include "base/half.h"
#include "op/rope_kv.h"
#include "ref/attention.h"
#include "ref/kv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TYPES 4u

static bool takes(pm_kv_type type, uint32_t head_dim)
{
    return !pm_kv_type_has_scales(type) || head_dim % 32 == 0;
}

/* Each head_dim with types, a group and a page size drawn by the seed; heads of 64 meet all
 * types in the tests that follow. */
static void head_shapes_and_groups(void **state)
{
    (void)state;
    static const uint32_t dims[] = {16, 24, 80, 96, 128, 256}, groups[] = {1, 2, 3, 4, 6, 8, 16};
    for (uint32_t i = 0; i < sizeof(dims) / sizeof(dims[0]); i++)
        for (uint32_t type = 0; type < TYPES; type++) {
            if (!takes(type, dims[i]) || (!is_full() && (type + i + input_index(harness_seed(), 500 + i / 3, 2)) % 2 == 0))
                continue;
            const uint32_t draw = i * TYPES + type, group = groups[input_index(harness_seed(), draw, 7)];
            const uint32_t kv_heads = group < 8 ? 1 + input_index(harness_seed(), 1000 + draw, 3) : 1;
            const attention_case c = {.heads = group * kv_heads, .kv_heads = kv_heads, .head_dim = dims[i],
                                      .page_tokens = draw % 3 ? 16 : 32, .seqs = 2, .past = {37, 0}, .fresh = {1, 5},
                                      .rotary_dim = draw % 4 == 0   ? 0
                                                    : draw % 4 == 1 ? dims[i] / 2
                                                                    : dims[i],
                                      .type = type, .neox = draw % 2};
            attention_check(&c);
        }
    compare_report("attention, head shapes");
}

static attention_case usual(pm_kv_type type)
{
    return (attention_case){.heads = 4, .kv_heads = 2, .head_dim = 64, .page_tokens = 16, .seqs = 1, .fresh = {1},
                            .rotary_dim = 64, .type = type, .both = true};
}

/* As many query heads for each of K and V as models have, and those between: one to 16. */
static void every_group_size(void **state)
{
    (void)state;
    for (uint32_t group = 1; group <= 16; group++) {
        attention_case c = usual((pm_kv_type)((group + harness_seed()) % TYPES));
        c.kv_heads = group <= 8 ? 2 : 1;
        c.heads = group * c.kv_heads;
        c.seqs = 2;
        memcpy(c.past, (uint32_t[]){41, 3}, 2 * sizeof(uint32_t));
        memcpy(c.fresh, (uint32_t[]){1, 6}, 2 * sizeof(uint32_t));
        c.both = group % 4 == 1;
        attention_check(&c);
    }
    compare_report("attention, group sizes");
}

/* Channels 100 times larger than the others, of Q, and of Q and K: one key has nearly all the weight. */
static void outlier_channels_of_q(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++)
        for (uint32_t i = 0; i < 2; i++) {
            attention_case c = usual(type);
            c.past[0] = 60;
            c.fresh[0] = 3;
            c.q_kind = INPUT_OUTLIERS;
            c.kind = i == 0 ? INPUT_NORMAL : INPUT_OUTLIERS;
            attention_check(&c);
        }
    compare_report("attention, outliers of q");
}

static void contexts_around_the_page(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {1, 15, 16, 17, 32, 33, 255, 257, 1000};
    for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (uint32_t type = 0; type < TYPES; type++) {
            attention_case c = usual(type);
            c.past[0] = lengths[i] - 1;
            attention_check(&c);
        }
    compare_report("attention, contexts");
}

static void mixed_batches_and_windows(void **state)
{
    (void)state;
    static const uint32_t windows[] = {0, 1, 20, 100, 4096};
    for (uint32_t type = 0; type < TYPES; type++)
        for (uint32_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
            attention_case c = usual(type);
            c.seqs = 5;
            memcpy(c.past, (uint32_t[]){290, 0, 33, 5, 64}, 5 * sizeof(uint32_t));
            memcpy(c.fresh, (uint32_t[]){1, 40, 1, 17, 1}, 5 * sizeof(uint32_t));
            c.window = windows[i];
            c.every = type == PM_KV_F16; /* mutants.txt has faults of all variants */
            attention_check(&c);
        }
    compare_report("attention, mixed batches");
}

/* Prompt chunks of as many rows as batches have, behind one that decodes. */
static void chunks_of_every_row_count(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,  12,  13,  14,
                                      15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512};
    for (uint32_t i = 0; i < COUNT_OF(counts); i++) {
        attention_case c = usual((pm_kv_type)((i + harness_seed()) % TYPES));
        c.seqs = 2;
        c.past[0] = 18 + i;
        c.fresh[0] = 1;
        c.past[1] = pick(40);
        c.fresh[1] = counts[i];
        c.both = counts[i] < 16;
        attention_check(&c);
    }
    compare_report("attention, row counts");
}

static void shared_pages(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        c.seqs = 3;
        c.shared_pages = 3;
        memcpy(c.past, (uint32_t[]){50, 48, 100}, 3 * sizeof(uint32_t));
        memcpy(c.fresh, (uint32_t[]){3, 1, 9}, 3 * sizeof(uint32_t));
        attention_check(&c);
    }
    compare_report("attention, shared pages");
}

/* Each kind unrotated, so that all of the pages is to the bit, and rotated; and scores so
 * large that one key has all the weight. */
static void kinds_of_input(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++)
        for (int kind = 0; kind < INPUT_KINDS; kind++)
            for (int rotated = 0; rotated < 2; rotated++) {
                attention_case c = usual(type);
                c.past[0] = 60;
                c.fresh[0] = 3;
                c.kind = kind;
                c.rotary_dim = rotated ? 64 : 0;
                c.q_scale = kind == INPUT_LARGE ? 1e-5f : kind == INPUT_SCALES ? 1e-9f : kind == INPUT_TINY ? 1e37f
                            : rotated             ? 30.0f : 1.0f;
                if ((kind == INPUT_LARGE && rotated) || (kind == INPUT_SCALES && type != PM_KV_F32))
                    continue; /* a rotated pair of 65504, and 2^30, are past f16 */
                attention_check(&c);
            }
    compare_report("attention, kinds of input");
}

static void long_contexts(void **state)
{
    (void)state;
    const uint32_t draw = input_index(harness_seed(), 77, TYPES);
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        c.heads = 2;
        c.kv_heads = 1;
        c.past[0] = type == draw ? 33000 : 4095; /* rows of 4,096 and 4,097 tokens */
        c.fresh[0] = 2;
        attention_check(&c);
    }
    compare_report("attention, 4,097 and 33,002 tokens");
}

/* More tokens than a lane may count in loops on lavapipe (op/loops.h): one row behind 70,001 of them, alone and with
 * eight heads of 128 that share a KV head, and eight rows of one workgroup, each behind its own 6,000. */
static void contexts_that_outlast_a_drivers_loops(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        attention_case c = usual(i == 1 ? PM_KV_F32 : PM_KV_F16);
        c.heads = i == 2 ? 8 : 1;
        c.kv_heads = 1;
        c.seqs = i == 1 ? CASE_SEQS : 1;
        c.head_dim = c.rotary_dim = i == 0 ? 64 : 128;
        for (uint32_t s = 0; s < c.seqs; s++) {
            c.past[s] = i == 1 ? 6000 - 100 * s : 70000;
            c.fresh[s] = 1;
        }
        attention_check(&c);
    }
    compare_report("attention, 70,001 tokens, and eight sequences of 6,000");
}

/* A sequence whose pages lie at both ends of a pool of more than 2^32 bytes, by all variants. Keys are not
 * rotated, so that what the pages hold is known. */
static void pages_past_4_gib(void **state)
{
    (void)state;
    enum { TOKENS = 80, DIM = 64, KV = 2, HEADS = 4, WIDTH = (HEADS + 2 * KV) * DIM };
    const pm_kv_layout layout = {PM_KV_F32, KV, DIM, 32};
    const uint64_t page_bytes = pm_kv_page_bytes(&layout);
    const uint32_t pages = (uint32_t)((UINT64_C(1) << 32) / page_bytes) + 9, zero[TOKENS] = {0};
    const uint32_t table[] = {pages - 1, 2, pages - 9}, tokens = TOKENS, one = 1, starts[] = {0, 1};
    far_memory kv;
    if (!far_make(&kv, pages * page_bytes, "attention past 4 GiB"))
        skip();
    uint32_t slots[TOKENS];
    float *qkv = malloc(TOKENS * WIDTH * 4), *k = malloc(2 * TOKENS * KV * DIM * 4), *v = k + TOKENS * KV * DIM;
    assert_true(qkv != NULL && k != NULL);
    input_fill(qkv, TOKENS * WIDTH, INPUT_NORMAL, harness_seed());
    for (uint32_t t = 0; t < TOKENS; t++) {
        slots[t] = table[t / 32] * 32 + t % 32;
        memcpy(k + t * KV * DIM, qkv + t * WIDTH + HEADS * DIM, KV * DIM * 4);
        memcpy(v + t * KV * DIM, qkv + t * WIDTH + (HEADS + KV) * DIM, KV * DIM * 4);
    }
    test_buffer qkv_buffer = buffer_from(qkv, TOKENS * WIDTH * 4), zeros = buffer_from(zero, sizeof(zero)),
                slot_buffer = buffer_from(slots, sizeof(slots)), count = buffer_from(&tokens, 4),
                tables = buffer_from(table, sizeof(table)), single = buffer_from(&one, 4),
                row_start = buffer_from(starts, sizeof(starts)), q = buffer_from(qkv, HEADS * DIM * 4);
    const pm_rope_kv rope = {.qkv = qkv_buffer.slice, .table = zeros.slice, .positions = zeros.slice,
                             .slots = slot_buffer.slice, .kv = kv.slice, .rows = count.slice, .layout = layout,
                             .rows_max = TOKENS, .qkv_stride = WIDTH, .heads = HEADS};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rope_kv_record(recorder, &rope));
    run_recorder(recorder);
    for (uint32_t variant = 0; pm_attention_variant(variant) != NULL; variant++) {
        float got[HEADS * DIM];
        pm_attention a = {.q = q.slice, .kv = kv.slice, .block_tables = tables.slice, .row_seq = zeros.slice,
                          .row_start = row_start.slice, .kv_len = count.slice, .rows = single.slice, .layout = layout,
                          .rows_max = 1, .seqs_max = 1, .rows_per_seq_max = 1, .kv_len_max = TOKENS, .heads = HEADS,
                          .q_stride = HEADS * DIM, .out_stride = HEADS * DIM, .table_stride = 3, .scale = 0.125f};
        test_buffer out = buffer_make(sizeof(got)),
                    scratch = buffer_make(pm_attention_variant_scratch_bytes(pm_vk_device_caps(harness_device()), &a, variant) + 4);
        a.out = out.slice;
        a.scratch = scratch.slice;
        if (pm_attention_variant_fits(variant, pm_vk_device_caps(harness_device()), &a)) {
            recorder = make_recorder();
            ok(pm_attention_record_variant(recorder, &a, variant));
            run_recorder(recorder);
            buffer_read(&out, got);
            for (uint32_t h = 0; h < HEADS; h++) {
                double want[DIM], unused[DIM], size[DIM];
                const float *head_k = k + h / 2 * DIM, *head_v = v + h / 2 * DIM;
                ref_attention(qkv + h * DIM, head_k, head_v, 0, TOKENS, KV * DIM, DIM, 0.125, want, unused);
                ref_attention_reach(qkv + h * DIM, head_k, head_v, 0, TOKENS, KV * DIM, DIM, 0.125, size);
                compare(got + h * DIM, want, size, DIM, RTOL, ATOL, pm_attention_variant(variant));
            }
            tally("attention past 4 GiB", pm_attention_variant(variant), HEADS * DIM);
        }
        buffer_free(&out);
        buffer_free(&scratch);
    }
    test_buffer *all[] = {&qkv_buffer, &zeros, &slot_buffer, &count, &tables, &single, &row_start, &q};
    for (uint32_t i = 0; i < COUNT_OF(all); i++)
        buffer_free(all[i]);
    far_free(&kv);
    free(qkv);
    free(k);
}

/* Nothing else in the batch, the row's place, its chunk, or the variant changes a bit; and the
 * variant that cannot promise it is refused. */
static void a_row_is_the_same_alone_and_in_any_batch(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        attention_data d;
        c.seqs = 3;
        memcpy(c.past, (uint32_t[]){600, 3, 301}, 3 * sizeof(uint32_t));
        memcpy(c.fresh, (uint32_t[]){5, 11, 1}, 3 * sizeof(uint32_t));
        c.window = type == PM_KV_F16 ? 280 : 0;
        attention_fill(&c, &d);
        const uint32_t stride = c.heads * c.head_dim + 32;
        for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
            if (attention_is_half(v)) { /* its order is the device's own */
                assert_false(attention_takes(&c, &d, v, true));
                continue;
            }
            if (attention_order(v) != 0 && !attention_takes(&c, &d, v, true))
                continue;
            float *batch = attention_run(&c, &d, v, true, UINT32_MAX);
            for (uint32_t r = 0; r < d.rows; r++)
                for (uint32_t w = 0; pm_attention_variant(w) != NULL; w++) {
                    if (attention_is_half(w) || attention_order(w) != attention_order(v))
                        continue;
                    float *alone = attention_run(&c, &d, w, true, r);
                    for (uint32_t i = 0; i < stride; i++)
                        if (memcmp(&alone[i], &batch[r * stride + i], 4) != 0)
                            fail_msg("%s, row %u element %u: %.9g alone by %s, %.9g in a batch by %s", pm_kv_type_name(type), r,
                                     i, (double)alone[i], pm_attention_variant(w), (double)batch[r * stride + i],
                                     pm_attention_variant(v));
                    free(alone);
                }
            free(batch);
        }
        attention_finish(&d);
    }
}

static void runs_and_replays_are_bit_identical(void **state)
{
    (void)state;
    attention_case c = usual(PM_KV_Q8_0);
    attention_data d;
    c.seqs = 2;
    memcpy(c.past, (uint32_t[]){300, 40}, 2 * sizeof(uint32_t));
    memcpy(c.fresh, (uint32_t[]){1, 7}, 2 * sizeof(uint32_t));
    attention_fill(&c, &d);
    for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
        if (!attention_takes(&c, &d, v, false))
            continue;
        float *want = attention_run(&c, &d, v, false, UINT32_MAX), *got = NULL;
        attention_call k = attention_call_make(&c, &d, v, false, UINT32_MAX);
        pm_vk_recorder *recorder = make_recorder();
        pm_vk_commands *commands = NULL;
        ok(pm_attention_record_variant(recorder, &k.a, v));
        ok(pm_vk_recorder_end(recorder, &commands));
        for (uint32_t i = 0; i < 50; i++) {
            ok(pm_vk_commands_run(commands));
            got = got != NULL ? got : malloc(k.out_floats * sizeof(*got));
            assert_non_null(got);
            buffer_read(&k.out, got);
            assert_memory_equal(got, want, k.out_floats * sizeof(*got));
        }
        pm_vk_commands_destroy(commands);
        pm_vk_recorder_destroy(recorder);
        free(attention_call_take(&k));
        free(want);
        free(got);
    }
    attention_finish(&d);
}

/* A value that is no number, or infinite, stays visible: nothing rounds it away. */
static void what_is_no_number_stays_so(void **state)
{
    (void)state;
    const pm_kv_layout layouts[] = {{PM_KV_Q8_0, 1, 32, 16}, {PM_KV_Q4_0, 1, 32, 16}};
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t bad = 0; bad < 3; bad++) {
            const float values[] = {pm_f32_from_bits(0x7fc00000), -INFINITY, pm_f32_from_bits(0xff800001)};
            float qkv[96] = {0}, back[32];
            const uint32_t zero = 0, one = 1;
            for (uint32_t j = 32; j < 96; j++)
                qkv[j] = j % 32 == 13 ? values[bad] : (float)j;
            const uint64_t bytes = pm_kv_page_bytes(&layouts[i]);
            test_buffer in = buffer_from(qkv, sizeof(qkv)), word = buffer_from(&zero, 4), rows = buffer_from(&one, 4),
                        kv = buffer_make(bytes);
            const pm_rope_kv rope = {.qkv = in.slice, .table = word.slice, .positions = word.slice, .slots = word.slice,
                                     .kv = kv.slice, .rows = rows.slice, .layout = layouts[i], .rows_max = 1,
                                     .qkv_stride = 96, .heads = 1};
            pm_vk_recorder *recorder = make_recorder();
            uint8_t *page = malloc(bytes);
            assert_non_null(page);
            ok(pm_rope_kv_record(recorder, &rope));
            run_recorder(recorder);
            buffer_read(&kv, page);
            for (int is_v = 0; is_v < 2; is_v++) {
                ref_kv_get(&layouts[i], page, is_v, 0, 0, back);
                for (uint32_t j = 0; j < 32; j++)
                    assert_false(isfinite(back[j]) && back[j] != 0.0f);
                assert_false(isfinite(back[13]));
            }
            buffer_free(&in);
            buffer_free(&word);
            buffer_free(&rows);
            buffer_free(&kv);
            free(page);
        }
}

/* Opened anew without any optional capability: all but the cooperative matrices fit, and are right. */
static void nothing_optional_is_needed(void **state)
{
    (void)state;
    if (!variant_is_wanted("decode"))
        skip();                    /* those that need nothing are left out */
    const char *before = getenv("PUMICE_CAPS");
    char saved[256];
    snprintf(saved, sizeof(saved), "%s", before != NULL ? before : "");
    harness_close();
    setenv("PUMICE_CAPS", "-f16,-store16,-store8,-int8,-int16,-int64,-int8dot,-subgroup,-coopmat,-coopmat2,-bf16,-texels", 1);
    for (uint32_t type = 0; type < TYPES; type++) {
        attention_case c = usual(type);
        c.past[0] = 70;
        c.fresh[0] = 3;
        c.every = true;
        assert_int_equal(attention_check(&c), 2 * 6); /* deterministic and not */
    }
    harness_close();
    if (before != NULL)
        setenv("PUMICE_CAPS", saved, 1);
    else
        unsetenv("PUMICE_CAPS");
}

static int report_and_close(void **state)
{
    (void)state;
    if (attention_half_share() > 0.0)
        print_message("attention in f16: at most %.2f of plain f16's worst error\n", attention_half_share());
    tally_print();
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_shapes_and_groups),
        cmocka_unit_test(every_group_size),
        cmocka_unit_test(outlier_channels_of_q),
        cmocka_unit_test(contexts_around_the_page),
        cmocka_unit_test(mixed_batches_and_windows),
        cmocka_unit_test(chunks_of_every_row_count),
        cmocka_unit_test(shared_pages),
        cmocka_unit_test(pages_past_4_gib),
        cmocka_unit_test(kinds_of_input),
        cmocka_unit_test(long_contexts),
        cmocka_unit_test(contexts_that_outlast_a_drivers_loops),
        cmocka_unit_test(a_row_is_the_same_alone_and_in_any_batch),
        cmocka_unit_test(runs_and_replays_are_bit_identical),
        cmocka_unit_test(what_is_no_number_stays_so),
        cmocka_unit_test(nothing_optional_is_needed),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, report_and_close);
}

/* test_step.c - what a step does before its rows: tokens that the batch before has picked, and pages
 * that are copied. */
#include "op/suite.h"

#include "op/kv_layout.h"
#include "op/page_copy.h"
#include "op/step_tokens.h"

#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------- tokens */

static void check_tokens(uint32_t rows, uint32_t outs, uint32_t vocab)
{
    const uint32_t rows_max = rows + 3;
    uint32_t *tokens = calloc(rows_max, 4), *from = calloc(rows_max, 4), *picked = calloc(outs, 4), *got = calloc(rows_max, 4);
    assert_true(tokens && from && picked && got);
    for (uint32_t o = 0; o < outs; o++) /* some rows had no token */
        picked[o] = pick(5) == 0 ? UINT32_MAX : pick(5) == 0 ? vocab + pick(3) : pick(vocab);
    for (uint32_t r = 0; r < rows_max; r++) {
        tokens[r] = r >= rows || pick(2) ? PM_STEP_TOKEN_PICKED : pick(vocab);
        from[r] = pick(outs);
    }
    test_buffer tb = buffer_from(tokens, rows_max * 4), fb = buffer_from(from, rows_max * 4), pb = buffer_from(picked, outs * 4),
                rb = buffer_from(&rows, 4);
    const pm_step_tokens s = {.tokens = tb.slice, .from = fb.slice, .picked = pb.slice, .rows = rb.slice, .rows_max = rows_max,
                              .vocab = vocab};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_step_tokens_record(recorder, &s));
    run_recorder(recorder);
    buffer_read(&tb, got);
    for (uint32_t r = 0; r < rows_max; r++) {
        const bool replaced = r < rows && tokens[r] == PM_STEP_TOKEN_PICKED;
        const uint32_t token = picked[from[r]], want = !replaced ? tokens[r] : token < vocab ? token : 0;
        if (got[r] != want)
            fail_msg("row %u of %u: token %u, expected %u", r, rows, got[r], want);
    }
    tally("step_tokens", "", rows);
    buffer_free(&tb);
    buffer_free(&fb);
    buffer_free(&pb);
    buffer_free(&rb);
    free(tokens);
    free(from);
    free(picked);
    free(got);
}

static void picked_tokens_take_their_rows(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 2, 5, 31, 32, 61, 64, 65, 127, 128, 129, 512, 2048};
    for (uint32_t i = 0; i < COUNT_OF(rows); i++) {
        check_tokens(rows[i], 1 + pick(64), 32000);
        check_tokens(rows[i], 64, 1 + pick(40));
    }
}

/* ------------------------------------------------------------------ pages */

/* Copies among the pages of one pool, or from one to another; every byte of both is looked at. */
static void check_copy(const pm_kv_layout *layout, uint32_t pages, uint32_t other_pages, uint32_t count)
{
    const uint32_t bytes = (uint32_t)pm_kv_page_bytes(layout), count_max = count + 2;
    const bool same = other_pages == 0;
    const uint32_t to_pages = same ? pages : other_pages;
    uint8_t *from = malloc((uint64_t)pages * bytes), *to = malloc((uint64_t)to_pages * bytes), *got = malloc((uint64_t)to_pages * bytes);
    uint32_t (*pairs)[2] = calloc(count_max, sizeof(*pairs)), *order = calloc(pages > to_pages ? pages : to_pages, 4);
    assert_true(from && to && got && pairs && order);
    for (uint64_t i = 0; i < (uint64_t)pages * bytes; i++)
        from[i] = (uint8_t)input_index(harness_seed(), i, 256);
    for (uint64_t i = 0; i < (uint64_t)to_pages * bytes; i++)
        to[i] = same ? from[i] : (uint8_t)input_index(harness_seed() + 1, i, 256);
    for (uint32_t i = 0; i < to_pages; i++) { /* destinations differ */
        const uint32_t j = pick(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (uint32_t c = 0; c < count_max; c++) { /* those past the count must not be made */
        pairs[c][1] = order[c];
        pairs[c][0] = same ? order[count_max + pick(pages - count_max)] : pick(pages);
    }
    test_buffer fb = buffer_from(from, (uint64_t)pages * bytes), ob = {0}, pb = buffer_from(pairs, count_max * 8), cb = buffer_from(&count, 4);
    if (!same)
        ob = buffer_from(to, (uint64_t)to_pages * bytes);
    const test_buffer *out = same ? &fb : &ob;
    const pm_page_copy_op copy = {.from = fb.slice, .to = out->slice, .pairs = pb.slice, .count = cb.slice, .count_max = count_max,
                                  .page_bytes = bytes};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_page_copy_record(recorder, &copy));
    run_recorder(recorder);
    buffer_read(out, got);
    for (uint32_t c = 0; c < count; c++)
        memcpy(to + (uint64_t)pairs[c][1] * bytes, from + (uint64_t)pairs[c][0] * bytes, bytes);
    for (uint64_t i = 0; i < (uint64_t)to_pages * bytes; i++)
        if (got[i] != to[i])
            fail_msg("%s, page of %u bytes: byte %llu of page %llu is %u, expected %u", pm_kv_type_name(layout->type), bytes,
                     (unsigned long long)(i % bytes), (unsigned long long)(i / bytes), got[i], to[i]);
    tally("page_copy", pm_kv_type_name(layout->type), (uint64_t)count * bytes);
    buffer_free(&fb);
    buffer_free(&ob);
    buffer_free(&pb);
    buffer_free(&cb);
    free(from);
    free(to);
    free(got);
    free(pairs);
    free(order);
}

static void pages_are_copied_whole(void **state)
{
    (void)state;
    static const struct { uint32_t kv_heads, head_dim, page_tokens; } shapes[] = {{1, 32, 16}, {2, 64, 16}, {3, 96, 16}, {8, 128, 32}};
    for (uint32_t t = 0; pm_kv_type_name((pm_kv_type)t) != NULL; t++)
        for (uint32_t s = 0; s < COUNT_OF(shapes); s++) {
            const pm_kv_layout layout = {.type = (pm_kv_type)t, .kv_heads = shapes[s].kv_heads, .head_dim = shapes[s].head_dim,
                                         .page_tokens = shapes[s].page_tokens};
            check_copy(&layout, 13, 0, pick(5));     /* within a pool */
            check_copy(&layout, 7, 11, 1 + pick(6)); /* out to a swap buffer, and in: pools of other sizes */
            check_copy(&layout, 9, 6, 4);
        }
}

/* Pages whose bytes lie past 2^32. */
static void pages_past_4_gib(void **state)
{
    (void)state;
    const uint32_t bytes = 1u << 20, pages = 4200, count = 2;
    const uint32_t pairs[2][2] = {{4199, 3}, {1, 4100}};
    far_memory far;
    if (!far_make(&far, (uint64_t)pages * bytes, "pages past 4 GiB"))
        skip();
    uint8_t *x = malloc(bytes), *got = malloc(bytes);
    assert_true(x && got);
    test_buffer pb = buffer_from(pairs, sizeof(pairs)), cb = buffer_from(&count, 4);
    for (uint32_t c = 0; c < count; c++) {
        for (uint32_t i = 0; i < bytes; i++)
            x[i] = (uint8_t)(i * (7 + c) + (i >> 9));
        far_write(&far, (uint64_t)pairs[c][0] * bytes, x, bytes);
    }
    const pm_page_copy_op copy = {.from = far.slice, .to = far.slice, .pairs = pb.slice, .count = cb.slice, .count_max = count,
                                  .page_bytes = bytes};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_page_copy_record(recorder, &copy));
    run_recorder(recorder);
    for (uint32_t c = 0; c < count; c++) {
        for (uint32_t i = 0; i < bytes; i++)
            x[i] = (uint8_t)(i * (7 + c) + (i >> 9));
        far_read(&far, (uint64_t)pairs[c][1] * bytes, got, bytes);
        assert_memory_equal(got, x, bytes);
    }
    tally("page_copy", "past 4 GiB", (uint64_t)count * bytes);
    far_free(&far);
    buffer_free(&pb);
    buffer_free(&cb);
    free(x);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picked_tokens_take_their_rows),
        cmocka_unit_test(pages_are_copied_whole),
        cmocka_unit_test(pages_past_4_gib),
    };
    const int failed = cmocka_run_group_tests_name("step", tests, NULL, NULL);
    tally_print();
    harness_close();
    return failed;
}

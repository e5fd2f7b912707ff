/* test_masks.c - which keys a row sees, to the key and to the bit.
 *
 * One token at a time gets other keys and values in the pages: a row that must not see it, by its place in
 * its chunk or by the window, keeps every bit, and a row that sees it changes. By every variant. */
#include "op/attention_check.h"

#include "ref/kv.h"

#include <stdlib.h>
#include <string.h>

#define TYPES 4u

/* Zero keys, whose weight is never nothing, and values that outweigh all others. */
static void replace(const attention_case *c, const attention_data *d, uint8_t *pages, uint32_t token)
{
    float keys[256] = {0}, values[256];
    uint8_t *page = pages + d->tables[token / c->page_tokens] * pm_kv_page_bytes(&d->layout);
    for (uint32_t i = 0; i < c->head_dim; i++)
        values[i] = 1000.0f;
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        ref_kv_put(&d->layout, page, false, h, token % c->page_tokens, keys);
        ref_kv_put(&d->layout, page, true, h, token % c->page_tokens, values);
    }
}

static bool sees(const attention_case *c, const attention_data *d, uint32_t row, uint32_t token)
{
    const uint32_t end = d->positions[row] + 1;
    return token < end && (c->window == 0 || token + c->window >= end);
}

static void compare_rows(const attention_case *c, const attention_data *d, const float *before, const float *after,
                         uint32_t token, const char *variant)
{
    const uint32_t stride = c->heads * c->head_dim + 32;
    for (uint32_t r = 0; r < d->rows; r++)
        for (uint32_t h = 0; h < c->heads; h++) {
            const uint64_t at = (uint64_t)r * stride + h * c->head_dim;
            const bool same = memcmp(before + at, after + at, c->head_dim * sizeof(float)) == 0;
            if (same == sees(c, d, r, token))
                fail_msg("%s, %s pages of %u, window %u: row at position %u, head %u %s token %u", variant,
                         pm_kv_type_name(c->type), c->page_tokens, c->window, d->positions[r], h,
                         same ? "does not see" : "sees", token);
        }
}

static void check_masks(const attention_case *c, bool deterministic)
{
    attention_data d;
    attention_fill(c, &d);
    const uint64_t bytes = d.pages * pm_kv_page_bytes(&d.layout);
    uint8_t *pages = malloc(bytes);
    assert_non_null(pages);
    for (uint32_t v = 0; pm_attention_variant(v) != NULL; v++) {
        if (!attention_takes(c, &d, v, deterministic))
            continue;
        float *before = attention_run(c, &d, v, deterministic, UINT32_MAX);
        for (uint32_t token = 0; token < d.kv_len[0]; token++) {
            memcpy(pages, d.image, bytes);
            replace(c, &d, pages, token);
            ok(pm_vk_upload(harness_device(), d.kv.slice, pages, bytes));
            float *after = attention_run(c, &d, v, deterministic, UINT32_MAX);
            compare_rows(c, &d, before, after, token, pm_attention_variant(v));
            free(after);
        }
        ok(pm_vk_upload(harness_device(), d.kv.slice, d.image, bytes));
        tally("masks", pm_attention_variant(v), (uint64_t)d.rows * c->heads * d.kv_len[0]);
        free(before);
    }
    free(pages);
    attention_finish(&d);
}

static attention_case chunk(pm_kv_type type, uint32_t past, uint32_t fresh, uint32_t window)
{
    return (attention_case){.heads = 4, .kv_heads = 2, .head_dim = 64, .page_tokens = 16, .seqs = 1, .past = {past},
                            .fresh = {fresh}, .rotary_dim = 64, .type = type, .window = window};
}

/* A prompt chunk whose rows end before, at and behind the end of a page and of a tile. */
static void rows_of_a_chunk_see_what_came_before_them(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < TYPES; type++) {
        const attention_case c = chunk((pm_kv_type)type, 13 + 16 * (type % 2), 6, 0);
        check_masks(&c, type % 2 == 0);
    }
}

static void rows_see_a_window(void **state)
{
    (void)state;
    static const uint32_t windows[] = {1, 2, 15, 16, 17, 31, 32, 33};
    for (uint32_t i = 0; i < COUNT_OF(windows); i++) {
        const pm_kv_type type = (pm_kv_type)(i % TYPES);
        const attention_case c = chunk(type, 30, 5, windows[i]), one = chunk(type, 36, 1, windows[i]);
        check_masks(&c, i % 2 == 0);
        check_masks(&one, i % 2 == 1);
    }
}

static void groups_and_pages_of_32(void **state)
{
    (void)state;
    static const uint32_t groups[] = {1, 3, 8};
    for (uint32_t i = 0; i < COUNT_OF(groups); i++) {
        attention_case c = chunk(i == 0 ? PM_KV_F32 : PM_KV_F16, 29, 5, 20 * i);
        c.page_tokens = 32;
        c.kv_heads = i == 2 ? 1 : 2;
        c.heads = groups[i] * c.kv_heads;
        check_masks(&c, false);
    }
}

static int report_and_close(void **state)
{
    (void)state;
    tally_print();
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_a_chunk_see_what_came_before_them),
        cmocka_unit_test(rows_see_a_window),
        cmocka_unit_test(groups_and_pages_of_32),
    };
    return cmocka_run_group_tests_name("masks", tests, NULL, report_and_close);
}

/* test_kv_layout.c - every KV page that can be made is whole pieces of 16 bytes, and what is not
 * is refused by name. */
#include "op/kv_layout.h"
#include "plan/kv_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Its pieces, by what kv_layout.h says of K, V and S. */
static uint64_t bytes_of(const pm_kv_layout *l)
{
    static const uint32_t bits[] = {[PM_KV_F16] = 16, [PM_KV_F32] = 32, [PM_KV_Q8_0] = 8, [PM_KV_Q4_0] = 4};
    const uint64_t elements = (uint64_t)l->kv_heads * l->head_dim * l->page_tokens;
    const uint64_t scales = pm_kv_type_has_scales(l->type) ? elements / PM_KV_BLOCK * 4 : 0;
    return 2 * elements * bits[l->type] / 8 + scales;
}

static void pages_that_the_pool_takes_are_whole_pieces(void **state)
{
    (void)state;
    for (pm_kv_type type = PM_KV_F16; pm_kv_type_name(type) != NULL; type++)
        for (uint32_t page_tokens = 8; page_tokens <= 256; page_tokens *= 2)
            for (uint32_t kv_heads = 1; kv_heads <= 40; kv_heads++)
                for (uint32_t head_dim = 8; head_dim <= 256; head_dim += 8) {
                    const pm_kv_layout l = {type, kv_heads, head_dim, page_tokens};
                    const bool fits = !pm_kv_type_has_scales(type) || head_dim % 32 == 0;
                    assert_int_equal(pm_kv_layout_check(&l), fits ? PM_OK : PM_ERR_UNSUP);
                    if (!fits)
                        continue;
                    assert_true(pm_kv_page_bytes(&l) == bytes_of(&l) && pm_kv_page_bytes(&l) % 16 == 0);
                }
}

static void others_are_refused_by_name(void **state)
{
    (void)state;
    static const struct { pm_kv_layout layout; const char *text; } bad[] = {
        {{PM_KV_Q8_0, 1, 32, 1}, "1 tokens of q8_0 with 1 heads of 32 have 68 bytes"},
        {{PM_KV_Q8_0, 1, 32, 2}, "136 bytes"},
        {{PM_KV_Q4_0, 1, 32, 1}, "36 bytes"},
        {{PM_KV_Q4_0, 3, 32, 2}, "216 bytes"},
        {{PM_KV_Q8_0, 1, 40, 16}, "a head_dim that is a multiple of 32, the model's is 40"},
        {{PM_KV_F16, 1, 4, 16}, "heads in multiples of 8"},
        {{PM_KV_F16, 0, 64, 16}, "0 bytes"},
        {{PM_KV_F32, 65536, 256, 32}, "4294967296 bytes"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        pm_kv_store store;
        assert_int_equal(pm_kv_layout_check(&bad[i].layout), PM_ERR_UNSUP);
        assert_non_null(strstr(pm_error_message(), bad[i].text));
        assert_int_equal(pm_kv_store_init(&store, NULL, &bad[i].layout, 1, 1, 0), PM_ERR_UNSUP); /* before any device */
    }
    for (uint32_t page_tokens = 4; page_tokens < 256; page_tokens += 4) { /* four tokens are always enough */
        const pm_kv_layout l = {PM_KV_Q8_0, 1, 32, page_tokens};
        assert_int_equal(pm_kv_layout_check(&l), PM_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pages_that_the_pool_takes_are_whole_pieces),
                                       cmocka_unit_test(others_are_refused_by_name)};
    return cmocka_run_group_tests_name("kv.layout", tests, NULL, NULL);
}

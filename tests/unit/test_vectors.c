/* test_vectors.c - the recorded results of `pumice verify` are those of the references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "op/kv_layout.h"
#include "verify/shapes.h"
#include "verify/vectors.h"

#include <math.h>
#include <string.h>

#define CLOSE 1e-11                /* exp() differs in the last bits from one libm to the next */
#define RENEW "build/pumice-make-vectors >src/verify/vectors.c"

static void close_to(double recorded, double now, double size, const char *name, const char *what)
{
    if (!(fabs(recorded - now) <= CLOSE * size))
        fail_msg("%s: %s recorded as %.17g, now %.17g (renew: %s)", name, what, recorded, now, RENEW);
}

static void check_shape(pm_check check, uint32_t type)
{
    char name[128];
    double *want = NULL, sum = 0.0, sum_size = 0.0;
    uint64_t count = 0;
    check.type = type;
    pm_vector_name(&check, name, sizeof(name));
    const pm_vector *v = pm_vector_find(&check);
    if (v == NULL)
        fail_msg("%s: not recorded (renew: %s)", name, RENEW);
    if (pm_check_reference(&check, &want, &count) != PM_OK)
        fail_msg("%s: %s", name, pm_error_message());
    for (uint64_t i = 0; i < count; i++) {
        sum += pm_vector_sign(i) * want[i];
        sum_size += want[count + i];
    }
    close_to(v->sum, sum, sum_size, name, "the signed sum");
    for (uint32_t j = 0; j < PM_VECTOR_SAMPLES; j++) {
        const uint64_t at = pm_vector_place(j, count);
        close_to(v->value[j], want[at], want[count + at], name, "an element");
        assert_true(fabs(v->size[j] - want[count + at]) <= 1e-8 * want[count + at]);
    }
    pm_free(want);
}

static void every_quick_shape_is_recorded_as_the_reference_has_it(void **state)
{
    (void)state;
    static const uint32_t kv_types[] = {PM_KV_F16, PM_KV_F32, PM_KV_Q8_0, PM_KV_Q4_0};
    for (uint32_t type = 0; type < PM_DTYPE_LIMIT; type++) {
        if (!pm_dtype_can_dequant((pm_dtype)type))
            continue;
        check_shape(pm_shape_embedding[0], type);
        for (uint32_t s = 0; s < pm_shape_matmul_quick; s++)
            check_shape(pm_shape_matmul[s], type);
    }
    for (uint32_t s = 0; s < pm_shape_rows_quick; s++)
        check_shape(pm_shape_rows[s], 0);
    for (size_t t = 0; t < sizeof(kv_types) / sizeof(kv_types[0]); t++) {
        for (uint32_t s = 0; s < pm_shape_rope_count; s++)
            check_shape(pm_shape_rope[s], kv_types[t]);
        for (uint32_t s = 0; s < pm_shape_attention_quick; s++)
            check_shape(pm_shape_attention[s], kv_types[t]);
    }
}

static void nothing_is_recorded_twice_or_for_nothing(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < pm_vector_count; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_string_not_equal(pm_vectors[i].name, pm_vectors[j].name);
    pm_check other = pm_shape_rows[0];
    other.seed = 5; /* other inputs: the recorded results do not apply */
    assert_null(pm_vector_find(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_quick_shape_is_recorded_as_the_reference_has_it),
        cmocka_unit_test(nothing_is_recorded_twice_or_for_nothing),
    };
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}

/* make_vectors.c - writes src/verify/vectors.c: what the references in double give.
 *
 * usage: pumice-make-vectors >src/verify/vectors.c
 * For every shape of a quick `pumice verify`, every type that plain C can read and every type
 * of KV pages. Needs no device. */
#include "op/kv_layout.h"
#include "verify/shapes.h"
#include "verify/vectors.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>

static const uint32_t kv_types[] = {PM_KV_F16, PM_KV_F32, PM_KV_Q8_0, PM_KV_Q4_0};
static uint32_t made;

static pm_result write(const pm_check *check)
{
    double *want = NULL, sum = 0.0, sum_size = 0.0;
    uint64_t count = 0;
    char name[128];
    PM_TRY(pm_check_reference(check, &want, &count));
    const double *size = want + count;
    for (uint64_t i = 0; i < count; i++) {
        sum += pm_vector_sign(i) * want[i];
        sum_size += size[i];
    }
    pm_vector_name(check, name, sizeof(name));
    printf("    {\"%s\", %a, %.9g,\n     {", name, sum, sum_size);
    for (uint32_t j = 0; j < PM_VECTOR_SAMPLES; j++)
        printf("%s%a", j == 0 ? "" : j % 4 == 0 ? ",\n      " : ", ", want[pm_vector_place(j, count)]);
    printf("},\n     {");
    for (uint32_t j = 0; j < PM_VECTOR_SAMPLES; j++)
        printf("%s%.9g", j == 0 ? "" : ", ", size[pm_vector_place(j, count)]);
    printf("}},\n");
    pm_free(want);
    made++;
    return PM_OK;
}

static pm_result write_types(const pm_check *shapes, uint32_t count)
{
    for (uint32_t type = 0; type < PM_DTYPE_LIMIT; type++)
        for (uint32_t s = 0; pm_dtype_can_dequant((pm_dtype)type) && s < count; s++) {
            pm_check check = shapes[s];
            check.type = type;
            PM_TRY(write(&check));
        }
    return PM_OK;
}

static pm_result write_pages(const pm_check *shapes, uint32_t count)
{
    for (size_t t = 0; t < sizeof(kv_types) / sizeof(kv_types[0]); t++)
        for (uint32_t s = 0; s < count; s++) {
            pm_check check = shapes[s];
            check.type = kv_types[t];
            PM_TRY(write(&check));
        }
    return PM_OK;
}

static pm_result write_all(void)
{
    PM_TRY(write_types(pm_shape_embedding, 1));
    PM_TRY(write_types(pm_shape_matmul, pm_shape_matmul_quick));
    for (uint32_t s = 0; s < pm_shape_rows_quick; s++)
        PM_TRY(write(&pm_shape_rows[s]));
    PM_TRY(write_pages(pm_shape_rope, pm_shape_rope_count));
    return write_pages(pm_shape_attention, pm_shape_attention_quick);
}

int main(void)
{
    printf("/* verify/vectors.c - recorded results; written by pumice-make-vectors, see verify/vectors.h. */\n"
           "#include \"verify/vectors.h\"\n\nconst pm_vector pm_vectors[] = {\n");
    if (write_all() != PM_OK) {
        fprintf(stderr, "pumice-make-vectors: %s\n", pm_error_message());
        return 1;
    }
    printf("};\nconst uint32_t pm_vector_count = %u;\n", made);
    return ferror(stdout) != 0;
}

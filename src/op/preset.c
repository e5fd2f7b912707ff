/* op/preset.c - choices that ship with the program. */
#include "op/preset.h"

#include "op/matmul.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A family has all of these bits and just these subgroups. */
static const struct family {
    const char *name, *driver;     /* how the driver's name and version begin */
    uint32_t bits, subgroup_min, subgroup_max;
} families[] = {
    /* Of RADV's families those that have cooperative matrices: RDNA 3 and 4. */
    {"AMD RDNA 3 and 4 by RADV", "radv ", PM_CAP_BIT(INT8DOT) | PM_CAP_BIT(COOPMAT), 32, 64},
};

/* For every shape; cut as the op cuts it. */
static const struct preset {
    size_t family;
    pm_dtype type;
    uint32_t rows_first, rows_last;
    const char *variant;           /* of matmul */
} presets[] = {
    /* Codebook types whose bytes cost more to make than their floats. Issue cycles of a SIMD for 32 weights of 64 lanes by
     * AMD's compiler, as bench/static_roofline.py counts them, in f32 and by dot products of bytes, with 1 row and
     * with 2, and the cycles in which memory brings the weights to navi31 and gfx1201:
     *
     *            navi31               gfx1201              memory
     *   iq4_nl   446/532, 495/554     446/532, 495/554     576, 684
     *   iq4_xs   464/544, 513/565     464/544, 513/565     544, 646
     *   mxfp4    303/373, 352/394     303/373, 352/394     544, 646
     *
     * Memory stays the bound with room; x is not rounded. With 4 rows both take as long (593/597, 611/606, 451/437), and
     * with more, bytes win. On navi21 they differ by 2 to 3 %, which the model cannot tell. Of all other types bytes win
     * with one row already, on the three families that have them. */
    {0, PM_DTYPE_IQ4_NL, 1, 1, "rows1"}, {0, PM_DTYPE_IQ4_NL, 2, 2, "rows2"},
    {0, PM_DTYPE_IQ4_XS, 1, 1, "rows1"}, {0, PM_DTYPE_IQ4_XS, 2, 2, "rows2"},
    {0, PM_DTYPE_MXFP4, 1, 1, "rows1"},  {0, PM_DTYPE_MXFP4, 2, 2, "rows2"},
};

static bool is_of(const struct family *f, const char *driver, const pm_vk_caps *caps)
{
    return strncmp(driver, f->driver, strlen(f->driver)) == 0 && (caps->bits & f->bits) == f->bits &&
           caps->subgroup_min == f->subgroup_min && caps->subgroup_max == f->subgroup_max && !caps->is_cpu;
}

const char *pm_preset_family(const char *driver, const pm_vk_caps *caps)
{
    for (size_t i = 0; i < COUNT(families); i++)
        if (is_of(&families[i], driver, caps))
            return families[i].name;
    return NULL;
}

static uint32_t variant_of(const char *name)
{
    uint32_t i = 0;
    while (pm_matmul_variant(i) != NULL && strcmp(pm_matmul_variant(i), name) != 0)
        i++;
    pm_assert(pm_matmul_variant(i) != NULL);
    return i;
}

pm_result pm_presets_append(const char *driver, const pm_vk_caps *caps, pm_choices *choices)
{
    for (size_t i = 0; i < COUNT(presets) && choices->count < PM_CHOICES_MAX; i++) {
        const struct preset *p = &presets[i];
        const pm_choice choice = {.op = PM_CHOICE_MATMUL, .type = p->type, .rows_first = p->rows_first,
                                  .rows_last = p->rows_last, .variant = variant_of(p->variant), .is_preset = true};
        if (is_of(&families[p->family], driver, caps))
            PM_TRY(pm_choices_append(choices, &choice));
    }
    return PM_OK;
}

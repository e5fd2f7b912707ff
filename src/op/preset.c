/* op/preset.c - choices that ship with the program. */
#include "op/preset.h"

#include "op/matmul.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A family has all of these bits and just these subgroups. */
static const struct family {
    const char *name, *driver;     /* how the driver's name and version begin */
    const char *device;            /* what the device's name has in it, or has not */
    bool has;
    uint32_t bits, subgroup_min, subgroup_max;
} families[] = {
    /* Of RADV's families those that have cooperative matrices: RDNA 3 and 4. RADV names the chip, "(RADV GFX1201)". */
    {"AMD RDNA 3 by RADV", "radv ", "RADV GFX12", false, PM_CAP_BIT(INT8DOT) | PM_CAP_BIT(COOPMAT), 32, 64},
    {"AMD RDNA 4 by RADV", "radv ", "RADV GFX12", true, PM_CAP_BIT(INT8DOT) | PM_CAP_BIT(COOPMAT), 32, 64},
};
enum { RDNA3 = 1, RDNA4 = 2 };     /* bits by index */

/* For every shape; cut as the op cuts it. */
static const struct preset {
    uint32_t families;
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
    {RDNA3 | RDNA4, PM_DTYPE_IQ4_NL, 1, 1, "rows1"}, {RDNA3 | RDNA4, PM_DTYPE_IQ4_NL, 2, 2, "rows2"},
    {RDNA3 | RDNA4, PM_DTYPE_IQ4_XS, 1, 1, "rows1"}, {RDNA3 | RDNA4, PM_DTYPE_IQ4_XS, 2, 2, "rows2"},
    {RDNA3 | RDNA4, PM_DTYPE_MXFP4, 1, 1, "rows1"},  {RDNA3 | RDNA4, PM_DTYPE_MXFP4, 2, 2, "rows2"},
};

/* From 16 rows on, where cooperative matrices are the usual choice. Issue cycles of a SIMD for 32 weights of 64 lanes and a
 * row, of matrices and of dot products of bytes, by AMD's compiler (Mesa 25.0.7) on navi31, counted as
 * bench/static_peer.py does (a matrix instruction takes 32 cycles, 2048 products of bytes as long):
 *
 *   rows     16           32           64           512
 *   q8_0     67.8/21.6    49.6/20.8    40.5/20.4    29.6/20.4
 *   q4_0     66.6/24.6    48.3/23.3    39.7/22.7    29.3/22.7
 *   q4_k     68.2/29.8    49.9/27.1    40.7/25.8    29.7/25.8
 *   q5_k     72.8/33.2    52.2/28.9    41.8/26.7    30.8/26.7
 *   q6_k     75.5/35.0    53.1/31.8    42.3/30.1    31.5/30.1
 *
 * and 1.2 to 2.5 times fewer for all others up to 64 rows. At 512 q2_k, q3_k and iq1_m take 1.01 to 1.10 times those of
 * matrices, and stay with them. On RDNA 4 a matrix instruction takes half of that, which leaves bytes ahead up to 64
 * rows, q2_k as fast there (by that count: Mesa 25.0.7 has no matrices there). Matrices decode each weight into shared
 * memory first, and stay the choice for f16 and bf16. */
static const struct { uint32_t families, rows_first, rows_last; const char *variant; } bytes[] = {
    {RDNA3 | RDNA4, 16, 16, "dot16"},
    {RDNA3 | RDNA4, 17, 32, "dot32"},
    {RDNA3 | RDNA4, 33, 64, "dot64"},
    {RDNA3, 65, PM_CHOICE_ROWS_MAX, "dot64"},
};
static const struct { pm_dtype type; uint32_t rows_last; } bytes_types[] = {
    {PM_DTYPE_Q8_0, PM_CHOICE_ROWS_MAX},    {PM_DTYPE_Q4_0, PM_CHOICE_ROWS_MAX},   {PM_DTYPE_Q4_1, PM_CHOICE_ROWS_MAX},
    {PM_DTYPE_Q5_0, PM_CHOICE_ROWS_MAX},    {PM_DTYPE_Q5_1, PM_CHOICE_ROWS_MAX},   {PM_DTYPE_Q2_K, 64},
    {PM_DTYPE_Q3_K, 64},                    {PM_DTYPE_Q4_K, PM_CHOICE_ROWS_MAX},   {PM_DTYPE_Q5_K, PM_CHOICE_ROWS_MAX},
    {PM_DTYPE_Q6_K, PM_CHOICE_ROWS_MAX},    {PM_DTYPE_IQ4_NL, PM_CHOICE_ROWS_MAX}, {PM_DTYPE_IQ4_XS, PM_CHOICE_ROWS_MAX},
    {PM_DTYPE_MXFP4, PM_CHOICE_ROWS_MAX},   {PM_DTYPE_IQ3_S, PM_CHOICE_ROWS_MAX},  {PM_DTYPE_IQ3_XXS, PM_CHOICE_ROWS_MAX},
    {PM_DTYPE_IQ2_S, PM_CHOICE_ROWS_MAX},   {PM_DTYPE_IQ2_XS, PM_CHOICE_ROWS_MAX}, {PM_DTYPE_IQ2_XXS, PM_CHOICE_ROWS_MAX},
    {PM_DTYPE_IQ1_M, 64},                   {PM_DTYPE_IQ1_S, PM_CHOICE_ROWS_MAX},
};

static bool is_of(const struct family *f, const pm_device_info *info, const pm_vk_caps *caps)
{
    return strncmp(info->driver, f->driver, strlen(f->driver)) == 0 && (strstr(info->name, f->device) != NULL) == f->has &&
           (caps->bits & f->bits) == f->bits && caps->subgroup_min == f->subgroup_min &&
           caps->subgroup_max == f->subgroup_max && !caps->is_cpu;
}

/* COUNT(families): none. */
static size_t family_of(const pm_device_info *info, const pm_vk_caps *caps)
{
    size_t i = 0;
    while (i < COUNT(families) && !is_of(&families[i], info, caps))
        i++;
    return i;
}

const char *pm_preset_family(const pm_device_info *info, const pm_vk_caps *caps)
{
    const size_t i = family_of(info, caps);
    return i < COUNT(families) ? families[i].name : NULL;
}

static uint32_t variant_of(const char *name)
{
    uint32_t i = 0;
    while (pm_matmul_variant(i) != NULL && strcmp(pm_matmul_variant(i), name) != 0)
        i++;
    pm_assert(pm_matmul_variant(i) != NULL);
    return i;
}

static pm_result append(pm_choices *choices, pm_dtype type, uint32_t rows_first, uint32_t rows_last, const char *variant)
{
    const pm_choice choice = {.op = PM_CHOICE_MATMUL, .type = type, .rows_first = rows_first, .rows_last = rows_last,
                              .variant = variant_of(variant), .is_preset = true};
    return choices->count < PM_CHOICES_MAX ? pm_choices_append(choices, &choice) : PM_OK;
}

pm_result pm_presets_append(const pm_device_info *info, const pm_vk_caps *caps, pm_choices *choices)
{
    const uint32_t family = 1u << family_of(info, caps);
    for (size_t i = 0; i < COUNT(presets); i++)
        if (presets[i].families & family)
            PM_TRY(append(choices, presets[i].type, presets[i].rows_first, presets[i].rows_last, presets[i].variant));
    for (size_t t = 0; t < COUNT(bytes_types); t++)
        for (size_t i = 0; i < COUNT(bytes); i++)
            if (bytes[i].families & family && bytes[i].rows_last <= bytes_types[t].rows_last)
                PM_TRY(append(choices, bytes_types[t].type, bytes[i].rows_first, bytes[i].rows_last, bytes[i].variant));
    return PM_OK;
}

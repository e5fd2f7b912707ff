/* op/matmul_cut.c - how the cooperative-matrix shaders of matmul are cut. */
#include "op/matmul_cut.h"

#include "op/lanes.h"
#include "push_matmul.h"

#define OUTPUTS 32u                /* of one subgroup */
#define OUTPUTS_CPU 16u            /* where each matrix is unrolled code */
#define SUBGROUPS_MAX 4u
#define GROUPS_WANTED 256u         /* workgroups that fill a wide device */
#define BLOCK 32u                  /* weights that are decoded together: a step of k */

static bool has_all(const pm_vk_caps *caps, uint32_t bits)
{
    return (caps->bits & bits) == bits;
}

static bool is_multiple(uint32_t n, uint32_t of)
{
    return of != 0 && n % of == 0;
}

/* Constants of matmul_coopmat.comp. */
typedef struct coopmat_shape {
    pm_vk_matrix matrix;
    uint32_t frags_m, frags_n, subgroups, blocks, lanes;
} coopmat_shape;

/* Shared memory of the shader, as it declares it. */
static uint32_t shared_bytes(const coopmat_shape *s)
{
    const uint32_t rows = s->matrix.m * s->frags_m + s->matrix.n * s->frags_n * s->subgroups;
    return rows * (4 * s->blocks + 1) * 16 + s->subgroups * s->matrix.m * s->matrix.n * 4 + rows * 12 + 4;
}

/* m = n = k = 0 when none will do. */
static pm_vk_matrix largest_matrix(const pm_vk_caps *caps, uint32_t rows)
{
    pm_vk_matrix best = {0};
    for (uint32_t i = 0; i < caps->matrix_count; i++) {
        const pm_vk_matrix *x = &caps->matrix[i];
        if (is_multiple(rows, x->m) && is_multiple(OUTPUTS, x->n) && x->n % 4 == 0 && is_multiple(BLOCK, x->k) &&
            x->k % 8 == 0 && x->m * x->n * x->k > best.m * best.n * best.k)
            best = *x;
    }
    return best;
}

static bool fit_subgroups(const pm_vk_caps *caps, const pm_matmul *m, coopmat_shape *s)
{
    for (s->subgroups = SUBGROUPS_MAX; s->subgroups > 0; s->subgroups /= 2) {
        const uint32_t outputs = s->matrix.n * s->frags_n * s->subgroups;
        const uint64_t groups = (uint64_t)pm_div_up(m->weight.n, outputs) * pm_div_up(m->rows_max, s->matrix.m * s->frags_m);
        s->lanes = caps->subgroup_default * s->subgroups;
        s->blocks = s->lanes > outputs ? s->lanes / outputs : 1; /* a block for each lane */
        if (shared_bytes(s) > caps->shared_bytes)
            s->blocks = 1;
        if (s->lanes <= caps->workgroup_max && shared_bytes(s) <= caps->shared_bytes &&
            (groups >= GROUPS_WANTED || s->subgroups == 1 || caps->is_cpu))
            return true;
    }
    return false;
}

const char *pm_matmul_cut_coopmat(const pm_vk_caps *caps, const pm_matmul *m, uint32_t rows, pm_matmul_cut *out)
{
    coopmat_shape s = {.matrix = largest_matrix(caps, rows)};
    if (!has_all(caps, PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(F16) | PM_CAP_BIT(SUBGROUP)))
        return "KHR cooperative matrix, f16 arithmetic and subgroup operations";
    if (s.matrix.m == 0)
        return "a cooperative matrix f16 x f16 -> f32 that divides its tile";
    s.frags_m = rows / s.matrix.m;
    s.frags_n = (caps->is_cpu ? OUTPUTS_CPU : OUTPUTS) / s.matrix.n;
    s.frags_n = s.frags_n > 0 ? s.frags_n : 1;
    if (!fit_subgroups(caps, m, &s))
        return "more shared memory";
    *out = (pm_matmul_cut){
        .rows = rows,
        .outputs = s.matrix.n * s.frags_n * s.subgroups,
        .key = {.spec_count = 8,
                .spec = {{PM_SPEC_LOCAL_X, s.lanes}, {PM_SPEC_COOPMAT_M, s.matrix.m}, {PM_SPEC_COOPMAT_N, s.matrix.n},
                         {PM_SPEC_COOPMAT_K, s.matrix.k}, {PM_SPEC_COOPMAT_FRAGS_M, s.frags_m},
                         {PM_SPEC_COOPMAT_FRAGS_N, s.frags_n}, {PM_SPEC_COOPMAT_SUBGROUPS, s.subgroups},
                         {PM_SPEC_COOPMAT_BLOCKS, s.blocks}},
                .subgroup = caps->subgroup_default},
    };
    return NULL;
}

const char *pm_matmul_cut_coopmat2(const pm_vk_caps *caps, const pm_matmul *m, uint32_t rows, pm_matmul_cut *out)
{
    (void)m;
    if (!has_all(caps, PM_CAP_BIT(COOPMAT2) | PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(F16) | PM_CAP_BIT(SUBGROUP)))
        return "NV cooperative matrix 2, f16 arithmetic and subgroup operations";
    uint32_t best = 0; /* lanes of the workgroup, or 1 for a subgroup, which gets one matrix of the
                          device's each way: lavapipe unrolls them all, and with two lets an
                          infinity stray from a row to the one 8 further */
    for (uint32_t i = 0; i < caps->flexible_count; i++) {
        const pm_vk_flexible_matrix *f = &caps->flexible[i];
        const bool workgroup = f->scope_lanes > 0;
        const uint32_t lanes = workgroup ? f->scope_lanes : caps->subgroup_default, rank = workgroup ? lanes : 1;
        const uint32_t tile = workgroup ? rows : f->m > 8 ? 16 : 8, outputs = workgroup ? 64 : f->n > 8 ? 16 : 8;
        if (rank <= best || lanes > caps->workgroup_max || lanes > 256 || !is_multiple(tile, f->m) ||
            !is_multiple(outputs, f->n) || !is_multiple(BLOCK, f->k))
            continue;
        best = rank;
        *out = (pm_matmul_cut){
            .rows = tile,
            .outputs = outputs,
            .key = {.spec_count = 4,
                    .spec = {{PM_SPEC_LOCAL_X, lanes}, {PM_SPEC_COOPMAT_M, tile}, {PM_SPEC_COOPMAT_N, outputs},
                             {PM_SPEC_COOPMAT2_SCOPE, workgroup ? PM_COOPMAT2_WORKGROUP : PM_COOPMAT2_SUBGROUP}},
                    .subgroup = caps->subgroup_default},
        };
    }
    return best > 0 ? NULL : "flexible matrices f16 x f16 -> f32 that divide its tile";
}

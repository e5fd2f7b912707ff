/* op/matmul_cut.c - how the cooperative-matrix shaders of matmul are cut. */
#include "op/matmul_cut.h"

#include "op/lanes.h"
#include "push_matmul.h"

#define OUTPUTS 32u                /* of one subgroup */
#define OUTPUTS_CPU 16u            /* where each matrix is unrolled code */
#define ROWS_SUBGROUP 64u          /* of one subgroup at most: more sums than those leave no registers */
#define SUBGROUPS_MAX 4u           /* side by side */
#define GROUPS_WANTED 256u         /* workgroups that fill a wide device */
#define OUTPUTS_WORKGROUP 64u      /* of a workgroup that owns its matrices; twice with LANES_MAX */
#define LANES_MAX 256u
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
    uint32_t frags_m, frags_n, down, across, blocks, lanes; /* down, across: subgroups along rows and outputs */
} coopmat_shape;

/* Shared memory of the shader, as it declares it. */
static uint32_t shared_bytes(const coopmat_shape *s)
{
    const uint32_t rows = s->matrix.m * s->frags_m * s->down + s->matrix.n * s->frags_n * s->across;
    return rows * (4 * s->blocks + 1) * 16 + s->down * s->across * s->matrix.m * s->matrix.n * 4 + rows * 12 + 4;
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

/* As many side by side as leave enough workgroups; of subgroups one below the other all, or a lane would have too much of x. */
static bool fit_subgroups(const pm_vk_caps *caps, const pm_matmul *m, coopmat_shape *s)
{
    const uint32_t least = s->down > 1 ? SUBGROUPS_MAX : 1;
    for (s->across = SUBGROUPS_MAX; s->across >= least; s->across /= 2) {
        const uint32_t outputs = s->matrix.n * s->frags_n * s->across, rows = s->matrix.m * s->frags_m * s->down;
        const uint64_t groups = (uint64_t)pm_div_up(m->weight.n, outputs) * pm_div_up(m->rows_max, rows);
        s->lanes = pm_vk_matrix_lanes(caps) * s->down * s->across;
        s->blocks = s->lanes > outputs ? s->lanes / outputs : 1; /* a block for each lane */
        while (s->blocks > 1 && shared_bytes(s) > caps->shared_bytes)
            s->blocks /= 2;
        if (s->lanes <= caps->workgroup_max && shared_bytes(s) <= caps->shared_bytes &&
            (groups >= GROUPS_WANTED || s->across == 1 || caps->is_cpu))
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
    s.down = rows > ROWS_SUBGROUP ? rows / ROWS_SUBGROUP : 1;
    s.frags_m = rows / s.down / s.matrix.m;
    s.frags_n = (caps->is_cpu ? OUTPUTS_CPU : OUTPUTS) / s.matrix.n;
    s.frags_n = s.frags_n > 0 ? s.frags_n : 1;
    if (!fit_subgroups(caps, m, &s))
        return s.down > 1 ? "more shared memory, or more outputs and rows" : "more shared memory";
    *out = (pm_matmul_cut){
        .rows = rows,
        .outputs = s.matrix.n * s.frags_n * s.across,
        .key = {.spec_count = 9,
                .spec = {{PM_SPEC_LOCAL_X, s.lanes}, {PM_SPEC_COOPMAT_M, s.matrix.m}, {PM_SPEC_COOPMAT_N, s.matrix.n},
                         {PM_SPEC_COOPMAT_K, s.matrix.k}, {PM_SPEC_COOPMAT_FRAGS_M, s.frags_m},
                         {PM_SPEC_COOPMAT_FRAGS_N, s.frags_n}, {PM_SPEC_COOPMAT_SUBGROUPS, s.down * s.across},
                         {PM_SPEC_COOPMAT_BLOCKS, s.blocks}, {PM_SPEC_COOPMAT_SUBGROUPS_M, s.down}},
                .subgroup = pm_vk_matrix_lanes(caps)},
    };
    return NULL;
}

static pm_matmul_cut coopmat2_of(const pm_vk_caps *caps, uint32_t lanes, uint32_t rows, uint32_t outputs)
{
    return (pm_matmul_cut){
        .rows = rows,
        .outputs = outputs,
        .key = {.spec_count = 3,
                .spec = {{PM_SPEC_LOCAL_X, lanes}, {PM_SPEC_COOPMAT_M, rows}, {PM_SPEC_COOPMAT_N, outputs}},
                .subgroup = pm_vk_matrix_lanes(caps)},
    };
}

/* Whether matrices of a tile of rows x outputs, and of a step of k, have dimensions of f. */
static bool flexible_fits(const pm_vk_caps *caps, const pm_vk_flexible_matrix *f, uint32_t rows, uint32_t outputs)
{
    return is_multiple(rows, f->m) && is_multiple(outputs, f->n) && is_multiple(BLOCK, f->k) && rows <= caps->flexible_max &&
           outputs <= caps->flexible_max && BLOCK <= caps->flexible_max;
}

const char *pm_matmul_cut_coopmat2(const pm_vk_caps *caps, uint32_t rows, pm_matmul_cut *out)
{
    if (!has_all(caps, PM_CAP_BIT(COOPMAT2) | PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(F16) | PM_CAP_BIT(SUBGROUP)))
        return "NV cooperative matrix 2, f16 arithmetic and subgroup operations";
    for (uint32_t i = 0; i < caps->flexible_count; i++) {
        const pm_vk_flexible_matrix *f = &caps->flexible[i];
        /* one matrix of the device's each way: lavapipe unrolls them all, and with two lets an
         * infinity stray from a row to the one 8 further */
        const uint32_t tile = f->m > 8 ? rows : 8, outputs = f->n > 8 ? 16 : 8;
        if (f->scope_lanes > 0 || pm_vk_matrix_lanes(caps) > caps->workgroup_max || !flexible_fits(caps, f, tile, outputs))
            continue;
        *out = coopmat2_of(caps, pm_vk_matrix_lanes(caps), tile, outputs);
        return NULL;
    }
    return "flexible matrices f16 x f16 -> f32 of a subgroup that divide its tile";
}

const char *pm_matmul_cut_coopmat2_wg(const pm_vk_caps *caps, uint32_t rows, pm_matmul_cut *out)
{
    if (!has_all(caps, PM_CAP_BIT(COOPMAT2WG) | PM_CAP_BIT(COOPMAT2) | PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(F16)))
        return "NV cooperative matrix 2 of workgroups with decoding loads, and f16 arithmetic";
    uint32_t best = 0; /* lanes */
    for (uint32_t i = 0; i < caps->flexible_count; i++) {
        const pm_vk_flexible_matrix *f = &caps->flexible[i];
        const uint32_t lanes = f->scope_lanes, outputs = lanes < LANES_MAX ? OUTPUTS_WORKGROUP : 2 * OUTPUTS_WORKGROUP;
        if (lanes <= best || lanes > LANES_MAX || lanes > caps->workgroup_max || lanes > caps->flexible_lanes_max ||
            !flexible_fits(caps, f, rows, outputs) ||
            (uint64_t)caps->flexible_shared_bytes + (rows + outputs) * 4 > caps->shared_bytes)
            continue;
        best = lanes;
        *out = coopmat2_of(caps, lanes, rows, outputs);
    }
    return best > 0 ? NULL : "flexible matrices f16 x f16 -> f32 of a workgroup of at most 256 that divide its tile, and "
                             "shared memory beside them";
}

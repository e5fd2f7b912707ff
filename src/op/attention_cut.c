/* op/attention_cut.c - how attention_coopmat.comp is cut. */
#include "op/attention_cut.h"

#include "op/loops.h"

#include "push_attention.h"

#define TOKENS 32u                 /* of a tile, as in the shader */
#define SUBGROUPS 4u
#define TILE_MAX 32u               /* queries */
#define MODULE "attention_coopmat_f16"

/* Constants of the shader. */
typedef struct shape {
    pm_vk_matrix matrix;
    uint32_t tile, lanes;
} shape;

/* Shared memory of the shader, as it declares it. */
static uint32_t shared_bytes(const shape *s, uint32_t head_dim)
{
    const uint32_t pitch = (head_dim + 15) / 16 * 2 + 1, scores = s->tile * TOKENS * 4;
    const uint32_t matrices = SUBGROUPS * s->matrix.m * s->matrix.n * 4;
    return (s->tile + TOKENS) * pitch * 16 + s->tile * (TOKENS / 8 + 1) * 16 + (scores > matrices ? scores : matrices) +
           s->lanes * 4 + s->tile * 4 + 4;
}

/* m = n = k = 0 when none will do: a head is a multiple of 16, a tile of 8 or more. */
static pm_vk_matrix largest_matrix(const pm_vk_caps *caps)
{
    pm_vk_matrix best = {0};
    for (uint32_t i = 0; i < caps->matrix_count; i++) {
        const pm_vk_matrix *x = &caps->matrix[i];
        const bool fits = (x->m == 8 || x->m == 16) && (x->n == 8 || x->n == 16) && (x->k == 8 || x->k == 16);
        if (fits && x->m * x->n * x->k > best.m * best.n * best.k)
            best = *x;
    }
    return best;
}

/* Turns of loops that a lane takes at most, as the shader has them; sums scaled in each tile. */
static uint64_t turns_of(const shape *s, const pm_attention *a, uint32_t rows)
{
    const uint32_t dim = (a->layout.head_dim + 15) / 16 * 16, m = s->matrix.m, n = s->matrix.n, k = s->matrix.k;
    const uint32_t subgroup = s->lanes / SUBGROUPS, units = s->tile * (dim / 8) / s->lanes + 1;
    const uint32_t scores = (s->tile / m * (TOKENS / n) + SUBGROUPS - 1) / SUBGROUPS;
    const uint32_t sums = s->tile / m * ((dim / n + SUBGROUPS - 1) / SUBGROUPS), elements = m * n / subgroup + 1;
    const uint64_t tile = 1 + 2 * (TOKENS * (dim / 8) / s->lanes + 2) + scores * (dim / k + 2) + 1 + s->lanes / s->tile + 1 +
                          TOKENS / k + 1 + sums * (elements / 4 + 2);
    const uint64_t around = a->layout.head_dim / 4 + 2 + units + s->lanes / s->tile + sums * (elements + 1) +
                            rows * (a->out_stride / s->lanes + 2) + 4;
    const uint64_t seen = a->window > 0 && a->window < a->kv_len_max ? (uint64_t)a->window + rows : a->kv_len_max;
    return (rows < a->seqs_max ? rows : a->seqs_max) * ((seen / TOKENS + 2) * tile + around) + 1;
}

static uint32_t largest_divisor(uint32_t n, uint32_t most)
{
    uint32_t d = n < most ? n : most;
    while (n % d != 0)
        d--;
    return d;
}

const char *pm_attention_cut_coopmat(const pm_vk_caps *caps, const pm_attention *a, pm_attention_cut *out)
{
    const uint32_t needs = PM_CAP_BIT(COOPMAT) | PM_CAP_BIT(F16) | PM_CAP_BIT(SUBGROUP);
    shape s = {.matrix = largest_matrix(caps), .tile = TILE_MAX, .lanes = SUBGROUPS * pm_vk_matrix_lanes(caps)};
    if ((caps->bits & needs) != needs)
        return "KHR cooperative matrix, f16 arithmetic and subgroup operations";
    if (s.matrix.m == 0)
        return "a cooperative matrix f16 x f16 -> f32 of 8 or 16 each way";
    if (!pm_vk_module_exists(MODULE))
        return "a build whose glslang compiles cooperative matrices";
    if (a->layout.type != PM_KV_F16 || a->layout.head_dim % 8 != 0 || a->layout.head_dim > 256)
        return "KV in f16 and heads that are a multiple of 8 up to 256";
    while (s.tile > s.matrix.m && shared_bytes(&s, a->layout.head_dim) > caps->shared_bytes)
        s.tile /= 2;
    if (shared_bytes(&s, a->layout.head_dim) > caps->shared_bytes || s.lanes > caps->workgroup_max ||
        s.lanes % s.tile != 0 || s.lanes / s.tile > TOKENS / 4)
        return "more shared memory, or subgroups of 8 to 64";
    const uint32_t heads = largest_divisor(a->heads / a->layout.kv_heads, s.tile);
    if (!pm_loops_fit(caps, turns_of(&s, a, s.tile / heads)))
        return "a shorter context: " PM_LOOPS_LACK;
    *out = (pm_attention_cut){
        .rows = s.tile / heads,
        .heads = heads,
        .splits = 1,
        .key = {.module = MODULE,
                .spec_count = 10,
                .spec = {{PM_SPEC_LOCAL_X, s.lanes}, {PM_SPEC_ATTENTION_HEAD_DIM, a->layout.head_dim},
                         {PM_SPEC_ATTENTION_ROWS, s.tile / heads}, {PM_SPEC_ATTENTION_HEADS, heads},
                         {PM_SPEC_ATTENTION_PAGE, a->layout.page_tokens}, {PM_SPEC_ATTENTION_M, s.matrix.m},
                         {PM_SPEC_ATTENTION_N, s.matrix.n}, {PM_SPEC_ATTENTION_K, s.matrix.k},
                         {PM_SPEC_ATTENTION_TILE, s.tile}, {PM_SPEC_ATTENTION_SUBGROUPS, SUBGROUPS}},
                .subgroup = pm_vk_matrix_lanes(caps)},
    };
    return NULL;
}

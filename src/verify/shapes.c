/* verify/shapes.c - the shapes that `pumice verify` runs. */
#include "verify/shapes.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* k: a multiple of every type's block. */
const pm_check pm_shape_embedding[] = {
    {.op = PM_CHECK_EMBEDDING, .rows = 5, .n = 67, .k = 512},
    {.op = PM_CHECK_EMBEDDING, .rows = 33, .n = 33, .k = 256},
    {.op = PM_CHECK_EMBEDDING, .rows = 1, .n = 1, .k = 768},
};
const uint32_t pm_shape_embedding_count = COUNT(pm_shape_embedding);

const pm_check pm_shape_matmul[] = {
    {.op = PM_CHECK_MATMUL, .rows = 1, .n = 515, .k = 1024},
    {.op = PM_CHECK_MATMUL, .rows = 5, .n = 70, .k = 512},
    {.op = PM_CHECK_MATMUL, .rows = 3, .n = 33, .k = 768, .outliers = 64},
    {.op = PM_CHECK_MATMUL, .rows = 17, .n = 131, .k = 256},
    {.op = PM_CHECK_MATMUL, .rows = 65, .n = 127, .k = 768},
    {.op = PM_CHECK_MATMUL, .rows = 512, .n = 32, .k = 256},
    {.op = PM_CHECK_MATMUL, .rows = 1, .n = 64, .k = 14336},
    {.op = PM_CHECK_MATMUL, .rows = 1, .n = 2048, .k = 2048},
};
const uint32_t pm_shape_matmul_quick = 2;
const uint32_t pm_shape_matmul_count = COUNT(pm_shape_matmul);

const pm_check pm_shape_rows[] = {
    {.op = PM_CHECK_RMSNORM, .rows = 5, .k = 172},  {.op = PM_CHECK_RMSNORM, .rows = 3, .k = 2048},
    {.op = PM_CHECK_SWIGLU, .rows = 3, .k = 172},   {.op = PM_CHECK_SWIGLU, .rows = 2, .k = 5632},
    {.op = PM_CHECK_ARGMAX, .rows = 3, .k = 1003},  {.op = PM_CHECK_ARGMAX, .rows = 2, .k = 32003},
    {.op = PM_CHECK_RMSNORM, .rows = 1, .k = 1},    {.op = PM_CHECK_RMSNORM, .rows = 65, .k = 4096},
    {.op = PM_CHECK_SWIGLU, .rows = 65, .k = 1},    {.op = PM_CHECK_SWIGLU, .rows = 9, .k = 14336},
    {.op = PM_CHECK_ARGMAX, .rows = 17, .k = 1},    {.op = PM_CHECK_ARGMAX, .rows = 5, .k = 151936},
};
const uint32_t pm_shape_rows_quick = 6;
const uint32_t pm_shape_rows_count = COUNT(pm_shape_rows);

const pm_check pm_shape_rope[] = {
    {.op = PM_CHECK_ROPE, .rows = 5, .heads = 6, .kv_heads = 2, .head_dim = 64, .page_tokens = 16},
    {.op = PM_CHECK_ROPE, .rows = 35, .heads = 5, .kv_heads = 1, .head_dim = 96, .page_tokens = 32},
};
const uint32_t pm_shape_rope_count = COUNT(pm_shape_rope);

#define ATTENTION(rows_, past_, heads_, kv_, dim_, page_, window_)                                                    \
    {.op = PM_CHECK_ATTENTION, .rows = rows_, .past = past_, .heads = heads_, .kv_heads = kv_, .head_dim = dim_,      \
     .page_tokens = page_, .window = window_}
const pm_check pm_shape_attention[] = {
    ATTENTION(6, 37, 4, 2, 64, 16, 0),    ATTENTION(3, 150, 4, 2, 64, 16, 100),  ATTENTION(1, 31, 4, 2, 64, 16, 0),
    ATTENTION(6, 37, 8, 2, 64, 16, 0),    ATTENTION(3, 150, 3, 3, 128, 32, 100), ATTENTION(1, 15, 5, 1, 96, 16, 0),
    ATTENTION(17, 0, 4, 4, 32, 16, 0),    ATTENTION(9, 31, 16, 1, 64, 16, 7),    ATTENTION(2, 600, 8, 8, 128, 16, 0),
    ATTENTION(1, 4096, 2, 1, 64, 16, 0),  ATTENTION(5, 40, 2, 1, 256, 16, 0),    ATTENTION(33, 63, 4, 2, 128, 32, 1),
};
const uint32_t pm_shape_attention_quick = 3;
const uint32_t pm_shape_attention_count = COUNT(pm_shape_attention);

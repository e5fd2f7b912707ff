/* gguf/dtype.h - THE table of tensor types. Floor 1.
 *
 * A row of `k` elements is ceil(k / block) blocks of `bytes` bytes; types with
 * block > 1 need k to be a multiple of it. Source: the GGUF specification and the
 * block formats of ggml (layouts are facts of the format).
 */
#ifndef PM_GGUF_DTYPE_H
#define PM_GGUF_DTYPE_H

#include "base/error.h"

#include <stdint.h>

/* name, id in the file, elements per block, bytes per block, lower-case stem */
#define PM_DTYPE_MAP(X)                        \
    X(F32,      0,   1,   4, "f32")            \
    X(F16,      1,   1,   2, "f16")            \
    X(Q4_0,     2,  32,  18, "q4_0")           \
    X(Q4_1,     3,  32,  20, "q4_1")           \
    X(Q5_0,     6,  32,  22, "q5_0")           \
    X(Q5_1,     7,  32,  24, "q5_1")           \
    X(Q8_0,     8,  32,  34, "q8_0")           \
    X(Q8_1,     9,  32,  36, "q8_1")           \
    X(Q2_K,    10, 256,  84, "q2_k")           \
    X(Q3_K,    11, 256, 110, "q3_k")           \
    X(Q4_K,    12, 256, 144, "q4_k")           \
    X(Q5_K,    13, 256, 176, "q5_k")           \
    X(Q6_K,    14, 256, 210, "q6_k")           \
    X(Q8_K,    15, 256, 292, "q8_k")           \
    X(IQ2_XXS, 16, 256,  66, "iq2_xxs")        \
    X(IQ2_XS,  17, 256,  74, "iq2_xs")         \
    X(IQ3_XXS, 18, 256,  98, "iq3_xxs")        \
    X(IQ1_S,   19, 256,  50, "iq1_s")          \
    X(IQ4_NL,  20,  32,  18, "iq4_nl")         \
    X(IQ3_S,   21, 256, 110, "iq3_s")          \
    X(IQ2_S,   22, 256,  82, "iq2_s")          \
    X(IQ4_XS,  23, 256, 136, "iq4_xs")         \
    X(I8,      24,   1,   1, "i8")             \
    X(I16,     25,   1,   2, "i16")            \
    X(I32,     26,   1,   4, "i32")            \
    X(I64,     27,   1,   8, "i64")            \
    X(F64,     28,   1,   8, "f64")            \
    X(IQ1_M,   29, 256,  56, "iq1_m")          \
    X(BF16,    30,   1,   2, "bf16")           \
    X(TQ1_0,   34, 256,  54, "tq1_0")          \
    X(TQ2_0,   35, 256,  66, "tq2_0")          \
    X(MXFP4,   39,  32,  17, "mxfp4")

typedef enum pm_dtype {
#define X(name, id, block, bytes, stem) PM_DTYPE_##name = (id),
    PM_DTYPE_MAP(X)
#undef X
    PM_DTYPE_LIMIT = 40            /* ids are below it */
} pm_dtype;

typedef struct pm_dtype_info {
    const char *name;              /* "Q4_K"; NULL for ids that name no type */
    const char *stem;              /* "q4_k", as in shader and profile names */
    uint32_t block;                /* elements */
    uint32_t bytes;                /* per block */
} pm_dtype_info;

/* NULL for an id outside the table. */
const pm_dtype_info *pm_dtype_get(uint32_t id);

/* Bytes of a row of k elements; k a multiple of the block (asserted). */
uint64_t pm_dtype_row_bytes(pm_dtype type, uint64_t k);

/* True when pm_dequant_row() knows the type. */
bool pm_dtype_can_dequant(pm_dtype type);

/* count values, a multiple of the type's block, from its file layout to f32.
 * Plain C: this is the definition that shaders are held to. Asserts
 * pm_dtype_can_dequant(). */
void pm_dequant_row(pm_dtype type, const void *blocks, float *values, uint64_t count);

#endif /* PM_GGUF_DTYPE_H */

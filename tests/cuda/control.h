/* control.h - the controls of whole models: what the reference gives at another precision.
 *
 * Whatever computes a model at one of these precisions is as far from the exact reference as such roundings take it.
 * A control is the reference with just these roundings and its sums in blocks, as another batch size makes
 * cuBLAS take another kernel. */
#ifndef PM_TEST_CUDA_CONTROL_H
#define PM_TEST_CUDA_CONTROL_H

#include "cuda/model.h"

/* In ascending order of what they round. */
enum {
    CONTROL_F32,                   /* nothing; K and V in f32 */
    CONTROL_F16_KV,                /* K and V to f16, as Pumice keeps them unless told otherwise */
    CONTROL_F16,                   /* that, and weights and x of every matmul to f16, as cuBLAS takes them */
    CONTROL_INT8,                  /* K and V to f16, and x of every matmul to 8 bits in blocks of 32 */
    CONTROLS
};

typedef struct cuda_control {
    const char *name, *stem;       /* "f16 KV", and in names of vectors */
    cuda_precision matmul;
    bool kv_f16;
    double sum_error;              /* of all logits, as a share of their magnitudes: 4 times the worst of the text (text.h) */
    float planted;                 /* an error that must not pass at this precision: a factor of attention's scores */
} cuda_control;

extern const cuda_control cuda_controls[CONTROLS];

/* The pass of control c, `chunk` rows at a time; scale: of the scores, 1 unless an error is planted. */
cuda_model_pass cuda_control_pass(uint32_t c, uint32_t chunk, float scale);

#endif /* PM_TEST_CUDA_CONTROL_H */

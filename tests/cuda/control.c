/* control.c - the controls of whole models. */
#include "cuda/control.h"

#define BLOCK 32u                  /* terms of a sum that are added first */

const cuda_control cuda_controls[CONTROLS] = {
    [CONTROL_F32] = {"f32", "f32", CUDA_BLOCKS, false, 1e-5, 1.00003f},
    [CONTROL_F16_KV] = {"f16 KV", "f16_kv", CUDA_BLOCKS, true, 4e-3, 1.01f},
    [CONTROL_F16] = {"f16", "f16", CUDA_HALF, true, 5e-3, 1.01f},
    [CONTROL_INT8] = {"int8", "int8", CUDA_BYTES, true, 0.1, 1.1f},
};

cuda_model_pass cuda_control_pass(uint32_t c, uint32_t chunk, float scale)
{
    return (cuda_model_pass){.chunk = chunk, .kv_f16 = cuda_controls[c].kv_f16, .precision = cuda_controls[c].matmul,
                             .block = BLOCK, .scale = scale};
}

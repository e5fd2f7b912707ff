/* vectors.h - what a kernel gave, with where it comes from, as a file of at most 64 KiB.
 *
 * Lines "key value", an empty line, then the payload: f32, little endian.
 *
 *   pumice-vector 1
 *   case matmul.q4_0.9x160x2048     of cases.c, or a model of model_cases.c
 *   kernel matmul                   what made it
 *   origin CUDA                     or host: gcc's build of the same kernel
 *   device NVIDIA H100, sm_90
 *   driver 580.65.06
 *   runtime CUDA 13.0
 *   date 2026-11-25
 *   seed 1
 *   inputs 0123456789abcdef         hash of the inputs that the seed made
 *   elements 1440                   of the result; when it has more than the payload, element
 *   values 1024                       i of the payload is element i * elements / values
 *   sha256 ...                      of the payload
 */
#ifndef PM_TEST_CUDA_VECTORS_H
#define PM_TEST_CUDA_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CUDA_VECTOR_BYTES_MAX 65536u
#define CUDA_VECTOR_SAMPLES 1024u  /* of a result that has more elements */

typedef struct cuda_vector {
    char name[64], kernel[64], origin[8], device[128], driver[64], runtime[64], date[16];
    uint64_t seed, inputs, elements;
    uint32_t count;
    float *values;                 /* [count] owned */
} cuda_vector;

/* The element that payload value i is. */
static inline uint64_t cuda_vector_element(const cuda_vector *v, uint32_t i)
{
    return (uint64_t)i * v->elements / v->count;
}

/* Writes it; false: `why`. */
bool cuda_vector_write(const char *path, const cuda_vector *v, char *why, size_t capacity);

/* Reads and checks it: header, sizes, sha256. */
bool cuda_vector_read(const char *path, cuda_vector *v, char *why, size_t capacity);
void cuda_vector_free(cuda_vector *v);

#endif /* PM_TEST_CUDA_VECTORS_H */

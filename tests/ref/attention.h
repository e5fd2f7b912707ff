/* ref/attention.h - attention of one row and head from plain keys and values: in double, as `pumice
 * verify` has it; the magnitudes whose rounding reaches it; and in float and half, as trusted
 * implementations of low precision. */
#ifndef PM_TEST_REF_ATTENTION_H
#define PM_TEST_REF_ATTENTION_H

#include "base/half.h"
#include "verify/ref_attention.h"

#include <stdlib.h>

/* Arguments as ref_attention() takes them. size[d] is the sum of the magnitudes whose rounding
 * reaches out[d]: with p the weights and s the scores,
 *     sum_j p_j (|v_jd| + sum_i p_i |v_id|) (1 + scale sum_i |q_i k_ji| + max s - s_j),
 * since an error of s_j, and of e^x, which may err by 3 + 2 |x| ulp, is a relative one of p_j. */
static inline void ref_attention_reach(const float *q, const float *k, const float *v, uint32_t begin, uint32_t end,
                                       uint32_t stride, uint32_t dim, double scale, double *size)
{
    double most = -INFINITY, total = 0.0;
    double *score = malloc((uint64_t)2 * (end + 1) * sizeof(*score)), *doubt = score + end + 1;
    for (uint32_t j = begin; j < end; j++) {
        double terms = 0.0;
        for (uint32_t d = 0; d < dim; d++)
            terms += fabs((double)q[d] * (double)k[(uint64_t)j * stride + d]);
        score[j] = ref_score(q, k + (uint64_t)j * stride, dim, scale);
        doubt[j] = 1.0 + terms * scale;
        most = score[j] > most ? score[j] : most;
    }
    for (uint32_t j = begin; j < end; j++) {
        doubt[j] += most - score[j];
        score[j] = exp(score[j] - most);
        total += score[j];
    }
    for (uint32_t d = 0; d < dim; d++) {
        double mean = 0.0;
        size[d] = 0.0;
        for (uint32_t j = begin; j < end; j++)
            mean += score[j] / total * fabs((double)v[(uint64_t)j * stride + d]);
        for (uint32_t j = begin; j < end; j++)
            size[d] += score[j] / total * (fabs((double)v[(uint64_t)j * stride + d]) + mean) * doubt[j];
    }
    free(score);
}

/* The same in float, term by term: what a careful implementation of this precision gives. */
static inline void ref_attention_float(const float *q, const float *k, const float *v, uint32_t begin, uint32_t end,
                                       uint32_t stride, uint32_t dim, float scale, float *out)
{
    float most = -INFINITY, total = 0.0f;
    float *score = malloc((uint64_t)(end + 1) * sizeof(*score));
    for (uint32_t j = begin; j < end; j++) {
        score[j] = 0.0f;
        for (uint32_t d = 0; d < dim; d++)
            score[j] += scale * q[d] * k[(uint64_t)j * stride + d];
        most = score[j] > most ? score[j] : most;
    }
    for (uint32_t j = begin; j < end; j++) {
        score[j] = expf(score[j] - most);
        total += score[j];
    }
    for (uint32_t d = 0; d < dim; d++) {
        out[d] = 0.0f;
        for (uint32_t j = begin; j < end; j++)
            out[d] += score[j] * v[(uint64_t)j * stride + d];
        out[d] /= total;
    }
    free(score);
}

static inline float ref_to_half(float x)
{
    return pm_f16_to_f32(pm_f16_from_f32(x));
}

/* As the plainest f16 kernel has it: q (times the power of two that takes its largest to [256, 512)),
 * weights and sums' factors in f16, sums in f32, the maximum known beforehand. */
static inline void ref_attention_half(const float *q, const float *k, const float *v, uint32_t begin, uint32_t end,
                                      uint32_t stride, uint32_t dim, float scale, float *out)
{
    float *weight = malloc((uint64_t)(end + 1) * sizeof(*weight)), most = -INFINITY, total = 0.0f, largest = 0.0f;
    float rounded[256];
    int exponent;
    for (uint32_t d = 0; d < dim; d++)
        largest = fmaxf(largest, fabsf(q[d]));
    (void)frexpf(largest, &exponent);
    for (uint32_t d = 0; d < dim; d++)
        rounded[d] = ref_to_half(ldexpf(q[d], 9 - exponent));
    for (uint32_t j = begin; j < end; j++) {
        float score = 0.0f;
        for (uint32_t d = 0; d < dim; d++)
            score += rounded[d] * k[(uint64_t)j * stride + d];
        weight[j] = ldexpf(score * scale, exponent - 9);
        most = weight[j] > most ? weight[j] : most;
    }
    for (uint32_t j = begin; j < end; j++)
        total += weight[j] = ref_to_half(expf(weight[j] - most));
    for (uint32_t d = 0; d < dim; d++) {
        float sum = 0.0f;
        for (uint32_t j = begin; j < end; j++)
            sum += weight[j] * v[(uint64_t)j * stride + d];
        out[d] = sum / total;
    }
    free(weight);
}

#endif /* PM_TEST_REF_ATTENTION_H */

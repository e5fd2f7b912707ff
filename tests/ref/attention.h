/* ref/attention.h - attention of one row and head in double, from plain keys and values. */
#ifndef PM_TEST_REF_ATTENTION_H
#define PM_TEST_REF_ATTENTION_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

/* q: [dim]; k, v: [end, stride] rows of which dim elements count; sees keys begin .. end - 1.
 * out[d] = softmax(scale q k^T) v; size[d] = sum of |p_j v_j|. */
static inline void ref_attention(const float *q, const float *k, const float *v, uint32_t begin, uint32_t end,
                                 uint32_t stride, uint32_t dim, double scale, double *out, double *size)
{
    double most = -INFINITY, total = 0.0;
    double *score = malloc((end + 1) * sizeof(*score));
    for (uint32_t j = begin; j < end; j++) {
        double s = 0.0;
        for (uint32_t d = 0; d < dim; d++)
            s += (double)q[d] * (double)k[(uint64_t)j * stride + d];
        score[j] = s * scale;
        most = score[j] > most ? score[j] : most;
    }
    for (uint32_t j = begin; j < end; j++) {
        score[j] = exp(score[j] - most);
        total += score[j];
    }
    for (uint32_t d = 0; d < dim; d++) {
        out[d] = size[d] = 0.0;
        for (uint32_t j = begin; j < end; j++) {
            const double term = score[j] / total * (double)v[(uint64_t)j * stride + d];
            out[d] += term;
            size[d] += fabs(term);
        }
    }
    free(score);
}

#endif /* PM_TEST_REF_ATTENTION_H */

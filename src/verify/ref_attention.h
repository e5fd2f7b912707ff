/* verify/ref_attention.h - attention of one row and head in double, from plain keys and values.
 * Floor 3. */
#ifndef PM_VERIFY_REF_ATTENTION_H
#define PM_VERIFY_REF_ATTENTION_H

#include <math.h>
#include <stdint.h>

static inline double ref_score(const float *q, const float *k, uint32_t dim, double scale)
{
    double s = 0.0;
    for (uint32_t d = 0; d < dim; d++)
        s += (double)q[d] * (double)k[d];
    return s * scale;
}

/* q: [dim]; k, v: [end, stride] rows of which dim elements count; sees keys begin .. end - 1.
 * out[d] = softmax(scale q k^T) v; size[d] = sum of |p_j v_j|. */
static inline void ref_attention(const float *q, const float *k, const float *v, uint32_t begin, uint32_t end,
                                 uint32_t stride, uint32_t dim, double scale, double *out, double *size)
{
    double most = -INFINITY, total = 0.0;
    for (uint32_t j = begin; j < end; j++)
        most = fmax(most, ref_score(q, k + (uint64_t)j * stride, dim, scale));
    for (uint32_t d = 0; d < dim; d++)
        out[d] = size[d] = 0.0;
    for (uint32_t j = begin; j < end; j++) {
        const double weight = exp(ref_score(q, k + (uint64_t)j * stride, dim, scale) - most);
        total += weight;
        for (uint32_t d = 0; d < dim; d++) {
            const double term = weight * (double)v[(uint64_t)j * stride + d];
            out[d] += term;
            size[d] += fabs(term);
        }
    }
    for (uint32_t d = 0; d < dim; d++) {
        out[d] /= total;
        size[d] /= total;
    }
}

#endif /* PM_VERIFY_REF_ATTENTION_H */

/* double.c - a case in double: what is right, and the size of the terms that make it. */
#include "cuda/cases.h"

#include "base/half.h"
#include "ref/attention.h"
#include "ref/kv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void double_embedding(const cuda_case *c, const cuda_inputs *in, double *want, double *size)
{
    for (uint32_t r = 0; r < c->rows; r++)
        for (uint32_t i = 0; i < c->k; i++) {
            want[(uint64_t)r * c->k + i] = (double)in->w[(uint64_t)in->tokens[r] * c->k + i];
            size[(uint64_t)r * c->k + i] = 0.0;
        }
}

static void double_matmul(const cuda_case *c, const cuda_inputs *in, double *want, double *size)
{
    for (uint32_t r = 0; r < c->rows; r++)
        for (uint32_t i = 0; i < c->n; i++) {
            const float *w = in->w + (uint64_t)i * c->k, *x = in->x + (uint64_t)r * c->k;
            double sum = in->bias != NULL ? (double)in->bias[i] : 0.0, terms = fabs(sum);
            for (uint32_t j = 0; j < c->k; j++) {
                const double term = (double)w[j] * (double)x[j];
                sum += term;
                terms += fabs(term);
            }
            want[(uint64_t)r * c->n + i] = sum;
            size[(uint64_t)r * c->n + i] = terms;
        }
}

static void double_rmsnorm(const cuda_case *c, const cuda_inputs *in, double *want, double *size)
{
    for (uint32_t r = 0; r < c->rows; r++) {
        double sum = 0.0;
        for (uint32_t i = 0; i < c->k; i++) {
            const uint64_t at = (uint64_t)r * c->k + i;
            const float x = in->add != NULL ? in->x[at] + in->add[at] : in->x[at];
            want[in->x_count + at] = (double)x;
            size[in->x_count + at] = 0.0; /* one rounding: the same on both sides */
            sum += (double)x * (double)x;
        }
        for (uint32_t i = 0; i < c->k; i++) {
            const uint64_t at = (uint64_t)r * c->k + i;
            want[at] = want[in->x_count + at] / sqrt(sum / c->k + 1e-5) * (double)in->w[i];
            size[at] = fabs(want[at]);
        }
    }
}

/* The table of rotations is rounded to f32 on both sides. */
static void rotate(const cuda_case *c, const cuda_inputs *in, const float *x, uint32_t position, double *out)
{
    for (uint32_t d = 0; d < c->head_dim; d++)
        out[d] = (double)x[d];
    for (uint32_t i = 0, half = c->rotary_dim / 2; i < half; i++) {
        const double angle = position * in->frequencies[i], cs = (double)(float)cos(angle), sn = (double)(float)sin(angle);
        const uint32_t a = c->option ? i : 2 * i, b = c->option ? i + half : 2 * i + 1;
        out[a] = (double)x[a] * cs - (double)x[b] * sn;
        out[b] = (double)x[a] * sn + (double)x[b] * cs;
    }
}

static void double_rope(const cuda_case *c, const cuda_inputs *in, double *want, double *size)
{
    for (uint32_t r = 0; r < in->rows; r++)
        for (uint32_t h = 0; h < c->heads; h++) {
            const float *x = in->x + (uint64_t)r * in->width + h * c->head_dim;
            const uint64_t at = ((uint64_t)r * c->heads + h) * c->head_dim;
            rotate(c, in, x, in->positions[r], want + at);
            for (uint32_t i = 0; i < c->head_dim; i++)
                size[at + i] = i < c->rotary_dim ? fabs((double)x[i]) + fabs(want[at + i]) + 1.0 : 0.0;
        }
}

/* What is left of a head's keys or values once they are kept. */
static void keep(cuda_kv_type type, float *x, uint32_t count)
{
    int8_t q[32];
    for (uint32_t i = 0; i < count && type == CUDA_KV_F16; i++)
        x[i] = pm_f16_to_f32(pm_f16_from_f32(x[i]));
    for (uint32_t i = 0; i < count && (type == CUDA_KV_Q8_0 || type == CUDA_KV_Q4_0); i += 32) {
        const uint16_t scale = type == CUDA_KV_Q8_0 ? ref_quantise_q8_0(x + i, q) : ref_quantise_q4_0(x + i, q);
        for (int j = 0; j < 32; j++)
            x[i + (uint32_t)j] = (float)(type == CUDA_KV_Q8_0 ? q[j] : q[j] - 8) * pm_f16_to_f32(scale);
    }
}

static void double_attention(const cuda_case *c, const cuda_inputs *in, double *want, double *size)
{
    const uint32_t kv_width = c->kv_heads * c->head_dim, group = c->heads / c->kv_heads;
    const uint64_t floats = (uint64_t)c->seqs * in->context * kv_width;
    float *k = calloc(floats, sizeof(*k)), *v = calloc(floats, sizeof(*v));
    pm_assert(k != NULL && v != NULL);
    for (uint32_t r = 0; r < in->total; r++)
        for (uint32_t h = 0; h < c->kv_heads; h++) {
            const float *row = in->x + (uint64_t)r * in->width + (c->heads + h) * c->head_dim;
            const uint64_t at = ((uint64_t)in->row_seq[r] * in->context + in->positions[r]) * kv_width + h * c->head_dim;
            double rotated[256];
            rotate(c, in, row, in->positions[r], rotated);
            for (uint32_t i = 0; i < c->head_dim; i++) {
                k[at + i] = (float)rotated[i];
                v[at + i] = row[kv_width + i];
            }
            keep(c->kv_type, k + at, c->head_dim);
            keep(c->kv_type, v + at, c->head_dim);
        }
    for (uint32_t r = 0; r < in->rows; r++)
        for (uint32_t h = 0; h < c->heads; h++) {
            const uint32_t end = in->positions[r] + 1, begin = c->window > 0 && end > c->window ? end - c->window : 0;
            const uint64_t from = (uint64_t)in->row_seq[r] * in->context * kv_width + h / group * c->head_dim;
            const uint64_t at = ((uint64_t)r * c->heads + h) * c->head_dim;
            double rotated[256];
            float q[256];
            rotate(c, in, in->x + (uint64_t)r * in->width + h * c->head_dim, in->positions[r], rotated);
            for (uint32_t i = 0; i < c->head_dim; i++)
                q[i] = (float)rotated[i];
            ref_attention(q, k + from, v + from, begin, end, kv_width, c->head_dim, 1.0 / sqrt((double)c->head_dim), want + at,
                          size + at);
            for (uint32_t i = 0; i < c->head_dim; i++)
                size[at + i] += 0.05; /* weights err even where values cancel */
        }
    free(k);
    free(v);
}

static void double_swiglu(const cuda_case *c, const cuda_inputs *in, double *want, double *size)
{
    for (uint32_t r = 0; r < c->rows; r++)
        for (uint32_t i = 0; i < c->k; i++) {
            const double gate = (double)in->x[(uint64_t)r * 2 * c->k + i], up = (double)in->x[(uint64_t)r * 2 * c->k + c->k + i];
            want[(uint64_t)r * c->k + i] = gate / (1.0 + exp(-gate)) * up;
            size[(uint64_t)r * c->k + i] = fabs(want[(uint64_t)r * c->k + i]);
        }
}

/* The k greatest of each row by plain selection. */
static void greatest(const cuda_case *c, const cuda_inputs *in, uint32_t k, double *ids, double *values)
{
    bool *taken = malloc(c->n);
    pm_assert(taken != NULL);
    for (uint32_t r = 0; r < c->rows; r++) {
        const float *x = in->x + (uint64_t)r * c->n;
        memset(taken, 0, c->n);
        for (uint32_t j = 0; j < k; j++) {
            uint32_t best = c->n;
            for (uint32_t i = 0; i < c->n; i++)
                if (!taken[i] && x[i] == x[i] && (best == c->n || x[i] > x[best]))
                    best = i;
            ids[(uint64_t)r * k + j] = best == c->n ? -1.0 : (double)best;
            if (values != NULL)
                values[(uint64_t)r * k + j] = best == c->n ? -INFINITY : (double)x[best];
            if (best < c->n)
                taken[best] = true;
        }
    }
    free(taken);
}

void cuda_case_double(const cuda_case *c, const cuda_inputs *in, double *want, double *size)
{
    switch (c->op) {
    case CUDA_EMBEDDING: double_embedding(c, in, want, size); return;
    case CUDA_MATMUL: double_matmul(c, in, want, size); return;
    case CUDA_RMSNORM: double_rmsnorm(c, in, want, size); return;
    case CUDA_ROPE: double_rope(c, in, want, size); return;
    case CUDA_DECODE: case CUDA_PREFILL: double_attention(c, in, want, size); return;
    case CUDA_SWIGLU: double_swiglu(c, in, want, size); return;
    case CUDA_ARGMAX: case CUDA_TOPK:
        memset(size, 0, cuda_case_elements(c) * sizeof(*size));
        if (c->op == CUDA_ARGMAX)
            greatest(c, in, 1, want, NULL);
        else
            greatest(c, in, c->k, want, want + (uint64_t)c->rows * c->k);
    }
}

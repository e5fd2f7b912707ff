/* dequant.h - element i of a block of each tensor type, as a device function.
 *
 * Written from the format, byte by byte, apart from src/gguf/dequant.c, which the test
 * cuda.reference holds it to, bit for bit. Blocks lie at any byte; words are little endian;
 * scales are f16. */
#ifndef PM_TEST_CUDA_DEQUANT_H
#define PM_TEST_CUDA_DEQUANT_H

#include "cuda/device.h"

/* id in the file, elements per block, bytes per block, function */
#define CUDA_TYPES(X)                                                                                                  \
    X(0, 1, 4, f32_value)       X(1, 1, 2, f16_value)       X(30, 1, 2, bf16_value)                                    \
    X(2, 32, 18, q4_0_value)    X(3, 32, 20, q4_1_value)    X(6, 32, 22, q5_0_value)    X(7, 32, 24, q5_1_value)       \
    X(8, 32, 34, q8_0_value)    X(10, 256, 84, q2_k_value)  X(11, 256, 110, q3_k_value) X(12, 256, 144, q4_k_value)    \
    X(13, 256, 176, q5_k_value) X(14, 256, 210, q6_k_value) X(20, 32, 18, iq4_nl_value) X(23, 256, 136, iq4_xs_value)  \
    X(39, 32, 17, mxfp4_value)

/* The same of types whose runs of weights are entries of a grid. */
#define CUDA_CODEBOOK_TYPES(X)                                                                                         \
    X(16, 256, 66, iq2_xxs_value)  X(17, 256, 74, iq2_xs_value)  X(18, 256, 98, iq3_xxs_value)                         \
    X(19, 256, 50, iq1_s_value)    X(21, 256, 110, iq3_s_value)  X(22, 256, 82, iq2_s_value)                           \
    X(29, 256, 56, iq1_m_value)

static inline __device__ uint32_t u16_at(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static inline __device__ uint32_t u32_at(const uint8_t *p)
{
    return u16_at(p) | u16_at(p + 2) << 16;
}

static inline __device__ float f16_at(const uint8_t *p)
{
    return f16_of((uint16_t)u16_at(p));
}

static inline __device__ float f32_value(const uint8_t *b, int i)
{
    return f32_of(u32_at(b + 4 * i));
}

static inline __device__ float f16_value(const uint8_t *b, int i)
{
    return f16_at(b + 2 * i);
}

static inline __device__ float bf16_value(const uint8_t *b, int i)
{
    return f32_of(u16_at(b + 2 * i) << 16);
}

/* Of 32 elements, the first 16 are the low nibbles of 16 bytes, the others the high ones. */
static inline __device__ int nibble(const uint8_t *q, int i)
{
    return i < 16 ? q[i] & 15 : q[i - 16] >> 4;
}

/* Q4_0: f16 d, 16 bytes. d (q - 8) */
static inline __device__ float q4_0_value(const uint8_t *b, int i)
{
    return (float)(nibble(b + 2, i) - 8) * f16_at(b);
}

/* Q4_1: f16 d, m, 16 bytes. d q + m */
static inline __device__ float q4_1_value(const uint8_t *b, int i)
{
    return (float)nibble(b + 4, i) * f16_at(b) + f16_at(b + 2);
}

/* Q5_0: f16 d, u32 of fifth bits, 16 bytes. d (q - 16) */
static inline __device__ float q5_0_value(const uint8_t *b, int i)
{
    const int fifth = (int)(u32_at(b + 2) >> i & 1);
    return (float)(nibble(b + 6, i) + 16 * fifth - 16) * f16_at(b);
}

/* Q5_1: f16 d, m, u32 of fifth bits, 16 bytes. d q + m */
static inline __device__ float q5_1_value(const uint8_t *b, int i)
{
    const int fifth = (int)(u32_at(b + 4) >> i & 1);
    return (float)(nibble(b + 8, i) + 16 * fifth) * f16_at(b) + f16_at(b + 2);
}

/* Q8_0: f16 d, 32 signed bytes. d q */
static inline __device__ float q8_0_value(const uint8_t *b, int i)
{
    return (float)(int8_t)b[2 + i] * f16_at(b);
}

/* Q2_K: 16 bytes of (minimum << 4 | scale), one for 16 elements; 64 bytes: byte j of a half of
 * 32 has elements j, 32 + j, 64 + j, 96 + j of its 128; f16 d, dmin. d s q - dmin m */
static inline __device__ float q2_k_value(const uint8_t *b, int i)
{
    const int q = b[16 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    const uint8_t scale = b[i / 16];
    return f16_at(b + 80) * (float)(scale & 15) * (float)q - f16_at(b + 82) * (float)(scale >> 4);
}

/* Q3_K: 32 bytes whose bit i / 32 is the third bit of element i; 64 bytes as in Q2_K; 12 bytes of
 * sixteen 6-bit scales: low nibbles in the first 8 bytes, upper two bits in the last 4; f16 d.
 * d (s - 32) (q - 4) */
static inline __device__ float q3_k_value(const uint8_t *b, int i)
{
    const int two = b[32 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3, third = b[i % 32] >> (i / 32) & 1;
    const int s = i / 16;
    const int low = s < 8 ? b[96 + s] & 15 : b[96 + s - 8] >> 4, high = b[104 + s % 4] >> (s / 4 * 2) & 3;
    return f16_at(b + 108) * (float)(low + 16 * high - 32) * (float)(two + 4 * third - 4);
}

/* Eight 6-bit scales and minima in 12 bytes: the first four in the low bits of bytes 0 .. 3 and
 * 4 .. 7, whose upper two bits complete the nibbles of bytes 8 .. 11 to the last four. */
static inline __device__ int k_scale(const uint8_t *b, int j)
{
    return j < 4 ? b[j] & 63 : (b[j + 4] & 15) + (b[j - 4] >> 6) * 16;
}

static inline __device__ int k_minimum(const uint8_t *b, int j)
{
    return j < 4 ? b[j + 4] & 63 : (b[j + 4] >> 4) + (b[j] >> 6) * 16;
}

/* Q4_K: f16 d, dmin, 12 bytes of scales, 128 bytes: byte j of 32 has elements j and 32 + j of its
 * 64. d s q - dmin m */
static inline __device__ float q4_k_value(const uint8_t *b, int i)
{
    const int q = b[16 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15;
    return f16_at(b) * (float)k_scale(b + 4, i / 32) * (float)q - f16_at(b + 2) * (float)k_minimum(b + 4, i / 32);
}

/* Q5_K: as Q4_K, with 32 bytes between whose bit i / 32 is the fifth bit of element i. */
static inline __device__ float q5_k_value(const uint8_t *b, int i)
{
    const int four = b[48 + i / 64 * 32 + i % 32] >> (i / 32 % 2 * 4) & 15, fifth = b[16 + i % 32] >> (i / 32) & 1;
    return f16_at(b) * (float)k_scale(b + 4, i / 32) * (float)(four + 16 * fifth) -
           f16_at(b + 2) * (float)k_minimum(b + 4, i / 32);
}

/* Q6_K: 128 bytes of low nibbles: byte j of 64 has elements j and 64 + j of its 128; 64 bytes of
 * upper pairs, as in Q2_K; 16 signed bytes of scales; f16 d. d s (q - 32) */
static inline __device__ float q6_k_value(const uint8_t *b, int i)
{
    const int low = b[i / 128 * 64 + i % 64] >> (i / 64 % 2 * 4) & 15;
    const int high = b[128 + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3;
    return f16_at(b + 208) * (float)(int8_t)b[192 + i / 16] * (float)(low + 16 * high - 32);
}

/* The sixteen values of IQ4_NL and IQ4_XS. */
static inline __device__ float iq4_point(int q)
{
    const int8_t points[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    return (float)points[q];
}

/* IQ4_NL: f16 d, 16 bytes. d point(q) */
static inline __device__ float iq4_nl_value(const uint8_t *b, int i)
{
    return f16_at(b) * iq4_point(nibble(b + 2, i));
}

/* IQ4_XS: f16 d, u16 of the upper pairs and 4 bytes of the low nibbles of eight 6-bit scales, 128
 * bytes, 16 for 32 elements. d (s - 32) point(q) */
static inline __device__ float iq4_xs_value(const uint8_t *b, int i)
{
    const int j = i / 32, low = b[4 + j / 2] >> (j % 2 * 4) & 15, high = (int)(u16_at(b + 2) >> (2 * j) & 3);
    return f16_at(b) * (float)(low + 16 * high - 32) * iq4_point(nibble(b + 8 + 16 * j, i % 32));
}

/* MXFP4: E8M0 exponent e, 16 bytes of E2M1: sign, two bits of exponent, one of mantissa.
 * 2^(e - 127) times 0, 0.5, 1, 1.5, 2, 3, 4, 6 */
static inline __device__ float mxfp4_value(const uint8_t *b, int i)
{
    const int q = nibble(b + 1, i), exponent = q >> 1 & 3, mantissa = q & 1;
    const float size = exponent == 0 ? 0.5f * (float)mantissa : ldexpf(1.0f + 0.5f * (float)mantissa, exponent - 1);
    return ldexpf(q & 8 ? -size : size, b[0] - 127);
}

/* Codebook types: 256 weights, eights i / 8 or fours i / 4, each an entry of the type's grid, laid out as
 * src/gguf/codebook.h says: code i of a ternary entry, byte i of the others. */
static inline __device__ int ternary(uint32_t entry, int i)
{
    return (int)(entry >> (8 * (i % 4) + 4 * (i / 4)) & 3);
}

/* IQ1: scale (code - 1 + or - 1/8) */
static inline __device__ float iq1_value(uint32_t entry, int i, float d, uint32_t scale, bool negative)
{
    return d * (float)(2 * scale + 1) * ((float)(ternary(entry, i) - 1) + (negative ? -0.125f : 0.125f));
}

/* IQ1_S: f16 d, 32 bytes of low bits, eight u16: three upper bits for each of 4 entries, 3 bits of scale, sign
 * of the eighth. */
static inline __device__ float iq1_s_value(const uint8_t *b, int i, const uint32_t *grid)
{
    const uint32_t high = u16_at(b + 34 + i / 32 * 2);
    const uint32_t entry = grid[b[2 + i / 8] + (high >> (i / 8 % 4 * 3) & 7) * 256];
    return iq1_value(entry, i % 8, f16_at(b), high >> 12 & 7, high >> 15);
}

/* IQ1_M: 32 bytes of low bits; 32 nibbles of three upper bits and the eighth's sign; four u16 of four scales of
 * 3 bits, for 16 weights each, whose upper nibbles are f16 d, lowest first. */
static inline __device__ float iq1_m_value(const uint8_t *b, int i, const uint32_t *grid)
{
    const uint32_t high = b[32 + i / 16] >> (i / 8 % 2 * 4) & 15, scales = u16_at(b + 48 + i / 64 * 2);
    const uint32_t d = (u16_at(b + 48) >> 12) + (u16_at(b + 50) >> 12) * 16 + (u16_at(b + 52) >> 12) * 256 +
                       (u16_at(b + 54) >> 12) * 4096;
    return iq1_value(grid[b[i / 8] + (high & 7) * 256], i % 8, f16_of((uint16_t)d), scales >> (i / 16 % 4 * 3) & 7, high > 7);
}

/* Sign i of 8: seven bits, the eighth makes the number of ones even. */
static inline __device__ bool even_sign(uint32_t seven, int i)
{
    bool odd = false;
    if (i < 7)
        return seven >> i & 1;
    for (int j = 0; j < 7; j++)
        odd ^= seven >> j & 1;
    return odd;
}

/* IQ2: scale times 8, 25 or 43. */
static inline __device__ float iq2_value(uint32_t entry, int i, float d, uint32_t scale, bool negative)
{
    const int code = ternary(entry, i);
    const float size = d * ((float)scale + 0.5f) * 0.25f * (code == 0 ? 8.0f : code == 1 ? 25.0f : 43.0f);
    return negative ? -size : size;
}

/* IQ2_XXS: f16 d, eight times 4 bytes of entries and an u32: four seven signs, 4 bits of scale. */
static inline __device__ float iq2_xxs_value(const uint8_t *b, int i, const uint32_t *grid)
{
    const uint8_t *run = b + 2 + i / 32 * 8;
    const uint32_t signs = u32_at(run + 4);
    return iq2_value(grid[run[i / 8 % 4]], i % 8, f16_at(b), signs >> 28, even_sign(signs >> (i / 8 % 4 * 7) & 127, i % 8));
}

/* IQ2_XS: f16 d, 32 u16: nine bits of entry, seven signs; 8 bytes of scales, a nibble for 16 weights. */
static inline __device__ float iq2_xs_value(const uint8_t *b, int i, const uint32_t *grid)
{
    const uint32_t q = u16_at(b + 2 + i / 8 * 2);
    return iq2_value(grid[q & 511], i % 8, f16_at(b), b[66 + i / 32] >> (i / 16 % 2 * 4) & 15, even_sign(q >> 9, i % 8));
}

/* IQ2_S: f16 d, 32 bytes of low bits, 32 of eight signs, 8 of upper pairs, 8 of scales as in IQ2_XS. */
static inline __device__ float iq2_s_value(const uint8_t *b, int i, const uint32_t *grid)
{
    const uint32_t high = b[66 + i / 32] >> (i / 8 % 4 * 2) & 3;
    return iq2_value(grid[b[2 + i / 8] + high * 256], i % 8, f16_at(b), b[74 + i / 32] >> (i / 16 % 2 * 4) & 15,
                     b[34 + i / 8] >> (i % 8) & 1);
}

/* IQ3_XXS: f16 d, 64 bytes of entries, eight u32 as in IQ2_XXS. d (scale + 1/2) / 2 magnitude */
static inline __device__ float iq3_xxs_value(const uint8_t *b, int i, const uint32_t *grid)
{
    const uint32_t signs = u32_at(b + 66 + i / 32 * 4), magnitude = grid[b[2 + i / 4]] >> (i % 4 * 8) & 255;
    const float size = f16_at(b) * ((float)(signs >> 28) + 0.5f) * 0.5f * (float)magnitude;
    return even_sign(signs >> (i / 8 % 4 * 7) & 127, i % 8) ? -size : size;
}

/* IQ3_S: f16 d, 64 bytes of low bits, 8 of ninth bits, 32 of eight signs, 4 of scales, a nibble for 32 weights.
 * d (2 scale + 1) magnitude */
static inline __device__ float iq3_s_value(const uint8_t *b, int i, const uint32_t *grid)
{
    const uint32_t high = b[66 + i / 32] >> (i / 4 % 8) & 1, scale = b[106 + i / 64] >> (i / 32 % 2 * 4) & 15;
    const uint32_t magnitude = grid[b[2 + i / 4] + high * 256] >> (i % 4 * 8) & 255;
    const float size = f16_at(b) * (float)(2 * scale + 1) * (float)magnitude;
    return b[74 + i / 8] >> (i % 8) & 1 ? -size : size;
}

/* grid: cuda_codebook(type). */
static inline __device__ float value_at(uint32_t type, const uint8_t *block, int i, const uint32_t *grid)
{
    switch (type) {
#define X(id, elements, bytes, value) case id: return value(block, i);
        CUDA_TYPES(X)
#undef X
#define X(id, elements, bytes, value) case id: return value(block, i, grid);
        CUDA_CODEBOOK_TYPES(X)
#undef X
    default: return NAN;
    }
}

static inline __host__ __device__ uint32_t block_elements(uint32_t type)
{
    switch (type) {
#define X(id, elements, bytes, value) case id: return elements;
        CUDA_TYPES(X)
        CUDA_CODEBOOK_TYPES(X)
#undef X
    default: return 0;
    }
}

static inline __host__ __device__ uint32_t block_bytes(uint32_t type)
{
    switch (type) {
#define X(id, elements, bytes, value) case id: return bytes;
        CUDA_TYPES(X)
        CUDA_CODEBOOK_TYPES(X)
#undef X
    default: return 0;
    }
}

#endif /* PM_TEST_CUDA_DEQUANT_H */

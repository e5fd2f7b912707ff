/* gguf/blocks.h - the blocks of the file, byte for byte. Floor 1.
 *
 * Little endian; f16 as bits. Facts of the format. */
#ifndef PM_GGUF_BLOCKS_H
#define PM_GGUF_BLOCKS_H

#include "gguf/dtype.h"

#include <assert.h>

typedef struct pm_block_q4_0 { uint16_t d; uint8_t q[16]; } pm_block_q4_0;
typedef struct pm_block_q4_1 { uint16_t d, m; uint8_t q[16]; } pm_block_q4_1;
typedef struct pm_block_q5_0 { uint16_t d; uint8_t high[4], q[16]; } pm_block_q5_0;
typedef struct pm_block_q5_1 { uint16_t d, m; uint8_t high[4], q[16]; } pm_block_q5_1;
typedef struct pm_block_q8_0 { uint16_t d; int8_t q[32]; } pm_block_q8_0;
typedef struct pm_block_q2_k { uint8_t scales[16], q[64]; uint16_t d, dmin; } pm_block_q2_k;
typedef struct pm_block_q3_k { uint8_t high[32], q[64], scales[12]; uint16_t d; } pm_block_q3_k;
typedef struct pm_block_q4_k { uint16_t d, dmin; uint8_t scales[12], q[128]; } pm_block_q4_k;
typedef struct pm_block_q5_k { uint16_t d, dmin; uint8_t scales[12], high[32], q[128]; } pm_block_q5_k;
typedef struct pm_block_q6_k { uint8_t low[128], high[64]; int8_t scales[16]; uint16_t d; } pm_block_q6_k;
typedef struct pm_block_iq4_nl { uint16_t d; uint8_t q[16]; } pm_block_iq4_nl;
typedef struct pm_block_iq4_xs { uint16_t d, scales_high; uint8_t scales_low[4], q[128]; } pm_block_iq4_xs;
typedef struct pm_block_iq1_s { uint16_t d; uint8_t q[32]; uint16_t high[8]; } pm_block_iq1_s;
typedef struct pm_block_iq1_m { uint8_t q[32], high[16]; uint16_t scales[4]; } pm_block_iq1_m;
typedef struct pm_block_iq2_xxs { uint16_t d, q[32]; } pm_block_iq2_xxs;
typedef struct pm_block_iq2_xs { uint16_t d, q[32]; uint8_t scales[8]; } pm_block_iq2_xs;
typedef struct pm_block_iq2_s { uint16_t d; uint8_t q[32], signs[32], high[8], scales[8]; } pm_block_iq2_s;
typedef struct pm_block_iq3_xxs { uint16_t d; uint8_t q[64], signs[32]; } pm_block_iq3_xxs;
typedef struct pm_block_iq3_s { uint16_t d; uint8_t q[64], high[8], signs[32], scales[4]; } pm_block_iq3_s;
typedef struct pm_block_mxfp4 { uint8_t e, q[16]; } pm_block_mxfp4;

/* The sizes of the table in gguf/dtype.h. */
#define PM_CHECK_BLOCK(type, bytes) static_assert(sizeof(type) == (bytes), #type)
PM_CHECK_BLOCK(pm_block_q4_0, 18);
PM_CHECK_BLOCK(pm_block_q4_1, 20);
PM_CHECK_BLOCK(pm_block_q5_0, 22);
PM_CHECK_BLOCK(pm_block_q5_1, 24);
PM_CHECK_BLOCK(pm_block_q8_0, 34);
PM_CHECK_BLOCK(pm_block_q2_k, 84);
PM_CHECK_BLOCK(pm_block_q3_k, 110);
PM_CHECK_BLOCK(pm_block_q4_k, 144);
PM_CHECK_BLOCK(pm_block_q5_k, 176);
PM_CHECK_BLOCK(pm_block_q6_k, 210);
PM_CHECK_BLOCK(pm_block_iq4_nl, 18);
PM_CHECK_BLOCK(pm_block_iq4_xs, 136);
PM_CHECK_BLOCK(pm_block_mxfp4, 17);
PM_CHECK_BLOCK(pm_block_iq1_s, 50);
PM_CHECK_BLOCK(pm_block_iq1_m, 56);
PM_CHECK_BLOCK(pm_block_iq2_xxs, 66);
PM_CHECK_BLOCK(pm_block_iq2_xs, 74);
PM_CHECK_BLOCK(pm_block_iq2_s, 82);
PM_CHECK_BLOCK(pm_block_iq3_xxs, 98);
PM_CHECK_BLOCK(pm_block_iq3_s, 110);

/* The sixteen values of IQ4_NL and IQ4_XS, ascending. */
static const int8_t pm_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

#endif /* PM_GGUF_BLOCKS_H */

/* push_matmul.h - push constants of matmul*.comp. */
#ifndef PM_PUSH_MATMUL_H
#define PM_PUSH_MATMUL_H
#include "pm_shared.h"

#define PM_SPEC_MATMUL_TOKENS 8    /* rows of x in registers */
#define PM_SPEC_MATMUL_SLICES 9    /* parts that k is cut into */
#define PM_SPEC_MATMUL_LANES 10    /* of a subgroup */
#define PM_SPEC_MATMUL_UNIFORM 11  /* of matmul_texels.comp: x by address */
#define PM_SPEC_MATMUL_BY_ROWS 12  /* likewise: the order of additions may differ by TOKENS */
#define PM_SPEC_MATMUL_QUADS 13    /* likewise: quads of weight rows that a lane owns */

/* Of matmul_coopmat.comp, see there; M and N of matmul_coopmat2.comp, too. */
#define PM_SPEC_COOPMAT_M 8
#define PM_SPEC_COOPMAT_N 9
#define PM_SPEC_COOPMAT_K 10
#define PM_SPEC_COOPMAT_FRAGS_M 11
#define PM_SPEC_COOPMAT_FRAGS_N 12
#define PM_SPEC_COOPMAT_SUBGROUPS 13
#define PM_SPEC_COOPMAT_BLOCKS 14
#define PM_SPEC_COOPMAT_SUBGROUPS_M 15

PM_PUSH_BEGIN(pm_push_matmul)
    PM_ADDRESS pieces;             /* packed weights, see op/weight.h */
    PM_ADDRESS scales;
    PM_ADDRESS bias;               /* [n] f32; 0 = none */
    PM_ADDRESS x;                  /* [rows, x_stride] f32; of matmul_dot.comp: q8_block.h */
    PM_ADDRESS y;                  /* [rows, y_stride] f32 */
    PM_ADDRESS rows;               /* u32 */
    PM_U32 n;                      /* outputs */
    PM_U32 blocks;                 /* ceil(k / 32) */
    PM_U32 group_pieces, group_scales; /* bytes of one group of weight rows */
    PM_U32 x_stride, y_stride;     /* floats */
PM_PUSH_END(pm_push_matmul)

#endif /* PM_PUSH_MATMUL_H */

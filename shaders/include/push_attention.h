/* push_attention.h - push constants of attention.comp and attention_reduce.comp. */
#ifndef PM_PUSH_ATTENTION_H
#define PM_PUSH_ATTENTION_H
#include "pm_shared.h"

#define PM_SPEC_ATTENTION_HEAD_DIM 8
#define PM_SPEC_ATTENTION_ROWS 9   /* rows of q in a workgroup */
#define PM_SPEC_ATTENTION_HEADS 10 /* heads of q in a workgroup; they share one KV head */
#define PM_SPEC_ATTENTION_PAGE 11  /* tokens of a page */
#define PM_SPEC_ATTENTION_RUN 12   /* tiles that are summed apart; 0 = by splits alone */
#define PM_ATTENTION_UNROLLED 256  /* floats of q in a workgroup up to which attention_texels.comp has no loops in a tile */
/* Of attention_coopmat.comp, see there. */
#define PM_SPEC_ATTENTION_M 16
#define PM_SPEC_ATTENTION_N 17
#define PM_SPEC_ATTENTION_K 18
#define PM_SPEC_ATTENTION_TILE 19
#define PM_SPEC_ATTENTION_SUBGROUPS 20

PM_PUSH_BEGIN(pm_push_attention)
    PM_ADDRESS q;                  /* [rows, q_stride] f32 */
    PM_ADDRESS out_;               /* [rows, out_stride] f32 */
    PM_ADDRESS kv;                 /* pages of this layer */
    PM_ADDRESS block_tables;       /* [seqs, table_stride] u32 */
    PM_ADDRESS row_seq;            /* [rows] u32 */
    PM_ADDRESS row_start;          /* [seqs + 1] u32 */
    PM_ADDRESS kv_len;             /* [seqs] u32 */
    PM_ADDRESS rows;               /* u32 */
    PM_ADDRESS scratch;            /* [rows, heads, splits, head_dim + 2] f32, when splits > 1 */
    PM_U32 q_stride, out_stride;   /* floats */
    PM_U32 table_stride;           /* u32s */
    PM_U32 page_bytes;
    PM_U32 heads, kv_heads;
    PM_U32 splits;
    PM_U32 window;                 /* tokens; 0 = all */
    PM_F32 scale;
PM_PUSH_END(pm_push_attention)

#endif /* PM_PUSH_ATTENTION_H */

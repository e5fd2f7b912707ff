/* sample_row.h - how the token of one row of logits is picked: what C and GLSL share.
 *
 * src/sample/pick.h is the definition of what these words mean, sample.comp the same on a device.
 */
#ifndef PM_SAMPLE_ROW_H
#define PM_SAMPLE_ROW_H
#include "pm_shared.h"

#ifdef GL_core_profile
#define PM_STRUCT_BEGIN(name) struct name {
#define PM_STRUCT_END(name)   };
#else
#define PM_STRUCT_BEGIN(name) typedef struct name {
#define PM_STRUCT_END(name)   } name;
#endif

/* pm_sample_row.flags */
#define PM_SAMPLE_DRAW 1u          /* else greedy */
#define PM_SAMPLE_IN_FLIGHT 2u     /* the row's input token is not in its edits yet: it was said once more,
                                    * and just now */
#define PM_SAMPLE_LOGPROBS 4u

/* pm_sample_edit.said: how often the token was generated, and this bit, when it is among those
 * that the repetition penalty looks at. */
#define PM_SAMPLE_RECENT 0x80000000u

/* Results, bits. */
#define PM_SAMPLE_NAN 1u           /* some logit is NaN */
#define PM_SAMPLE_NONE 2u          /* no token can be picked: all are NaN, -inf or masked */

#define PM_SAMPLE_NO_TOKEN 0xffffffffu
#define PM_SAMPLE_TOP_MAX 20u
#define PM_SAMPLE_VOCAB_MAX 0x7ffffu /* so that a sum of weights has 64 bits */
#define PM_SAMPLE_ROW_WORDS 16u
#define PM_SAMPLE_EDIT_WORDS 3u
#define PM_SAMPLE_LOGPROBS_WORDS 42u

PM_STRUCT_BEGIN(pm_sample_row)
    PM_U32 flags;
    PM_U32 random_low, random_high; /* 64 random bits: sample/rng.h */
    PM_F32 scale;                  /* log2(e) / temperature */
    PM_U32 top_k;                  /* 0 = off */
    PM_U32 top_p;                  /* in 2^-32; 0 = off */
    PM_F32 min_log;                /* ln(min_p), at most 0; -FLT_MAX = off */
    PM_F32 repeat, repeat_inverse; /* penalty and its reciprocal; 1 = off */
    PM_F32 presence, frequency;    /* penalties; 0 = off */
    PM_U32 edit_start, edit_count; /* of the step's edits; a token at most once a row */
    PM_U32 mask;                   /* 0 = none, else its number in the step's masks + 1 */
    PM_U32 top_logprobs;           /* with PM_SAMPLE_LOGPROBS; at most PM_SAMPLE_TOP_MAX */
    PM_U32 zero;
PM_STRUCT_END(pm_sample_row)

PM_STRUCT_BEGIN(pm_sample_edit)
    PM_U32 token;                  /* below the vocabulary */
    PM_U32 said;
    PM_F32 bias;                   /* added first; -inf: never this token */
PM_STRUCT_END(pm_sample_edit)

/* Of the logits as the model gave them. */
PM_STRUCT_BEGIN(pm_sample_logprobs)
    PM_F32 picked;                 /* of the token that was picked */
    PM_U32 count;                  /* of those below */
    PM_U32 id[PM_SAMPLE_TOP_MAX];  /* the likeliest first, of equals the smaller */
    PM_F32 logprob[PM_SAMPLE_TOP_MAX];
PM_STRUCT_END(pm_sample_logprobs)

/* 2^f for f in [0, 1] as a polynomial, 1 + f (c1 + f (c2 + ...)); relative error 9e-8 in f32. */
#define PM_EXP2_C1 0.693147063255
#define PM_EXP2_C2 0.240229308605
#define PM_EXP2_C3 0.055485282093
#define PM_EXP2_C4 0.009675451554
#define PM_EXP2_C5 0.001246784464
#define PM_EXP2_C6 0.000216129236

#endif /* PM_SAMPLE_ROW_H */

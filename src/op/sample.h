/* op/sample.h - the next token of each row of logits, as its own parameters say. Floor 2.
 *
 * What each row does is defined by src/sample/pick.h, and the token is the same to the bit: what is
 * compared and summed are integers, made from the logits by single operations in f32.
 *
 * Where all rows of a batch are greedy and without edits, op/argmax.h does the same for a little less:
 * the three other dispatches. On a CPU driver the host's sampler is as fast or faster.
 *
 * The parts run one after the other; each row that does not need a part ends at once:
 *   sample_edit      biases and penalties, written into the logits; the old ones are saved
 *   sample           the token
 *   sample_edit      the saved logits go back, so that logits are again what the model gave
 *   sample_logprobs  log-probabilities by these
 */
#ifndef PM_OP_SAMPLE_H
#define PM_OP_SAMPLE_H

#include "sample_row.h"
#include "vk/record.h"

typedef struct pm_sample_op {
    pm_slice logits;               /* [rows_max, stride] f32; rows at multiples of 16 bytes */
    pm_slice rows;                 /* u32 rows present */
    pm_slice params;               /* [rows_max] pm_sample_row */
    pm_slice edits;                /* [edits_max] pm_sample_edit; a row's follow each other */
    pm_slice masks;                /* [masks, ceil(n / 32)] u32: bit t % 32 of word t / 32 set = token t may come;
                                    * no slice when no row has one */
    pm_slice inputs;               /* u32 tokens of the step's rows, none of them PM_TOKEN_PICKED any more */
    pm_slice input_rows;           /* [rows_max] u32: the row of `inputs` that made these logits */
    pm_slice saved;                /* pm_sample_saved_bytes(), for the op alone */
    pm_slice tokens;               /* [rows_max] u32; PM_SAMPLE_NO_TOKEN with PM_SAMPLE_NONE */
    pm_slice flags;                /* [rows_max] u32 PM_SAMPLE_NAN, PM_SAMPLE_NONE */
    pm_slice logprobs;             /* [rows_max] pm_sample_logprobs, of the rows with PM_SAMPLE_LOGPROBS;
                                    * no slice: nobody asks */
    uint32_t rows_max, n, stride;  /* n: the vocabulary, at most PM_SAMPLE_VOCAB_MAX; stride: a multiple of 4 */
    uint32_t edits_max;            /* 0: no row has edits or PM_SAMPLE_IN_FLIGHT, and the edit passes are left out */
    uint32_t lanes;                /* of a row's workgroup: 32, 64, 128 or 256; 0 = what suits the device */
} pm_sample_op;

static inline uint64_t pm_sample_saved_bytes(uint32_t edits_max, uint32_t rows_max)
{
    return ((uint64_t)edits_max + rows_max) * 4;
}

/* Errors: PM_ERR_UNSUP (a larger vocabulary), those of pm_vk_record(). */
PM_MUST_USE pm_result pm_sample_record(pm_vk_recorder *recorder, const pm_sample_op *s);

#endif /* PM_OP_SAMPLE_H */

/* text.h - a text of 2,048 tokens: what the reference gave after each, and how far its controls are from that.
 *
 * The demo model's held-out conversations, in sequences of their own. In a folder of vectors (vectors.h), all of one run of
 * pumice-cuda-capture:
 *
 *   model.text.0 .. 7      a sequence: of each position the token, the logit of the next, and a record (record.h) of the
 *                          exact reference's logits
 *   model.text.f32 ...     a control (control.h), whose rows are computed one at a time: of each position of all
 *                          sequences its divergence from the record
 *
 * So that the mean, the median and the 99th percentile of a control's KL, and what of them the first sequences alone
 * make, can be worked out again from what is recorded. */
#ifndef PM_TEST_CUDA_TEXT_H
#define PM_TEST_CUDA_TEXT_H

#include "cuda/control.h"
#include "cuda/record.h"
#include "cuda/vectors.h"

#define TEXT_SEQUENCES 8u
#define TEXT_TOKENS 256u           /* of each, a begin token first */
#define TEXT_POSITIONS (TEXT_SEQUENCES * TEXT_TOKENS)
#define TEXT_CHUNK 32u             /* rows at a time of the reference */
#define TEXT_CONTROL_CHUNK 1u
#define TEXT_TOP 28u
#define TEXT_VALUES (2 + RECORD_VALUES(TEXT_TOP)) /* of a position of a sequence: 61 KiB in all */
#define TEXT_POINT_VALUES 5u       /* of a position of a control: 40 KiB in all */

typedef struct cuda_text {
    cuda_vector source;            /* where all come from; without values */
    int32_t tokens[TEXT_POSITIONS];
    float values[TEXT_POSITIONS][TEXT_VALUES];
    divergence_point controls[CONTROLS][TEXT_POSITIONS];
} cuda_text;

/* tokens: [TEXT_POSITIONS] of the conversations in `conversations`, lines of JSON, by the model's tokenizer. False: `why`. */
bool cuda_text_tokens(const char *model, const char *conversations, int32_t *tokens, char *why, size_t capacity);

/* The token after that of position p (0 .. TEXT_POSITIONS - 1), or -1 at the end of a sequence. */
int32_t cuda_text_next(const int32_t *tokens, uint32_t p);

/* values: [TEXT_VALUES] of a position; logits: [vocab]. */
void cuda_text_record(const float *logits, uint32_t vocab, int32_t token, int32_t next, float *values);

/* How far logits [vocab] are from a position's values; next: the token that follows, or -1. */
divergence_point cuda_text_against(const float *values, int32_t next, const float *logits, uint32_t vocab);

/* values: [TEXT_POINT_VALUES] of a control's position, and back. */
void cuda_text_keep(const divergence_point *point, float *values);

/* Names of vectors: of sequence s, of control c. */
void cuda_text_sequence_name(uint32_t s, char name[64]);
void cuda_text_control_name(uint32_t c, char name[64]);

/* Reads and checks all of a folder, for a model of `vocab` tokens; the caller's to free(). NULL: `why`, which is empty where
 * the folder has none of them. */
cuda_text *cuda_text_read(const char *folder, uint32_t vocab, char *why, size_t capacity);

#endif /* PM_TEST_CUDA_TEXT_H */

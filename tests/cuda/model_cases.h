/* model_cases.h - the whole models that CUDA and Pumice are compared on. */
#ifndef PM_TEST_CUDA_MODEL_CASES_H
#define PM_TEST_CUDA_MODEL_CASES_H

#include "cuda/record.h"
#include "cuda/vectors.h"

#define MODEL_TOKENS_MAX 384u

/* Of each recorded position: a record (record.h). */
#define MODEL_TOP 64u
#define MODEL_VALUES RECORD_VALUES(MODEL_TOP)

typedef struct cuda_model_case {
    const char *name;              /* "model.demo", "model.layer" */
    uint32_t positions;            /* recorded: the last ones of equal parts of the tokens */
    uint32_t chunk, control_chunk; /* rows at a time: of the reference, of its control */
} cuda_model_case;

const cuda_model_case *cuda_model_cases(uint32_t *count);
const cuda_model_case *cuda_model_case_find(const char *name); /* NULL = none */

/* The tokens that it is scored on: [MODEL_TOKENS_MAX]; 0 when the file cannot be read: `why`. */
uint32_t cuda_model_tokens(const cuda_model_case *c, const char *path, int32_t *tokens, char *why, size_t capacity);

/* Hash of the file and the tokens. */
uint64_t cuda_model_inputs(const char *path, const int32_t *tokens, uint32_t count);

/* The place in the tokens of recorded position i. */
static inline uint32_t cuda_model_position(const cuda_model_case *c, uint32_t count, uint32_t i)
{
    return (i + 1) * count / c->positions - 1;
}

#endif /* PM_TEST_CUDA_MODEL_CASES_H */

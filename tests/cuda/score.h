/* score.h - Pumice's logits of a text, through its engine, and what it computes them with. */
#ifndef PM_TEST_CUDA_SCORE_H
#define PM_TEST_CUDA_SCORE_H

#include "pumice.h"

/* Tokens of the file's vocabulary; fails the running test when it cannot be read. */
uint32_t score_vocab(const char *path);

/* Logits [sequences, count, vocab] after each token; the caller's to free(). tokens: [sequences, count], each sequence
 * on its own, `chunk` rows at a time. variants: for PUMICE_VARIANT, or NULL: as it chooses. Fails the
 * running test on any error. */
float *score(const char *path, const int32_t *tokens, uint32_t sequences, uint32_t count, uint32_t chunk, const char *variants,
             pm_kv_type kv_type);

/* The first row of each table, which needs no capability: "matmul:rows1,attention:decode". Static storage. */
const char *score_first_variants(void);

/* The same with the row of matmul that holds the most of those that need no optional capability: "matmul:tile64,...". */
const char *score_base_variants(void);

/* The control (control.h) of what Pumice chooses here, alone and for a chunk, with K and V in f16. */
uint32_t score_control(uint32_t chunk);

/* A row of matmul at this control's precision that takes a chunk at once, "matmul:dot32"; false: `lacks` says what for. */
bool score_forced(uint32_t control, uint32_t chunk, char *forced, size_t capacity, const char **lacks);

#endif /* PM_TEST_CUDA_SCORE_H */

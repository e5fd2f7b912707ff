/* gguf/imatrix.h - importance matrices: how much each column of a matrix matters. Floor 1.
 *
 * For each tensor the mean square of the activation that each of its columns met on some
 * text, per expert where there are experts. Two files hold it, both of llama.cpp's making:
 *   GGUF   general.type = "imatrix"; per tensor NAME.in_sum2, f32 [k, experts], the sums of
 *          squares, and NAME.counts, f32 [.., experts], how many rows went in
 *   older  i32 count, then per tensor: i32 length, name, i32 calls, i32 values, f32 [values];
 *          then maybe i32 chunks, i32 length, the text's name
 * Nothing in either is trusted: numbers must be finite and not negative, lengths must fit.
 */
#ifndef PM_GGUF_IMATRIX_H
#define PM_GGUF_IMATRIX_H

#include "base/error.h"

#include <stdint.h>

typedef struct pm_imatrix pm_imatrix;

/* *out: owned, pm_imatrix_close(). Errors: PM_ERR_IO; PM_ERR_FORMAT (path, tensor, expected,
 * actual); PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_imatrix_open(const char *path, pm_imatrix **out);

/* The same over bytes in memory, which need not outlive it; `name` is for messages. */
PM_MUST_USE pm_result pm_imatrix_open_memory(const void *data, uint64_t bytes, const char *name, pm_imatrix **out);
void pm_imatrix_close(pm_imatrix *imatrix); /* NULL is fine */

uint64_t pm_imatrix_count(const pm_imatrix *imatrix);   /* tensors */
uint32_t pm_imatrix_chunks(const pm_imatrix *imatrix);  /* of text; 0 = the file does not say */
const char *pm_imatrix_dataset(const pm_imatrix *imatrix); /* the text's name; "" = it does not say */

/* *importance: [experts][k] for the tensor, borrowed; NULL when the file has nothing on it.
 * Errors: PM_ERR_FORMAT (another number of values). */
PM_MUST_USE pm_result pm_imatrix_find(const pm_imatrix *imatrix, const char *tensor, uint64_t k, uint64_t experts,
                                      const float **importance);

#endif /* PM_GGUF_IMATRIX_H */

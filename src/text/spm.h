/* text/spm.h - SentencePiece BPE: of all neighbouring pairs that are a piece, the
 * one with the best score becomes one symbol, until there is none. Floor 1.
 *
 * Ties go to the leftmost pair. What is no piece in the end becomes its byte tokens,
 * or the unknown token, one for a run of them. Cost: O(n log n) for n bytes.
 * Source: Kudo and Richardson 2018, SentencePiece; its bpe model.
 */
#ifndef PM_TEXT_SPM_H
#define PM_TEXT_SPM_H

#include "text/ids.h"
#include "text/vocab.h"

/* text: any bytes, at most 2^30; space_first: as if a space went before.
 * Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_spm_encode(const pm_vocab *vocab, const char *text, size_t len, bool space_first,
                                    pm_ids *ids);

#endif /* PM_TEXT_SPM_H */

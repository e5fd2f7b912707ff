/* text/bpe.h - byte-level BPE: a word starts as its bytes, and of all neighbouring
 * pairs in the list of merges the earliest in the list becomes one symbol, until
 * there is none. Floor 1.
 *
 * Ties go to the leftmost pair. Cost: O(n log n) for a word of n bytes.
 * Source: Sennrich et al. 2016; Radford et al. 2019.
 */
#ifndef PM_TEXT_BPE_H
#define PM_TEXT_BPE_H

#include "base/str.h"
#include "text/ids.h"
#include "text/vocab.h"

/* Symbols below vocab.pieces.count are tokens; the others are strings that only
 * occur inside merges, or bytes without a token. Immutable after init. */
typedef struct pm_bpe {
    pm_pieces extra;               /* strings of symbols count, count + 1, ... */
    uint32_t byte_symbols[256];
    struct pm_bpe_rule *rules;     /* [rule_slots] open addressing by pair; owned */
    uint32_t rule_slots;           /* a power of two */
    bool whole_words;              /* a word that is a token needs no merges (Llama 3) */
} pm_bpe;

/* Errors: PM_ERR_FORMAT (names the merge), PM_ERR_NOMEM, PM_ERR_UNSUP. */
PM_MUST_USE pm_result pm_bpe_init(pm_bpe *bpe, const pm_vocab *vocab, const pm_text *merges, size_t merge_count,
                                  bool whole_words);
void pm_bpe_finish(pm_bpe *bpe);   /* fine on zeroed memory */

/* Memory for one call of pm_tokenize(), reused from word to word. All zero at first. */
typedef struct pm_bpe_work {
    struct pm_bpe_symbol *symbols; /* owned */
    struct pm_merge *queue;        /* owned */
    char *letters;                 /* owned */
    size_t capacity;               /* bytes of the longest word so far */
} pm_bpe_work;
void pm_bpe_work_finish(pm_bpe_work *work);

/* word: any bytes, at most 2^30. Bytes that have no token become the unknown
 * token, or nothing where there is none. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_bpe_encode(const pm_bpe *bpe, const pm_vocab *vocab, const char *word, size_t len,
                                    pm_bpe_work *work, pm_ids *ids);

#endif /* PM_TEXT_BPE_H */

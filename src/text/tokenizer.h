/* text/tokenizer.h - what a pm_tokenizer is made of. Floor 1; only text/ looks in.
 *
 * Everything is immutable after creation; memory for a call belongs to the call.
 */
#ifndef PM_TEXT_TOKENIZER_H
#define PM_TEXT_TOKENIZER_H

#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/special.h"

struct pm_tokenizer {
    pm_vocab vocab;
    pm_special special;
    pm_bpe bpe;                    /* of byte-level vocabularies, as pre */
    pm_pretokenizer pre;
};

#endif /* PM_TEXT_TOKENIZER_H */

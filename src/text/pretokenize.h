/* text/pretokenize.h - cuts a text into the words that merges never cross. Floor 1.
 *
 * A pre-tokenizer is a list of regular expressions. Each is run over the pieces
 * that those before it left: every match is a piece, and so is what lies between
 * matches. The names are those of tokenizer.ggml.pre; the expressions are the
 * published ones of the models' tokenizer files.
 * PCRE2 with UTF and UCP, compiled to machine code where the system allows it.
 */
#ifndef PM_TEXT_PRETOKENIZE_H
#define PM_TEXT_PRETOKENIZE_H

#include "text/vocab.h"

enum { PM_PRETOKENIZE_PATTERNS = 6 };

/* Immutable after init: any number of threads may use one. */
typedef struct pm_pretokenizer {
    struct pcre2_real_general_context_8 *memory;
    struct pcre2_real_match_context_8 *limits;
    struct pcre2_real_code_8 *patterns[PM_PRETOKENIZE_PATTERNS];
    uint32_t pattern_count;
    bool compose;                  /* the text is brought into NFC before it is cut */
    bool whole_words;              /* a word that is a token needs no merges */
} pm_pretokenizer;

/* name: empty = "default". Errors: PM_ERR_UNSUP (lists the names known),
 * PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_pretokenizer_init(pm_pretokenizer *pre, pm_text name);
void pm_pretokenizer_finish(pm_pretokenizer *pre);  /* fine on zeroed memory */

/* Ends of words: offsets in the text, ascending, the last one its length. */
typedef struct pm_cuts {
    uint32_t *ends;                /* owned */
    size_t count, capacity;
} pm_cuts;
void pm_cuts_finish(pm_cuts *cuts);

/* text: well-formed UTF-8, at most 2^30 bytes. cuts and spare are overwritten and
 * keep their memory. Errors: PM_ERR_NOMEM, PM_ERR_UNSUP (PCRE2 gave up). */
PM_MUST_USE pm_result pm_pretokenize(const pm_pretokenizer *pre, const char *text, size_t len, pm_cuts *cuts,
                                     pm_cuts *spare);

#endif /* PM_TEXT_PRETOKENIZE_H */

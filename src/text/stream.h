/* text/stream.h - tokens to text, never half a UTF-8 character. Floor 1. */
#ifndef PM_TEXT_STREAM_H
#define PM_TEXT_STREAM_H

#include "base/str.h"

/* One sequence's output. Bytes of an unfinished character are held back until the
 * tokens that complete it; bytes that can never become valid are emitted as
 * U+FFFD. Init with pm_stream_init(), no allocation afterwards up to `capacity`. */
typedef struct pm_stream {
    const pm_tokenizer *tokenizer; /* borrowed */
    char held[4];                  /* start of an unfinished character */
    uint32_t held_len;
    bool first;                    /* nothing was emitted yet: SPM drops one leading space */
} pm_stream;

/* after_prompt: tokens went before, so a leading space of the first piece stays. */
void pm_stream_init(pm_stream *stream, const pm_tokenizer *tokenizer, bool after_prompt);

/* Appends the text that `token` makes complete to out: at most
 * pm_stream_token_bytes_max() bytes. Control tokens give nothing.
 * Errors: PM_ERR_ARG (id outside the vocabulary), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_stream_push(pm_stream *stream, int32_t token, pm_str *out);

/* At the end: what is still held, as U+FFFD. */
PM_MUST_USE pm_result pm_stream_flush(pm_stream *stream, pm_str *out);

/* Most bytes one push can append with this vocabulary. */
size_t pm_stream_token_bytes_max(const pm_tokenizer *tokenizer);

#endif /* PM_TEXT_STREAM_H */

/* text/stream.c - bytes of tokens, put together to whole characters. */
#include "text/stream.h"

#include "text/tokenizer.h"
#include "text/utf8.h"

#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */
enum { REPLACEMENT_BYTES = 3 };

void pm_stream_init(pm_stream *stream, const pm_tokenizer *tokenizer, bool after_prompt)
{
    *stream = (pm_stream){.tokenizer = tokenizer, .first = !after_prompt};
}

size_t pm_stream_token_bytes_max(const pm_tokenizer *tokenizer)
{
    /* each byte alone, and what was held, may come out as U+FFFD */
    return ((size_t)tokenizer->vocab.text_bytes_max + 1) * REPLACEMENT_BYTES;
}

/* Appends what text[0 .. len) makes complete; the rest, of less than four bytes,
 * stays in stream->held. */
static pm_result append_whole(pm_stream *stream, const char *text, size_t len, pm_str *out)
{
    for (size_t at = 0; at < len;) {
        const size_t good = pm_utf8_prefix(text + at, len - at);
        PM_TRY(pm_str_append(out, text + at, good));
        at += good;
        if (at == len)
            break;
        uint32_t size;
        if (pm_utf8_next(text + at, len - at, &size) == PM_UTF8_CUT) {
            memcpy(stream->held, text + at, len - at);
            stream->held_len = (uint32_t)(len - at);
            break;
        }
        PM_TRY(pm_str_append(out, replacement, REPLACEMENT_BYTES));
        at += size;
    }
    return PM_OK;
}

/* One byte after those held: they become a character, stay held, or are replaced. */
static pm_result push_after_held(pm_stream *stream, char byte, pm_str *out)
{
    char text[sizeof(stream->held) + 1];
    const size_t len = stream->held_len + 1;
    memcpy(text, stream->held, stream->held_len);
    text[len - 1] = byte;
    stream->held_len = 0;
    return append_whole(stream, text, len, out);
}

pm_result pm_stream_push(pm_stream *stream, int32_t token, pm_str *out)
{
    const pm_vocab *vocab = &stream->tokenizer->vocab;
    if (token < 0 || (uint32_t)token >= vocab->pieces.count)
        return pm_fail(PM_ERR_ARG, "token %d, expected 0 to %u", token, vocab->pieces.count - 1);
    if (pm_vocab_is_special(vocab, token))
        return PM_OK;
    pm_text piece = pm_vocab_text(vocab, token);
    PM_TRY(pm_str_reserve(out, out->len + pm_stream_token_bytes_max(stream->tokenizer)));
    if (stream->first && vocab->add_space_prefix && piece.len > 0 && piece.data[0] == ' ')
        piece = (pm_text){piece.data + 1, piece.len - 1};
    if (pm_vocab_text(vocab, token).len > 0)
        stream->first = false;
    size_t at = 0;
    for (; at < piece.len && stream->held_len > 0; at++)
        PM_TRY(push_after_held(stream, piece.data[at], out));
    return append_whole(stream, piece.data + at, piece.len - at, out);
}

pm_result pm_stream_flush(pm_stream *stream, pm_str *out)
{
    if (stream->held_len > 0)
        PM_TRY(pm_str_append(out, replacement, REPLACEMENT_BYTES));
    stream->held_len = 0;
    return PM_OK;
}

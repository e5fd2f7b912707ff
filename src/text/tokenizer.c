/* text/tokenizer.c - text to tokens and back: special tokens out of the text first,
 * then the vocabulary's own way for what lies between. */
#include "text/tokenizer.h"

#include "base/alloc.h"
#include "text/nfc.h"
#include "text/spm.h"
#include "text/utf8.h"

#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 30 };

pm_result pm_tokenizer_create_from(const pm_vocab_source *source, pm_tokenizer **out)
{
    pm_tokenizer *tokenizer = pm_alloc(1, sizeof(*tokenizer), "tokenizer");
    if (tokenizer == NULL)
        return PM_ERR_NOMEM;
    pm_result result;
    PM_TRY_GOTO(pm_vocab_init(&tokenizer->vocab, source));
    PM_TRY_GOTO(pm_special_init(&tokenizer->special, &tokenizer->vocab));
    if (tokenizer->vocab.kind == PM_VOCAB_BPE) {
        PM_TRY_GOTO(pm_pretokenizer_init(&tokenizer->pre, source->pre));
        PM_TRY_GOTO(pm_bpe_init(&tokenizer->bpe, &tokenizer->vocab, source->merges, source->merge_count,
                                tokenizer->pre.whole_words));
    }
    *out = tokenizer;
    return PM_OK;
fail:
    pm_tokenizer_destroy(tokenizer);
    return result;
}

void pm_tokenizer_destroy(pm_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    pm_bpe_finish(&tokenizer->bpe);
    pm_pretokenizer_finish(&tokenizer->pre);
    pm_special_finish(&tokenizer->special);
    pm_vocab_finish(&tokenizer->vocab);
    pm_free(tokenizer);
}

uint32_t pm_tokenizer_size(const pm_tokenizer *tokenizer)
{
    return tokenizer->vocab.pieces.count;
}

int32_t pm_tokenizer_bos(const pm_tokenizer *tokenizer)
{
    return tokenizer->vocab.bos;
}

int32_t pm_tokenizer_eos(const pm_tokenizer *tokenizer)
{
    return tokenizer->vocab.eos;
}

bool pm_tokenizer_is_end(const pm_tokenizer *tokenizer, int32_t token)
{
    return token >= 0 && (uint32_t)token < tokenizer->vocab.pieces.count && tokenizer->vocab.ends[token] != 0;
}

/* Memory of one pm_tokenize() of a byte-level vocabulary. */
typedef struct work {
    pm_str composed;
    pm_cuts cuts, spare;
    pm_bpe_work bpe;
} work;

static void work_finish(work *w)
{
    pm_str_finish(&w->composed);
    pm_cuts_finish(&w->cuts);
    pm_cuts_finish(&w->spare);
    pm_bpe_work_finish(&w->bpe);
}

/* text: well-formed UTF-8. */
static pm_result encode_words(const pm_tokenizer *t, const char *text, size_t len, work *w, pm_ids *ids)
{
    if (t->pre.compose && pm_nfc_may_change(text, len)) {
        pm_str_clear(&w->composed);
        PM_TRY(pm_nfc_append(text, len, &w->composed));
        text = w->composed.data;
        len = w->composed.len;
    }
    PM_TRY(pm_pretokenize(&t->pre, text, len, &w->cuts, &w->spare));
    size_t start = 0;
    for (size_t i = 0; i < w->cuts.count; i++) {
        PM_TRY(pm_bpe_encode(&t->bpe, &t->vocab, text + start, w->cuts.ends[i] - start, &w->bpe, ids));
        start = w->cuts.ends[i];
    }
    return PM_OK;
}

/* Ill-formed bytes are words of their own, one each. */
static pm_result encode_bytes(const pm_tokenizer *t, const char *text, size_t len, work *w, pm_ids *ids)
{
    while (len > 0) {
        const size_t good = pm_utf8_prefix(text, len);
        if (good > 0)
            PM_TRY(encode_words(t, text, good, w, ids));
        else
            PM_TRY(pm_bpe_encode(&t->bpe, &t->vocab, text, 1, &w->bpe, ids));
        text += good > 0 ? good : 1;
        len -= good > 0 ? good : 1;
    }
    return PM_OK;
}

/* A stretch without special tokens, from the beginning or behind one. */
static pm_result encode_stretch(const pm_tokenizer *t, const char *text, size_t len, work *w, pm_ids *ids)
{
    if (len == 0)
        return PM_OK;
    if (t->vocab.kind == PM_VOCAB_SPM)
        return pm_spm_encode(&t->vocab, text, len, t->vocab.add_space_prefix, ids);
    return encode_bytes(t, text, len, w, ids);
}

static pm_result encode_text(const pm_tokenizer *t, const char *text, size_t len, bool control, pm_ids *ids)
{
    work w = {0};
    pm_result result = PM_OK;
    for (size_t from = 0; from < len && result == PM_OK;) {
        size_t at, size;
        const int32_t token = pm_special_find(&t->special, &t->vocab, text, len, from, control, &at, &size);
        result = encode_stretch(t, text + from, at - from, &w, ids);
        if (token >= 0 && result == PM_OK)
            pm_ids_push(ids, token);
        from = at + size;
    }
    work_finish(&w);
    return result;
}

pm_result pm_tokenize(const pm_tokenizer *tokenizer, const char *text, size_t text_len, uint32_t flags,
                      int32_t *tokens, size_t capacity, size_t *count)
{
    if (text_len > TEXT_BYTES_MAX)
        return pm_fail(PM_ERR_ARG, "the text has %zu bytes, at most %d can be tokenized at once", text_len,
                       TEXT_BYTES_MAX);
    if ((flags & ~(uint32_t)(PM_TOKENIZE_ADD_BOS | PM_TOKENIZE_SPECIAL)) != 0)
        return pm_fail(PM_ERR_ARG, "tokenize: unknown flags 0x%x", flags);
    const pm_vocab *vocab = &tokenizer->vocab;
    pm_ids ids = {.tokens = tokens, .capacity = capacity};
    const bool add = (flags & PM_TOKENIZE_ADD_BOS) != 0;
    if (add && vocab->add_bos)
        pm_ids_push(&ids, vocab->bos);
    PM_TRY(encode_text(tokenizer, text, text_len, (flags & PM_TOKENIZE_SPECIAL) != 0, &ids));
    if (add && vocab->add_eos)
        pm_ids_push(&ids, vocab->eos);
    *count = ids.count;
    if (ids.count > capacity)
        return pm_fail(PM_ERR_FULL, "the text has %zu tokens, there is room for %zu", ids.count, capacity);
    return PM_OK;
}

pm_result pm_detokenize(const pm_tokenizer *tokenizer, const int32_t *tokens, size_t count, bool special, char *text,
                        size_t capacity, size_t *len)
{
    const pm_vocab *vocab = &tokenizer->vocab;
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= vocab->pieces.count)
            return pm_fail(PM_ERR_ARG, "token %zu is %d, expected 0 to %u", i, tokens[i], vocab->pieces.count - 1);
    size_t bytes = 0;
    bool first = true; /* nothing was printed */
    for (size_t i = 0; i < count; i++) {
        if (!special && pm_vocab_is_special(vocab, tokens[i]))
            continue;
        pm_text piece = pm_vocab_text(vocab, tokens[i]);
        if (first && vocab->add_space_prefix && piece.len > 0 && piece.data[0] == ' ')
            piece = (pm_text){piece.data + 1, piece.len - 1};
        first = first && piece.len == 0 && pm_vocab_text(vocab, tokens[i]).len == 0;
        for (size_t b = 0; b < piece.len; b++, bytes++)
            if (bytes < capacity)
                text[bytes] = piece.data[b];
    }
    *len = bytes;
    if (bytes > capacity)
        return pm_fail(PM_ERR_FULL, "the text has %zu bytes, there is room for %zu", bytes, capacity);
    return PM_OK;
}

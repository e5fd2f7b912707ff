/* text/spm.c - SentencePiece BPE with byte fallback. */
#include "text/spm.h"

#include "base/alloc.h"
#include "base/half.h"
#include "text/heap.h"
#include "text/utf8.h"

#include <string.h>

static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 */

/* A stretch of a word, in a list from left to right. */
typedef struct symbol {
    uint32_t at, len;              /* bytes of the word; len 0: merged into its left neighbour */
    uint32_t previous, next;       /* NONE at the ends */
} symbol;

enum { NONE = -1 };

typedef struct work {
    const pm_vocab *vocab;
    char *text;                    /* the whole text, spaces written as U+2581; owned */
    uint32_t len;
    const char *word;              /* the part of text that is being merged */
    symbol *symbols;               /* [longest word]; owned */
    uint32_t count;
    pm_heap heap;                  /* its items are owned */
    bool unknown;                  /* the last token was the unknown token */
} work;

static void work_finish(work *w)
{
    pm_free(w->text);
    pm_free(w->symbols);
    pm_free(w->heap.items);
}

static bool is_mark(const char *text, uint32_t len)
{
    return len >= 3 && memcmp(text, space_mark, 3) == 0;
}

static pm_result mark_spaces(work *w, const char *text, size_t len, bool space_first)
{
    size_t spaces = space_first;
    for (size_t i = 0; i < len; i++)
        spaces += text[i] == ' ';
    w->text = pm_alloc(len + spaces * 3, 1, "text to tokenize");
    if (w->text == NULL)
        return PM_ERR_NOMEM;
    char *out = w->text;
    if (space_first) {
        memcpy(out, space_mark, 3);
        out += 3;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ' ') {
            memcpy(out, space_mark, 3);
            out += 3;
        } else {
            *out++ = text[i];
        }
    }
    w->len = (uint32_t)(out - w->text);
    return PM_OK;
}

/* Bytes of the word at `start`: up to a space that follows something else, or all the
 * rest where pieces may go on there. */
static uint32_t word_len(const work *w, uint32_t start)
{
    uint32_t at = start;
    if (!w->vocab->words_apart)
        return w->len - start;
    while (is_mark(w->text + at, w->len - at))
        at += 3;
    while (at < w->len && !is_mark(w->text + at, w->len - at)) {
        const char *lead = memchr(w->text + at + 1, space_mark[0], w->len - at - 1);
        at = lead != NULL ? (uint32_t)(lead - w->text) : w->len;
    }
    return at - start;
}

static pm_result reserve(work *w)
{
    uint32_t longest = 0;
    for (uint32_t start = 0, len; start < w->len; start += len) {
        len = word_len(w, start);
        longest = len > longest ? len : longest;
    }
    w->symbols = pm_alloc(longest, sizeof(*w->symbols), "tokenizer symbols");
    w->heap.items = pm_alloc((size_t)longest * 3, sizeof(*w->heap.items), "tokenizer queue");
    return w->symbols == NULL || w->heap.items == NULL ? PM_ERR_NOMEM : PM_OK;
}

/* One symbol per character; an ill-formed byte is a symbol of its own. */
static void cut_symbols(work *w, uint32_t len)
{
    uint32_t count = 0, size;
    for (uint32_t at = 0; at < len; at += size, count++) {
        if (pm_utf8_next(w->word + at, len - at, &size) != PM_UTF8_WHOLE)
            size = 1;
        w->symbols[count] = (symbol){at, size, count - 1, count + 1};
    }
    w->symbols[count - 1].next = (uint32_t)NONE;
    w->count = count;
}

/* Larger scores give smaller keys, as unsigned numbers, and then the left ones. */
static uint64_t merge_key(float score, uint32_t left)
{
    const uint32_t bits = pm_f32_bits(score == 0.0f ? 0.0f : score);
    const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)~ascending << 32 | left;
}

/* Queues the pair when it is a piece. */
static void offer(work *w, uint32_t left, uint32_t right)
{
    if (left == (uint32_t)NONE || right == (uint32_t)NONE)
        return;
    const symbol *l = &w->symbols[left], *r = &w->symbols[right];
    const uint32_t len = l->len + r->len;
    if (len > w->vocab->piece_bytes_max)
        return;
    const int32_t id = pm_vocab_find(w->vocab, w->word + l->at, len);
    if (id >= 0)
        pm_heap_push(&w->heap, (pm_merge){merge_key(w->vocab->scores[id], left), right, len});
}

static void merge_all(work *w)
{
    for (uint32_t i = 1; i < w->count; i++)
        offer(w, i - 1, i);
    while (w->heap.count > 0) {
        const pm_merge merge = pm_heap_pop(&w->heap);
        const uint32_t at = pm_merge_left(merge);
        symbol *left = &w->symbols[at], *right = &w->symbols[merge.right];
        if (left->len == 0 || right->len == 0 || left->len + right->len != merge.check)
            continue; /* one of the two has become something else */
        left->len = merge.check;
        right->len = 0;
        left->next = right->next;
        if (right->next != (uint32_t)NONE)
            w->symbols[right->next].previous = at;
        offer(w, left->previous, at);
        offer(w, at, left->next);
    }
}

/* A character that is no piece: true when its bytes have tokens. */
static bool push_bytes(const pm_vocab *vocab, const char *text, uint32_t len, pm_ids *ids)
{
    if (is_mark(text, len)) { /* it was a space */
        if (vocab->byte_tokens[' '] >= 0)
            pm_ids_push(ids, vocab->byte_tokens[' ']);
        return vocab->byte_tokens[' '] >= 0;
    }
    for (uint32_t i = 0; i < len; i++)
        if (vocab->byte_tokens[(unsigned char)text[i]] < 0)
            return false;
    for (uint32_t i = 0; i < len; i++)
        pm_ids_push(ids, vocab->byte_tokens[(unsigned char)text[i]]);
    return true;
}

static void push_all(work *w, pm_ids *ids)
{
    for (uint32_t i = 0; i < w->count; i = w->symbols[i].next) {
        const char *text = w->word + w->symbols[i].at;
        const uint32_t len = w->symbols[i].len;
        const int32_t id = pm_vocab_find(w->vocab, text, len);
        const bool known = id >= 0 || push_bytes(w->vocab, text, len, ids);
        if (id >= 0)
            pm_ids_push(ids, id);
        else if (!known && !w->unknown && w->vocab->unk >= 0)
            pm_ids_push(ids, w->vocab->unk);
        w->unknown = !known;
    }
}

pm_result pm_spm_encode(const pm_vocab *vocab, const char *text, size_t len, bool space_first, pm_ids *ids)
{
    work w = {.vocab = vocab};
    pm_result result;
    PM_TRY_GOTO(mark_spaces(&w, text, len, space_first));
    PM_TRY_GOTO(reserve(&w));
    for (uint32_t start = 0, bytes; start < w.len; start += bytes) {
        bytes = word_len(&w, start);
        w.word = w.text + start;
        cut_symbols(&w, bytes);
        merge_all(&w);
        push_all(&w, ids);
    }
fail:
    work_finish(&w);
    return result;
}

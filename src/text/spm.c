/* text/spm.c - SentencePiece BPE with byte fallback. */
#include "text/spm.h"

#include "base/alloc.h"
#include "base/half.h"
#include "text/heap.h"
#include "text/utf8.h"

#include <string.h>

static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 */

/* A stretch of the marked text, in a list from left to right. */
typedef struct symbol {
    uint32_t at, len;              /* len 0: merged into its left neighbour */
    uint32_t previous, next;       /* NONE at the ends */
} symbol;

enum { NONE = -1 };

typedef struct work {
    const pm_vocab *vocab;
    char *text;                    /* spaces written as U+2581; owned */
    uint32_t len;
    symbol *symbols;               /* owned */
    uint32_t count;
    pm_heap heap;                  /* its items are owned */
} work;

static void work_finish(work *w)
{
    pm_free(w->text);
    pm_free(w->symbols);
    pm_free(w->heap.items);
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

/* One symbol per character; an ill-formed byte is a symbol of its own. */
static uint32_t cut_symbols(const work *w, symbol *symbols)
{
    uint32_t count = 0, size;
    for (uint32_t at = 0; at < w->len; at += size) {
        if (pm_utf8_next(w->text + at, w->len - at, &size) != PM_UTF8_WHOLE)
            size = 1;
        if (symbols != NULL)
            symbols[count] = (symbol){at, size, count - 1, count + 1};
        count++;
    }
    if (symbols != NULL && count > 0)
        symbols[count - 1].next = (uint32_t)NONE;
    return count;
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
    const int32_t id = pm_vocab_find(w->vocab, w->text + l->at, len);
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
    if (len == 3 && memcmp(text, space_mark, 3) == 0) { /* it was a space */
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

static void push_all(const work *w, pm_ids *ids)
{
    bool unknown = false; /* the symbol before was */
    for (uint32_t i = 0; i < w->count; i = w->symbols[i].next) {
        const char *text = w->text + w->symbols[i].at;
        const uint32_t len = w->symbols[i].len;
        const int32_t id = pm_vocab_find(w->vocab, text, len);
        const bool known = id >= 0 || push_bytes(w->vocab, text, len, ids);
        if (id >= 0)
            pm_ids_push(ids, id);
        else if (!known && !unknown && w->vocab->unk >= 0)
            pm_ids_push(ids, w->vocab->unk);
        unknown = !known;
    }
}

pm_result pm_spm_encode(const pm_vocab *vocab, const char *text, size_t len, bool space_first, pm_ids *ids)
{
    work w = {.vocab = vocab};
    pm_result result;
    PM_TRY_GOTO(mark_spaces(&w, text, len, space_first));
    w.count = cut_symbols(&w, NULL);
    w.symbols = pm_alloc(w.count, sizeof(*w.symbols), "tokenizer symbols");
    w.heap.items = pm_alloc((size_t)w.count * 3, sizeof(*w.heap.items), "tokenizer queue");
    result = w.symbols == NULL || w.heap.items == NULL ? PM_ERR_NOMEM : PM_OK;
    if (result == PM_OK) {
        (void)cut_symbols(&w, w.symbols);
        merge_all(&w);
        push_all(&w, ids);
    }
fail:
    work_finish(&w);
    return result;
}

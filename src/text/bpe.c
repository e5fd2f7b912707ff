/* text/bpe.c - byte-level BPE over pairs of symbol numbers. */
#include "text/bpe.h"

#include "base/alloc.h"
#include "base/hash.h"
#include "text/byte_level.h"
#include "text/heap.h"

#include <string.h>

#define NONE UINT32_MAX

typedef struct pm_bpe_rule {
    uint32_t left, right;          /* symbols; left NONE = an empty slot */
    uint32_t rank;                 /* place in the list of merges */
    uint32_t result;               /* symbol */
} rule;

typedef struct pm_bpe_symbol {
    uint32_t id;                   /* NONE = merged into its left neighbour */
    uint32_t previous, next;
} symbol;

void pm_bpe_finish(pm_bpe *bpe)
{
    pm_pieces_finish(&bpe->extra);
    pm_free(bpe->rules);
    *bpe = (pm_bpe){0};
}

static rule *rule_slot(const pm_bpe *bpe, uint32_t left, uint32_t right)
{
    uint32_t at = (uint32_t)pm_mix64((uint64_t)left << 32 | right) & (bpe->rule_slots - 1);
    while (bpe->rules[at].left != NONE && (bpe->rules[at].left != left || bpe->rules[at].right != right))
        at = (at + 1) & (bpe->rule_slots - 1);
    return &bpe->rules[at];
}

/* The symbol of a string: its token, or a number of its own. */
static pm_result symbol_of(pm_bpe *bpe, const pm_vocab *vocab, const char *piece, size_t len, uint32_t *out)
{
    const int32_t id = pm_vocab_find(vocab, piece, len);
    if (id >= 0) {
        *out = (uint32_t)id;
        return PM_OK;
    }
    uint32_t number = pm_pieces_find(&bpe->extra, piece, len);
    if (number == PM_PIECE_NONE) {
        number = bpe->extra.count;
        PM_TRY(pm_pieces_add(&bpe->extra, piece, len));
    }
    *out = vocab->pieces.count + number;
    return PM_OK;
}

static pm_result init_bytes(pm_bpe *bpe, const pm_vocab *vocab)
{
    for (int byte = 0; byte < 256; byte++) {
        char piece[4];
        const uint32_t len = pm_utf8_encode(pm_byte_to_char((unsigned char)byte), piece);
        PM_TRY(symbol_of(bpe, vocab, piece, len, &bpe->byte_symbols[byte]));
    }
    return PM_OK;
}

static pm_result add_rule(pm_bpe *bpe, const pm_vocab *vocab, pm_text merge, uint32_t rank, pm_str *joined)
{
    const char *space = merge.len > 2 ? memchr(merge.data + 1, ' ', merge.len - 2) : NULL;
    if (space == NULL)
        return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.merges: entry %u is '%.*s', expected two strings and a space "
                       "between them", rank, (int)(merge.len < 64 ? merge.len : 64), merge.len > 0 ? merge.data : "");
    const size_t left_len = (size_t)(space - merge.data), right_len = merge.len - left_len - 1;
    uint32_t left, right, result;
    pm_str_clear(joined);
    PM_TRY(pm_str_append(joined, merge.data, left_len));
    PM_TRY(pm_str_append(joined, space + 1, right_len));
    PM_TRY(symbol_of(bpe, vocab, merge.data, left_len, &left));
    PM_TRY(symbol_of(bpe, vocab, space + 1, right_len, &right));
    PM_TRY(symbol_of(bpe, vocab, joined->data, joined->len, &result));
    rule *slot = rule_slot(bpe, left, right);
    if (slot->left == NONE)
        *slot = (rule){left, right, rank, result};
    return PM_OK;
}

pm_result pm_bpe_init(pm_bpe *bpe, const pm_vocab *vocab, const pm_text *merges, size_t merge_count, bool whole_words)
{
    *bpe = (pm_bpe){.whole_words = whole_words};
    pm_str joined = {0};
    pm_result result;
    if (merge_count > (size_t)INT32_MAX / 4)
        return pm_fail(PM_ERR_UNSUP, "tokenizer.ggml.merges: %zu entries, at most %d are supported", merge_count,
                       INT32_MAX / 4);
    bpe->rule_slots = 16;
    while (bpe->rule_slots < merge_count * 2)
        bpe->rule_slots *= 2;
    bpe->rules = pm_alloc(bpe->rule_slots, sizeof(*bpe->rules), "merge rules");
    if (bpe->rules == NULL)
        return PM_ERR_NOMEM;
    memset(bpe->rules, 0xff, (size_t)bpe->rule_slots * sizeof(*bpe->rules));
    PM_TRY_GOTO(init_bytes(bpe, vocab));
    for (size_t i = 0; i < merge_count; i++)
        PM_TRY_GOTO(add_rule(bpe, vocab, merges[i], (uint32_t)i, &joined));
    pm_str_finish(&joined);
    return PM_OK;
fail:
    pm_str_finish(&joined);
    pm_bpe_finish(bpe);
    return result;
}

void pm_bpe_work_finish(pm_bpe_work *work)
{
    pm_free(work->symbols);
    pm_free(work->queue);
    pm_free(work->letters);
    *work = (pm_bpe_work){0};
}

static pm_result work_reserve(pm_bpe_work *work, size_t len)
{
    if (len <= work->capacity)
        return PM_OK;
    const size_t capacity = len < 256 ? 256 : len + len / 2;
    pm_bpe_work_finish(work);
    work->symbols = pm_alloc(capacity, sizeof(*work->symbols), "tokenizer symbols");
    work->queue = pm_alloc(capacity * 3, sizeof(*work->queue), "tokenizer queue");
    work->letters = pm_alloc(capacity * 2, 1, "tokenizer letters");
    if (work->symbols == NULL || work->queue == NULL || work->letters == NULL)
        return PM_ERR_NOMEM;
    work->capacity = capacity;
    return PM_OK;
}

static void offer(const pm_bpe *bpe, const symbol *symbols, uint32_t left, uint32_t right, pm_heap *heap)
{
    if (left == NONE || right == NONE)
        return;
    const rule *found = rule_slot(bpe, symbols[left].id, symbols[right].id);
    if (found->left != NONE)
        pm_heap_push(heap, (pm_merge){(uint64_t)found->rank << 32 | left, right, found->result});
}

static void merge_all(const pm_bpe *bpe, symbol *symbols, uint32_t count, pm_heap *heap)
{
    for (uint32_t i = 1; i < count; i++)
        offer(bpe, symbols, i - 1, i, heap);
    while (heap->count > 0) {
        const pm_merge merge = pm_heap_pop(heap);
        const uint32_t at = pm_merge_left(merge);
        symbol *left = &symbols[at], *right = &symbols[merge.right];
        if (left->id == NONE || left->next != merge.right)
            continue; /* one of the two is gone, or has become something else: */
        const rule *found = rule_slot(bpe, left->id, right->id);
        if (found->left == NONE || found->rank != (uint32_t)(merge.key >> 32))
            continue;
        left->id = merge.check;
        left->next = right->next;
        right->id = NONE;
        if (left->next != NONE)
            symbols[left->next].previous = at;
        offer(bpe, symbols, left->previous, at, heap);
        offer(bpe, symbols, at, left->next, heap);
    }
}

/* A symbol that is no token: as the tokens of its bytes. */
static void push_extra(const pm_bpe *bpe, const pm_vocab *vocab, uint32_t id, pm_ids *ids)
{
    uint32_t len, size;
    const char *piece = pm_pieces_get(&bpe->extra, id - vocab->pieces.count, &len);
    for (uint32_t at = 0; at < len; at += size) {
        const bool whole = pm_utf8_next(piece + at, len - at, &size) == PM_UTF8_WHOLE;
        const int byte = whole ? pm_char_to_byte(pm_utf8_decode(piece + at, size)) : -1;
        const int32_t token = byte >= 0 ? vocab->byte_tokens[byte] : -1;
        if (token >= 0 || vocab->unk >= 0)
            pm_ids_push(ids, token >= 0 ? token : vocab->unk);
    }
}

/* The token that the whole word is, or -1. */
static int32_t whole_word(const pm_vocab *vocab, const char *word, size_t len, char *letters)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += pm_utf8_encode(pm_byte_to_char((unsigned char)word[i]), letters + count);
    return pm_vocab_find(vocab, letters, count);
}

pm_result pm_bpe_encode(const pm_bpe *bpe, const pm_vocab *vocab, const char *word, size_t len, pm_bpe_work *work,
                        pm_ids *ids)
{
    PM_TRY(work_reserve(work, len));
    const int32_t whole = bpe->whole_words ? whole_word(vocab, word, len, work->letters) : -1;
    if (whole >= 0) {
        pm_ids_push(ids, whole);
        return PM_OK;
    }
    symbol *symbols = work->symbols;
    const uint32_t count = (uint32_t)len;
    for (uint32_t i = 0; i < count; i++)
        symbols[i] = (symbol){bpe->byte_symbols[(unsigned char)word[i]], i - 1, i + 1 < count ? i + 1 : NONE};
    pm_heap heap = {.items = work->queue};
    merge_all(bpe, symbols, count, &heap);
    for (uint32_t i = 0; i < count; i = symbols[i].next) {
        if (symbols[i].id < vocab->pieces.count)
            pm_ids_push(ids, (int32_t)symbols[i].id);
        else
            push_extra(bpe, vocab, symbols[i].id, ids);
    }
    return PM_OK;
}

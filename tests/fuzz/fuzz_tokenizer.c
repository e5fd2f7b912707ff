/* tests/fuzz/fuzz_tokenizer.c - any vocabulary and any text.
 *
 * Input: byte 0 chooses the vocabulary, byte 1 the pre-tokenizer and the flags, the
 * rest is the text. With the last vocabulary the input itself holds one: records
 * (type, score, length, bytes) up to a length of 255, merges (length, bytes) up to
 * 255, a chat template (length, bytes); then the text.
 * Held: no more than 3n + 3 tokens, all of them in the vocabulary; byte-level text
 * comes back byte for byte; streamed text is well-formed after every token.
 */
#include "base/alloc.h"
#include "text/byte_level.h"
#include "text/stream.h"
#include "text/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);     \
            abort();                                                            \
        }                                                                       \
    } while (0)

enum { PIECES_MAX = 512, TEXT_MAX = 1 << 14 };

static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "falcon", "deepseek-llm", "starcoder", "tekken",
                                   "gpt-4o", "deepseek-v3", "deepseek-coder", "default", "mpt"};
enum { PRES = sizeof(pres) / sizeof(pres[0]) };

static bool composes(const char *pre)
{
    return strcmp(pre, "qwen2") == 0 || strcmp(pre, "mpt") == 0;
}

/* ------------------------------------------------- vocabularies of our own */

typedef struct pieces {
    char bytes[PIECES_MAX][64];
    pm_text texts[PIECES_MAX];
    int32_t types[PIECES_MAX];
    float scores[PIECES_MAX];
    size_t count;
} pieces;

static void add(pieces *p, const char *piece, int32_t type, float score)
{
    const size_t len = strlen(piece);
    memcpy(p->bytes[p->count], piece, len);
    p->texts[p->count] = (pm_text){p->bytes[p->count], len};
    p->types[p->count] = type;
    p->scores[p->count++] = score;
}

static pm_vocab_source source_of(const pieces *p, const char *model, const char *pre)
{
    return (pm_vocab_source){
        .model = {model, strlen(model)}, .pre = {pre, strlen(pre)},
        .tokens = p->texts, .types = p->types, .scores = p->scores, .count = p->count,
        .bos = -1, .eos = -1, .unk = -1, .eot = -1, .eom = -1, .pad = -1,
        .add_bos = -1, .add_eos = -1, .add_space_prefix = -1,
    };
}

static pm_tokenizer *make(const pm_vocab_source *source)
{
    pm_tokenizer *tokenizer = NULL;
    HOLDS(pm_tokenizer_create_from(source, &tokenizer) == PM_OK);
    return tokenizer;
}

static pm_tokenizer *make_spm(bool bytes)
{
    static pieces p;
    p.count = 0;
    add(&p, "<unk>", PM_TOKEN_UNKNOWN, 0);
    add(&p, "<s>", PM_TOKEN_CONTROL, 0);
    add(&p, "</s>", PM_TOKEN_CONTROL, 0);
    for (int i = 0; bytes && i < 256; i++) {
        char piece[8];
        (void)snprintf(piece, sizeof(piece), "<0x%02X>", i);
        add(&p, piece, PM_TOKEN_BYTE, 0);
    }
    static const char *const words[] = {"\xe2\x96\x81", "a", "b", "aa", "ab", ("\xe2\x96\x81" "a"), "aaaa", "abab",
                                        "\xe2\x96\x81\xe2\x96\x81", "\xc3\xa9", "a\xc3\xa9", "<s", "s>", "1", "11"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        add(&p, words[i], PM_TOKEN_NORMAL, -(float)(i % 7));
    add(&p, "<t>", PM_TOKEN_USER_DEFINED, 0);
    const pm_vocab_source source = source_of(&p, "llama", "");
    return make(&source);
}

static pm_tokenizer *make_bpe(const char *pre)
{
    static pieces p;
    static const pm_text merges[] = {{"a a", 3}, {"a b", 3}, {"aa aa", 5}, {"ab ab", 5}, {"\xc4\xa0 a", 4},
                                     {"\xc3\x83 \xc2\xa9", 5}, {"1 1", 3}, {"\xc4\xa0 \xc4\xa0", 5}};
    p.count = 0;
    for (int byte = 0; byte < 256; byte++) {
        char piece[5] = "";
        (void)pm_utf8_encode(pm_byte_to_char((unsigned char)byte), piece);
        add(&p, piece, PM_TOKEN_NORMAL, 0);
    }
    static const char *const words[] = {"aa", "ab", "aaaa", "abab", ("\xc4\xa0" "a"), "\xc3\x83\xc2\xa9", "11"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        add(&p, words[i], PM_TOKEN_NORMAL, 0);
    add(&p, "<|im_start|>", PM_TOKEN_CONTROL, 0);
    add(&p, "<|im_end|>", PM_TOKEN_CONTROL, 0);
    add(&p, "  ", PM_TOKEN_USER_DEFINED, 0);
    pm_vocab_source source = source_of(&p, "gpt2", pre);
    source.merges = merges;
    source.merge_count = sizeof(merges) / sizeof(merges[0]);
    return make(&source);
}

/* ---------------------------------------------- a vocabulary from the input */

typedef struct cursor {
    const uint8_t *at;
    size_t left;
} cursor;

static uint8_t take(cursor *c)
{
    if (c->left == 0)
        return 255;
    c->left--;
    return *c->at++;
}

/* False at a length of 255 or the end of the input. */
static bool take_text(cursor *c, pm_text *out)
{
    const uint8_t len = take(c);
    if (len == 255 || len > c->left)
        return false;
    *out = (pm_text){(const char *)c->at, len};
    c->at += len;
    c->left -= len;
    return true;
}

/* NULL where the vocabulary is refused. */
static pm_tokenizer *make_from(cursor *c, uint8_t choice)
{
    static pieces p;
    static pm_text merges[PIECES_MAX];
    size_t merge_count = 0;
    for (p.count = 0; p.count < PIECES_MAX; p.count++) {
        p.types[p.count] = take(c) % 8;
        p.scores[p.count] = (float)(int8_t)take(c);
        if (!take_text(c, &p.texts[p.count]))
            break;
    }
    pm_vocab_source source = source_of(&p, choice & 1 ? "gpt2" : "llama", pres[choice % PRES]);
    while (merge_count < PIECES_MAX && take_text(c, &merges[merge_count]))
        merge_count++;
    source.merges = merges;
    source.merge_count = merge_count;
    source.bos = (int64_t)take(c) - 1;
    source.eos = (int64_t)take(c) - 1;
    source.unk = (int64_t)take(c) - 1;
    source.add_bos = choice & 2 ? 1 : -1;
    source.add_eos = choice & 4 ? 1 : -1;
    source.add_space_prefix = choice & 8 ? 1 : 0;
    (void)take_text(c, &source.chat_template);
    pm_tokenizer *tokenizer = NULL;
    const pm_result result = pm_tokenizer_create_from(&source, &tokenizer);
    HOLDS(result == PM_OK || result == PM_ERR_FORMAT || result == PM_ERR_UNSUP);
    return tokenizer;
}

/* ------------------------------------------------------------- properties */

static void check_stream(const pm_tokenizer *t, const int32_t *tokens, size_t count)
{
    pm_stream stream;
    pm_str out = {0};
    pm_stream_init(&stream, t, count % 2 == 0);
    for (size_t i = 0; i < count; i++) {
        const size_t before = out.len;
        HOLDS(pm_stream_push(&stream, tokens[i], &out) == PM_OK);
        HOLDS(out.len - before <= pm_stream_token_bytes_max(t));
        if (out.len > before)
            HOLDS(pm_utf8_prefix(out.data + before, out.len - before) == out.len - before);
    }
    HOLDS(pm_stream_flush(&stream, &out) == PM_OK);
    pm_str_finish(&out);
}

static void check_text(const pm_tokenizer *t, const char *text, size_t len, uint32_t flags, bool comes_back)
{
    static int32_t tokens[TEXT_MAX * 3 + 3];
    size_t count = 0, bytes = 0;
    HOLDS(pm_tokenize(t, text, len, flags, tokens, sizeof(tokens) / sizeof(tokens[0]), &count) == PM_OK);
    HOLDS(count <= len * 3 + 3);
    for (size_t i = 0; i < count; i++)
        HOLDS(tokens[i] >= 0 && (uint32_t)tokens[i] < pm_tokenizer_size(t));
    const pm_result sized = pm_detokenize(t, tokens, count, true, NULL, 0, &bytes);
    HOLDS(sized == PM_ERR_FULL || (sized == PM_OK && bytes == 0));
    char *back = malloc(bytes + 1);
    HOLDS(back != NULL);
    HOLDS(pm_detokenize(t, tokens, count, true, back, bytes, &bytes) == PM_OK);
    if (comes_back)
        HOLDS(bytes == len && memcmp(back, text, len) == 0);
    free(back);
    check_stream(t, tokens, count);
}

static void check_chat(const pm_tokenizer *t, const char *name)
{
    const pm_chat_message messages[] = {{"system", " Be. "}, {"user", "Hi"}, {"assistant", " Ho\n"}, {"user", ""}};
    char *text = NULL;
    size_t len = 0;
    const pm_result result = pm_chat_render(t, name, messages, 4, true, &text, &len);
    HOLDS(result == PM_OK || result == PM_ERR_UNSUP || result == PM_ERR_ARG);
    HOLDS(result != PM_OK || strlen(text) <= len);
    pm_string_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pm_tokenizer *spm[2], *bpe[PRES];
    cursor c = {data, size < TEXT_MAX ? size : TEXT_MAX};
    const uint8_t kind = take(&c), choice = take(&c);
    if (kind % 5 == 4) {
        pm_tokenizer *t = make_from(&c, choice);
        if (t != NULL) {
            check_text(t, (const char *)c.at, c.left, choice >> 6 & 3u, false);
            check_chat(t, NULL);
        }
        pm_tokenizer_destroy(t);
        return 0;
    }
    if (kind % 5 < 2) {
        if (spm[kind % 5] == NULL)
            spm[kind % 5] = make_spm(kind % 5 == 0);
        check_text(spm[kind % 5], (const char *)c.at, c.left, choice & 3u, false);
        return 0;
    }
    const size_t pre = choice / 4 % PRES;
    if (bpe[pre] == NULL)
        bpe[pre] = make_bpe(pres[pre]);
    check_text(bpe[pre], (const char *)c.at, c.left, choice & 3u, !composes(pres[pre]));
    return 0;
}

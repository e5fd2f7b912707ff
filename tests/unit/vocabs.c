/* tests/unit/vocabs.c - tokenizers and texts for tests. */
#include "unit/vocabs.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "gguf/gguf.h"
#include "text/byte_level.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIST_MAX = 400000 };

/* A vocabulary being written down: pieces with types and scores. */
typedef struct list {
    pm_text *texts;                /* their bytes are owned when `owned` */
    float *scores;
    int32_t *types;
    size_t count;
    bool owned;
} list;

static void *checked(void *block)
{
    assert_non_null(block);
    return block;
}

static list list_make(size_t capacity)
{
    return (list){.texts = checked(calloc(capacity, sizeof(pm_text))),
                  .scores = checked(calloc(capacity, sizeof(float))),
                  .types = checked(calloc(capacity, sizeof(int32_t)))};
}

static void list_set(list *l, size_t id, const char *piece, size_t len, int32_t type, float score)
{
    char *copy = checked(malloc(len + 1));
    memcpy(copy, piece, len);
    copy[len] = '\0';
    free((char *)(uintptr_t)l->texts[id].data);
    l->texts[id] = (pm_text){copy, len};
    l->scores[id] = score;
    l->types[id] = type;
    if (id >= l->count)
        l->count = id + 1;
}

static void list_add(list *l, const char *piece, int32_t type, float score)
{
    list_set(l, l->count, piece, strlen(piece), type, score);
}

static void list_free(list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free((char *)(uintptr_t)l->texts[i].data);
    free(l->texts);
    free(l->scores);
    free(l->types);
}

pm_vocab_source vocab_source(const char *model, const char *pre)
{
    pm_vocab_source source = {
        .bos = -1, .eos = -1, .unk = -1, .eot = -1, .eom = -1, .pad = -1,
        .add_bos = -1, .add_eos = -1, .add_space_prefix = -1,
    };
    source.model = (pm_text){model, strlen(model)};
    source.pre = (pm_text){pre, strlen(pre)};
    return source;
}

static pm_tokenizer *create(const pm_vocab_source *source)
{
    pm_tokenizer *tokenizer = NULL;
    if (pm_tokenizer_create_from(source, &tokenizer) != PM_OK)
        fail_msg("%s", pm_error_message());
    return tokenizer;
}

pm_tokenizer *vocab_small_spm(bool bytes, bool space_prefix)
{
    list l = list_make(1024);
    list_add(&l, "<unk>", PM_TOKEN_UNKNOWN, 0);
    list_add(&l, "<s>", PM_TOKEN_CONTROL, 0);
    list_add(&l, "</s>", PM_TOKEN_CONTROL, 0);
    for (int i = 0; bytes && i < 256; i++) {
        char piece[8];
        (void)snprintf(piece, sizeof(piece), "<0x%02X>", i);
        list_add(&l, piece, PM_TOKEN_BYTE, 0);
    }
    static const char *const merged[] = {"he", "ll", "hell", "\xe2\x96\x81h", "hello", "\xe2\x96\x81hello", "wor", "or",
                                         "\xe2\x96\x81\xe2\x96\x81", "s>", "<s", "\xc3\xa9t\xc3\xa9", "t\xc3\xa9"};
    for (size_t i = 0; i < sizeof(merged) / sizeof(merged[0]); i++)
        list_add(&l, merged[i], PM_TOKEN_NORMAL, -(float)i);
    static const char *const single[] = {"\xe2\x96\x81", "h", "e", "l", "o", "w", "r", "d", "<", "s", ">", "t",
                                         "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        list_add(&l, single[i], PM_TOKEN_NORMAL, -100 - (float)i);
    list_add(&l, "<|tool|>", PM_TOKEN_USER_DEFINED, 0);
    pm_vocab_source source = vocab_source("llama", "");
    source.tokens = l.texts;
    source.scores = l.scores;
    source.types = l.types;
    source.count = l.count;
    source.add_space_prefix = space_prefix;
    pm_tokenizer *tokenizer = create(&source);
    list_free(&l);
    return tokenizer;
}

pm_tokenizer *vocab_small_bpe(const char *pre)
{
    list l = list_make(1024);
    for (int byte = 0; byte < 256; byte++) {
        char piece[5] = "";
        (void)pm_utf8_encode(pm_byte_to_char((unsigned char)byte), piece);
        list_add(&l, piece, PM_TOKEN_NORMAL, 0);
    }
    static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "\xc4\xa0 hello", "o r", "w or",
                                         "\xc3\x83 \xc2\xa9"};
    enum { MERGES = sizeof(merges) / sizeof(merges[0]) };
    pm_text texts[MERGES];
    for (size_t i = 0; i < MERGES; i++) {
        char joined[32] = "";
        const char *space = strchr(merges[i], ' ');
        memcpy(joined, merges[i], (size_t)(space - merges[i]));
        (void)strcat(joined, space + 1);
        list_add(&l, joined, PM_TOKEN_NORMAL, 0);
        texts[i] = (pm_text){merges[i], strlen(merges[i])};
    }
    list_add(&l, "<|im_start|>", PM_TOKEN_CONTROL, 0);
    list_add(&l, "<|im_end|>", PM_TOKEN_CONTROL, 0);
    list_add(&l, "  ", PM_TOKEN_USER_DEFINED, 0);
    pm_vocab_source source = vocab_source("gpt2", pre);
    source.tokens = l.texts;
    source.types = l.types;
    source.count = l.count;
    source.merges = texts;
    source.merge_count = MERGES;
    pm_tokenizer *tokenizer = create(&source);
    list_free(&l);
    return tokenizer;
}

char *asset_path(const char *name)
{
    const char *root = getenv("PUMICE_TEST_ASSETS");
    if (root == NULL || root[0] == '\0') {
        print_message("no PUMICE_TEST_ASSETS: %s is not tested\n", name);
        return NULL;
    }
    char *path = checked(malloc(strlen(root) + strlen(name) + 2));
    (void)sprintf(path, "%s/%s", root, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        print_message("no %s: it is not tested\n", path);
        free(path);
        return NULL;
    }
    (void)fclose(file);
    return path;
}

/* ----------------------------------------------------------------- GGUF */

static void read_array(const pm_gguf *gguf, const char *key, pm_text **texts, size_t *count)
{
    const pm_gguf_value *value = NULL;
    assert_int_equal(pm_gguf_get_array(gguf, key, PM_GGUF_STRING, &value), PM_OK);
    *count = value != NULL ? value->count : 0;
    *texts = checked(calloc(*count + 1, sizeof(**texts)));
    const uint8_t *cursor = value != NULL ? value->data : NULL;
    for (size_t i = 0; i < *count; i++) {
        const pm_gguf_string string = pm_gguf_next_string(&cursor);
        (*texts)[i] = (pm_text){string.data, string.len};
    }
}

static void *copy_array(const pm_gguf *gguf, const char *key)
{
    const pm_gguf_value *value = pm_gguf_find(gguf, key);
    if (value == NULL)
        return NULL;
    void *copy = checked(malloc(value->count * 4 + 1));
    memcpy(copy, value->data, value->count * 4);
    return copy;
}

static pm_text read_text(const pm_gguf *gguf, const char *key)
{
    pm_gguf_string string = {0};
    assert_int_equal(pm_gguf_get_string(gguf, key, &string), PM_OK);
    return (pm_text){string.data, string.len};
}

static int64_t read_number(const pm_gguf *gguf, const char *key)
{
    const pm_gguf_value *value = pm_gguf_find(gguf, key);
    return value != NULL ? (int64_t)pm_gguf_number(value, 0) : -1;
}

static int read_flag(const pm_gguf *gguf, const char *key)
{
    bool flag = false;
    assert_int_equal(pm_gguf_get_bool(gguf, key, &flag), PM_OK);
    return pm_gguf_find(gguf, key) != NULL ? flag : -1;
}

pm_tokenizer *vocab_from_gguf(const char *name, const char *pre)
{
    char *path = asset_path(name);
    if (path == NULL)
        return NULL;
    pm_gguf *gguf = NULL;
    if (pm_gguf_open(path, &gguf) != PM_OK)
        fail_msg("%s", pm_error_message());
    pm_text *tokens, *merges;
    pm_vocab_source source = vocab_source("", "");
    read_array(gguf, "tokenizer.ggml.tokens", &tokens, &source.count);
    read_array(gguf, "tokenizer.ggml.merges", &merges, &source.merge_count);
    float *scores = copy_array(gguf, "tokenizer.ggml.scores");
    int32_t *types = copy_array(gguf, "tokenizer.ggml.token_type");
    source.model = read_text(gguf, "tokenizer.ggml.model");
    source.pre = pre != NULL ? (pm_text){pre, strlen(pre)} : read_text(gguf, "tokenizer.ggml.pre");
    source.chat_template = read_text(gguf, "tokenizer.chat_template");
    source.tokens = tokens;
    source.merges = merges;
    source.scores = scores;
    source.types = types;
    source.bos = read_number(gguf, "tokenizer.ggml.bos_token_id");
    source.eos = read_number(gguf, "tokenizer.ggml.eos_token_id");
    source.unk = read_number(gguf, "tokenizer.ggml.unknown_token_id");
    source.add_bos = read_flag(gguf, "tokenizer.ggml.add_bos_token");
    source.add_eos = read_flag(gguf, "tokenizer.ggml.add_eos_token");
    source.add_space_prefix = read_flag(gguf, "tokenizer.ggml.add_space_prefix");
    pm_tokenizer *tokenizer = create(&source);
    free(tokens);
    free(merges);
    free(scores);
    free(types);
    pm_gguf_close(gguf);
    free(path);
    return tokenizer;
}

/* ---------------------------------------------------- Hugging Face files */

static cJSON *read_json(const char *name)
{
    char *path = asset_path(name), *data;
    if (path == NULL)
        return NULL;
    size_t bytes;
    assert_int_equal(pm_file_read(path, &data, &bytes), PM_OK);
    cJSON *json = cJSON_ParseWithLength(data, bytes);
    assert_non_null(json);
    pm_free(data);
    free(path);
    return json;
}

static void add_vocabulary(list *l, const cJSON *vocabulary)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vocabulary)
    {
        assert_true(entry->valueint >= 0 && entry->valueint < LIST_MAX);
        list_set(l, (size_t)entry->valueint, entry->string, strlen(entry->string), PM_TOKEN_NORMAL, 0);
    }
}

/* Ids that no file names become unused tokens. */
static void fill_holes(list *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->texts[i].data == NULL)
            list_set(l, i, "", 0, PM_TOKEN_UNUSED, 0);
}

static pm_tokenizer *create_bpe(list *l, const pm_text *merges, size_t merge_count, const char *pre)
{
    fill_holes(l);
    pm_vocab_source source = vocab_source("gpt2", pre);
    source.tokens = l->texts;
    source.types = l->types;
    source.count = l->count;
    source.merges = merges;
    source.merge_count = merge_count;
    pm_tokenizer *tokenizer = create(&source);
    list_free(l);
    return tokenizer;
}

pm_tokenizer *vocab_from_folder(const char *name, const char *pre)
{
    char file[256];
    (void)snprintf(file, sizeof(file), "%s/vocab.json", name);
    cJSON *vocabulary = read_json(file);
    (void)snprintf(file, sizeof(file), "%s/added_tokens.json", name);
    cJSON *added = vocabulary != NULL ? read_json(file) : NULL;
    (void)snprintf(file, sizeof(file), "%s/merges.txt", name);
    char *path = added != NULL ? asset_path(file) : NULL;
    if (path == NULL) {
        cJSON_Delete(vocabulary);
        cJSON_Delete(added);
        return NULL;
    }
    list l = list_make(LIST_MAX);
    add_vocabulary(&l, vocabulary);
    const cJSON *entry;
    cJSON_ArrayForEach(entry, added)
        list_set(&l, (size_t)entry->valueint, entry->string, strlen(entry->string), PM_TOKEN_CONTROL, 0);
    char *data;
    size_t bytes, count = 0;
    assert_int_equal(pm_file_read(path, &data, &bytes), PM_OK);
    pm_text *merges = checked(calloc(LIST_MAX, sizeof(*merges)));
    for (char *line = data; line < data + bytes;) {
        const size_t len = strcspn(line, "\r\n");
        if (len > 0 && strncmp(line, "#version", 8) != 0)
            merges[count++] = (pm_text){line, len};
        line += len + 1;
    }
    pm_tokenizer *tokenizer = create_bpe(&l, merges, count, pre);
    free(merges);
    pm_free(data);
    free(path);
    cJSON_Delete(vocabulary);
    cJSON_Delete(added);
    return tokenizer;
}

pm_tokenizer *vocab_from_tokenizer_json(const char *name, const char *pre)
{
    cJSON *json = read_json(name);
    if (json == NULL)
        return NULL;
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(json, "model"), *entry;
    list l = list_make(LIST_MAX);
    add_vocabulary(&l, cJSON_GetObjectItemCaseSensitive(model, "vocab"));
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(json, "added_tokens"))
    {
        const char *content = cJSON_GetObjectItemCaseSensitive(entry, "content")->valuestring;
        const bool special = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(entry, "special"));
        list_set(&l, (size_t)cJSON_GetObjectItemCaseSensitive(entry, "id")->valueint, content, strlen(content),
                 special ? PM_TOKEN_CONTROL : PM_TOKEN_USER_DEFINED, 0);
    }
    pm_text *merges = checked(calloc(LIST_MAX, sizeof(*merges)));
    size_t count = 0;
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(model, "merges"))
        merges[count++] = (pm_text){entry->valuestring, strlen(entry->valuestring)};
    pm_tokenizer *tokenizer = create_bpe(&l, merges, count, pre);
    free(merges);
    cJSON_Delete(json);
    return tokenizer;
}

/* --------------------------------------------------------- calls and texts */

int32_t *tokens_of(const pm_tokenizer *tokenizer, const char *text, size_t len, uint32_t flags, size_t *count)
{
    const size_t capacity = len * 3 + 3;
    int32_t *tokens = checked(malloc(capacity * sizeof(*tokens)));
    if (pm_tokenize(tokenizer, text, len, flags, tokens, capacity, count) != PM_OK)
        fail_msg("%s", pm_error_message());
    return tokens;
}

char *text_of(const pm_tokenizer *tokenizer, const int32_t *tokens, size_t count, bool special, size_t *len)
{
    char nothing[1];
    const pm_result result = pm_detokenize(tokenizer, tokens, count, special, nothing, 0, len);
    assert_true(result == PM_ERR_FULL || (result == PM_OK && *len == 0));
    char *text = checked(malloc(*len + 1));
    assert_int_equal(pm_detokenize(tokenizer, tokens, count, special, text, *len, len), PM_OK);
    text[*len] = '\0';
    return text;
}

uint64_t test_seed(void)
{
    const char *given = getenv("PUMICE_TEST_SEED");
    const uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : pm_clock_ns();
    print_message("PUMICE_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint32_t test_random(uint64_t *state, uint32_t below)
{
    *state = pm_mix64(*state);
    return (uint32_t)(*state >> 32) % below;
}

static uint32_t random_char(uint64_t *state)
{
    static const struct { uint32_t first, count; } ranges[] = {
        {'a', 26}, {'A', 26}, {'0', 10}, {' ', 1}, {' ', 1}, {' ', 16}, {'\t', 5}, {0xa0, 96}, {0x100, 256},
        {0x300, 112}, {0x400, 256}, {0x5d0, 27}, {0x620, 64}, {0x900, 128}, {0x1780, 94}, {0x2000, 112},
        {0x3040, 192}, {0x4e00, 2000}, {0xac00, 2000}, {0xff00, 96}, {0x1f300, 768}, {0x20000, 4000}, {0, 0x250},
        {0x180e, 1}, {0x85, 1}, {'\'', 1},
    };
    const uint32_t range = test_random(state, sizeof(ranges) / sizeof(ranges[0]));
    return ranges[range].first + test_random(state, ranges[range].count);
}

size_t test_random_text(uint64_t *state, char *out, size_t len)
{
    size_t at = 0;
    while (at + 4 <= len) {
        const uint32_t c = random_char(state);
        for (uint32_t repeat = 1 + (test_random(state, 8) == 0 ? test_random(state, 6) : 0); repeat > 0; repeat--)
            if (at + 4 <= len)
                at += pm_utf8_encode(c, out + at);
    }
    return at;
}

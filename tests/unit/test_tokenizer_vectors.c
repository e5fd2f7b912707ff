/* tests/unit/test_tokenizer_vectors.c - published texts and their tokens. Needs the
 * assets; each vocabulary that is not there is named and skipped. */
#include "unit/vocabs.h"

#include "base/alloc.h"
#include "base/file.h"
#include "text/pretokenize.h"
#include "text/utf8.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *read_asset(const char *name)
{
    char *path = asset_path(name), *data;
    if (path == NULL)
        return NULL;
    size_t bytes;
    assert_int_equal(pm_file_read(path, &data, &bytes), PM_OK);
    free(path);
    return data;
}

static void print_tokens(const char *what, const int32_t *tokens, size_t count)
{
    print_error("%s:", what);
    for (size_t i = 0; i < count; i++)
        print_error(" %d", tokens[i]);
    print_error("\n");
}

static bool check_tokens(const pm_tokenizer *tokenizer, const char *name, const char *text, size_t len, uint32_t flags,
                         const int32_t *expected, size_t expected_count)
{
    size_t count;
    int32_t *tokens = tokens_of(tokenizer, text, len, flags, &count);
    const bool same = count == expected_count && memcmp(tokens, expected, count * sizeof(*tokens)) == 0;
    if (!same) {
        print_error("%s: text '%.*s'\n", name, (int)len, text);
        print_tokens("expected", expected, expected_count);
        print_tokens("actual", tokens, count);
    }
    free(tokens);
    return same;
}

/* ------------------------------------------------- llama.cpp's .inp and .out */

static const char separator[] = "\n__ggml_vocab_test__\n";

/* Every text of <stem>.gguf.inp gives the tokens of its line of <stem>.gguf.out. */
static void check_lines(pm_tokenizer *tokenizer, const char *stem)
{
    char name[256];
    (void)snprintf(name, sizeof(name), "tokenizers/llama.cpp-vocab/%s.gguf.inp", stem);
    char *texts = tokenizer != NULL ? read_asset(name) : NULL;
    (void)snprintf(name, sizeof(name), "tokenizers/llama.cpp-vocab/%s.gguf.out", stem);
    char *lines = texts != NULL ? read_asset(name) : NULL;
    if (lines == NULL) {
        pm_free(texts);
        pm_tokenizer_destroy(tokenizer);
        skip();
    }
    size_t checked = 0, wrong = 0;
    char *line = lines;
    for (char *text = texts; text != NULL; checked++) {
        char *end = strstr(text, separator);
        const size_t len = end != NULL ? (size_t)(end - text) : strlen(text);
        if (end == NULL && len == 0)
            break; /* after the last separator */
        int32_t expected[4096];
        size_t count = 0;
        while (*line == ' ')
            line++;
        while (*line != '\n' && *line != '\0') {
            assert_true(count < 4096);
            expected[count++] = (int32_t)strtol(line, &line, 10);
            while (*line == ' ')
                line++;
        }
        line += *line == '\n';
        wrong += !check_tokens(tokenizer, stem, text, len, 0, expected, count);
        text = end != NULL ? end + sizeof(separator) - 1 : NULL;
    }
    print_message("%s: %zu texts\n", stem, checked);
    assert_true(checked >= 40);
    assert_int_equal(wrong, 0);
    pm_free(texts);
    pm_free(lines);
    pm_tokenizer_destroy(tokenizer);
}

static void check_gguf(void **state)
{
    const char *stem = *state;
    char name[256];
    (void)snprintf(name, sizeof(name), "tokenizers/llama.cpp-vocab/%s.gguf", stem);
    check_lines(vocab_from_gguf(name, NULL), stem);
}

static void llama_spm(void **state) { check_gguf(state); }
static void phi_3(void **state) { check_gguf(state); }
static void gpt_2(void **state) { check_gguf(state); }
static void falcon(void **state) { check_gguf(state); }
static void mpt(void **state) { check_gguf(state); }
static void deepseek_llm(void **state) { check_gguf(state); }
static void llama_bpe(void **state) { check_gguf(state); }

static void qwen2(void **state)
{
    (void)state;
    check_lines(vocab_from_folder("tokenizers/qwen2", "qwen2"), "ggml-vocab-qwen2");
}

/* ------------------------------------------------- transformers.js's cases */

/* cJSON ends strings at NUL: U+E000 stands for it while the file is read. */
static void hide_nuls(char *json)
{
    for (char *at = json; (at = strstr(at, "\\u0000")) != NULL;)
        memcpy(at, "\\ue000", 6);
}

static size_t restore_nuls(char *text)
{
    size_t len = 0;
    for (const char *at = text; *at != '\0'; len++) {
        const bool nul = strncmp(at, "\xee\x80\x80", 3) == 0;
        text[len] = nul ? '\0' : *at;
        at += nul ? 3 : 1;
    }
    return len;
}

/* Cases of `model` have the tokens that we give. */
static void check_cases(pm_tokenizer *tokenizer, const char *model, uint32_t flags)
{
    char *data = tokenizer != NULL ? read_asset("tokenizers/vectors-transformers.js/tokenizer_vectors.json") : NULL;
    if (data == NULL) {
        pm_tokenizer_destroy(tokenizer);
        skip();
    }
    hide_nuls(data);
    cJSON *json = cJSON_Parse(data), *entry;
    size_t checked = 0, wrong = 0;
    cJSON_ArrayForEach(entry, json)
    {
        if (strcmp(cJSON_GetObjectItemCaseSensitive(entry, "model")->valuestring, model) != 0)
            continue;
        char *text = cJSON_GetObjectItemCaseSensitive(entry, "text")->valuestring;
        const size_t len = restore_nuls(text);
        const cJSON *ids = cJSON_GetObjectItemCaseSensitive(entry, "ids"), *id;
        int32_t expected[4096];
        size_t count = 0;
        cJSON_ArrayForEach(id, ids)
        {
            assert_true(count < 4096);
            expected[count++] = id->valueint;
        }
        char name[128];
        (void)snprintf(name, sizeof(name), "%s %s", model,
                       cJSON_GetObjectItemCaseSensitive(entry, "name")->valuestring);
        wrong += !check_tokens(tokenizer, name, text, len, flags, expected, count);
        checked++;
    }
    print_message("%s: %zu cases\n", model, checked);
    assert_true(checked > 0);
    assert_int_equal(wrong, 0);
    cJSON_Delete(json);
    pm_free(data);
    pm_tokenizer_destroy(tokenizer);
}

static void cases_llama(void **state)
{
    (void)state;
    check_cases(vocab_from_gguf("tokenizers/llama.cpp-vocab/ggml-vocab-llama-spm.gguf", NULL), "Xenova/llama-tokenizer",
                PM_TOKENIZE_ADD_BOS | PM_TOKENIZE_SPECIAL);
}

static void cases_gpt2(void **state)
{
    (void)state;
    check_cases(vocab_from_gguf("tokenizers/llama.cpp-vocab/ggml-vocab-gpt-2.gguf", NULL), "Xenova/gpt2",
                PM_TOKENIZE_SPECIAL);
}

static void cases_gpt2_openai(void **state)
{
    (void)state;
    check_cases(vocab_from_gguf("tokenizers/llama.cpp-vocab/ggml-vocab-gpt-2.gguf", NULL), "openai-community/gpt2",
                PM_TOKENIZE_SPECIAL);
}

static void cases_falcon(void **state)
{
    (void)state;
    check_cases(vocab_from_gguf("tokenizers/llama.cpp-vocab/ggml-vocab-falcon.gguf", NULL), "tiiuae/falcon-7b",
                PM_TOKENIZE_SPECIAL);
}

static void cases_qwen2(void **state)
{
    (void)state;
    check_cases(vocab_from_folder("tokenizers/qwen2", "qwen2"), "Xenova/Qwen1.5-0.5B-Chat", PM_TOKENIZE_SPECIAL);
}

/* Without the vocabulary: tokens never cross words, so that every end of a word is the
 * end of one of the recorded tokens. */
static void check_borders(void **state, const char *model, const char *name)
{
    (void)state;
    char *data = read_asset("tokenizers/vectors-transformers.js/tokenizer_vectors.json");
    if (data == NULL)
        skip();
    hide_nuls(data);
    pm_pretokenizer pre;
    pm_cuts cuts = {0}, spare = {0};
    assert_int_equal(pm_pretokenizer_init(&pre, (pm_text){name, strlen(name)}), PM_OK);
    cJSON *json = cJSON_Parse(data), *entry, *token;
    size_t cases = 0, words = 0;
    cJSON_ArrayForEach(entry, json)
    {
        if (strcmp(cJSON_GetObjectItemCaseSensitive(entry, "model")->valuestring, model) != 0)
            continue;
        char *text = cJSON_GetObjectItemCaseSensitive(entry, "text")->valuestring;
        const size_t len = restore_nuls(text);
        if (memchr(text, '<', len) != NULL)
            continue; /* may hold special tokens */
        bool *ends = calloc(len + 1, sizeof(*ends));
        assert_non_null(ends);
        size_t at = 0;
        cJSON_ArrayForEach(token, cJSON_GetObjectItemCaseSensitive(entry, "tokens"))
        {
            const char *piece = token->valuestring;
            for (uint32_t size; *piece != '\0'; piece += size, at++)
                assert_int_equal(pm_utf8_next(piece, strlen(piece), &size), PM_UTF8_WHOLE);
            assert_true(at <= len);
            ends[at] = true;
        }
        assert_int_equal(at, len);
        assert_int_equal(pm_pretokenize(&pre, text, len, &cuts, &spare), PM_OK);
        for (size_t i = 0; i < cuts.count; i++)
            if (!ends[cuts.ends[i]])
                fail_msg("%s: '%s' is cut inside a token, at byte %u", model, text, cuts.ends[i]);
        words += cuts.count;
        cases++;
        free(ends);
    }
    print_message("%s: %zu words of %zu texts\n", model, words, cases);
    assert_true(cases > 0);
    pm_cuts_finish(&cuts);
    pm_cuts_finish(&spare);
    pm_pretokenizer_finish(&pre);
    cJSON_Delete(json);
    pm_free(data);
}

static void borders_llama_bpe(void **state) { check_borders(state, "Xenova/llama3-tokenizer", "llama-bpe"); }
static void borders_gpt_4o(void **state) { check_borders(state, "Xenova/gpt-4o", "gpt-4o"); }
static void borders_starcoder(void **state) { check_borders(state, "bigcode/santacoder", "starcoder"); }
static void borders_deepseek_coder(void **state)
{
    check_borders(state, "Xenova/deepseek-coder-1.3b-instruct", "deepseek-coder");
}

#define VECTORS(test, stem) {"vectors." #test, test, NULL, NULL, (void *)(uintptr_t)(stem)}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VECTORS(llama_spm, "ggml-vocab-llama-spm"),
        VECTORS(phi_3, "ggml-vocab-phi-3"),
        VECTORS(gpt_2, "ggml-vocab-gpt-2"),
        VECTORS(falcon, "ggml-vocab-falcon"),
        VECTORS(mpt, "ggml-vocab-mpt"),
        VECTORS(deepseek_llm, "ggml-vocab-deepseek-llm"),
        VECTORS(llama_bpe, "ggml-vocab-llama-bpe"),
        VECTORS(qwen2, NULL),
        cmocka_unit_test(cases_llama),
        cmocka_unit_test(cases_gpt2),
        cmocka_unit_test(cases_gpt2_openai),
        cmocka_unit_test(cases_falcon),
        cmocka_unit_test(cases_qwen2),
        cmocka_unit_test(borders_llama_bpe),
        cmocka_unit_test(borders_gpt_4o),
        cmocka_unit_test(borders_starcoder),
        cmocka_unit_test(borders_deepseek_coder),
    };
    return cmocka_run_group_tests_name("tokenizer.vectors", tests, NULL, NULL);
}

/* tests/unit/test_tokenizer.c - what holds for every vocabulary, on small ones made
 * here; real ones where the assets are. */
#include "unit/vocabs.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/thread.h"
#include "text/nfc.h"
#include "text/pretokenize.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_pieces(const pm_tokenizer *tokenizer, const char *text, uint32_t flags, const char *expected)
{
    size_t count, len, at = 0;
    int32_t *tokens = tokens_of(tokenizer, text, strlen(text), flags, &count);
    char actual[1024] = "";
    for (size_t i = 0; i < count; i++) {
        char *piece = text_of(tokenizer, &tokens[i], 1, true, &len);
        at += (size_t)snprintf(actual + at, sizeof(actual) - at, "%s[%s]", i > 0 ? " " : "", piece);
        assert_true(at < sizeof(actual));
        free(piece);
    }
    free(tokens);
    assert_string_equal(actual, expected);
}

/* Pieces print without their first space when they are printed alone. */
static void spm_merges_the_best_pair_first(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_spm(true, true);
    expect_pieces(t, "hello", 0, "[hello]");
    expect_pieces(t, "hell", 0, "[] [hell]");
    expect_pieces(t, "wor", 0, "[] [wor]");
    expect_pieces(t, "  hello", 0, "[ ] [hello]");
    expect_pieces(t, "\xc3\xa9t\xc3\xa9", 0, "[] [\xc3\xa9t\xc3\xa9]");
    expect_pieces(t, "", PM_TOKENIZE_ADD_BOS, "[<s>]");
    pm_tokenizer_destroy(t);
}

/* Text is merged word by word, except where a piece goes on behind a space. */
static void spm_pieces_may_cross_words(void **state)
{
    (void)state;
    const pm_text tokens[] = {{"<unk>", 5}, {"a", 1}, {"b", 1}, {"\xe2\x96\x81", 3}, {("\xe2\x96\x81" "b"), 4},
                              {("a\xe2\x96\x81" "b"), 5}};
    const float scores[] = {0, -5, -6, -7, -1, -2};
    pm_vocab_source source = vocab_source("llama", "");
    source.tokens = tokens;
    source.scores = scores;
    source.add_space_prefix = 0;
    for (source.count = 5; source.count <= 6; source.count++) {
        pm_tokenizer *t;
        assert_int_equal(pm_tokenizer_create_from(&source, &t), PM_OK);
        expect_pieces(t, "a b", 0, source.count == 6 ? "[a b]" : "[a] [ b]");
        pm_tokenizer_destroy(t);
    }
}

static void spm_characters_without_a_piece_become_their_bytes(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_spm(true, false);
    size_t count;
    int32_t *tokens = tokens_of(t, "h\xf0\x9f\xa6\x99\xff", 6, 0, &count);
    assert_int_equal(count, 6);
    static const unsigned char bytes[] = {0xf0, 0x9f, 0xa6, 0x99, 0xff};
    for (int i = 0; i < 5; i++)
        assert_int_equal(tokens[i + 1], 3 + bytes[i]);
    free(tokens);
    pm_tokenizer_destroy(t);
}

static void spm_without_bytes_has_one_unknown_token_for_a_run(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_spm(false, false);
    expect_pieces(t, "h\xf0\x9f\xa6\x99!\xffhe?", 0, "[h] [<unk>] [he] [<unk>]");
    expect_pieces(t, "\n", 0, "[<unk>]");
    pm_tokenizer_destroy(t);
}

static void control_tokens_never_arise_from_text(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_spm(true, false);
    expect_pieces(t, "<s>", 0, "[<] [s>]");
    expect_pieces(t, "<s>hello</s>", PM_TOKENIZE_SPECIAL, "[<s>] [hello] [</s>]");
    expect_pieces(t, "h<|tool|>e", 0, "[h] [<|tool|>] [e]");
    pm_tokenizer_destroy(t);
    t = vocab_small_bpe("gpt-2");
    expect_pieces(t, "<|im_end|>", PM_TOKENIZE_SPECIAL, "[<|im_end|>]");
    size_t count;
    free(tokens_of(t, "<|im_end|>", 10, 0, &count));
    assert_int_equal(count, 10);
    expect_pieces(t, "he   he", 0, "[he] [  ] [ ] [he]");
    pm_tokenizer_destroy(t);
}

static void a_space_goes_before_text_behind_special_tokens(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_spm(true, true);
    size_t count, len;
    int32_t *tokens = tokens_of(t, "hello<s>hello", 13, PM_TOKENIZE_SPECIAL, &count);
    char *text = text_of(t, tokens, count, true, &len);
    assert_string_equal(text, "hello<s> hello");
    free(text);
    free(tokens);
    pm_tokenizer_destroy(t);
}

static void bpe_merges_in_the_order_of_the_list(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_bpe("gpt-2");
    expect_pieces(t, "hello hello", 0, "[hello] [ hello]");
    expect_pieces(t, "word", 0, "[wor] [d]");
    expect_pieces(t, "hel", 0, "[he] [l]");
    pm_tokenizer_destroy(t);
}

/* ---------------------------------------------------------- round trips */

/* Some vocabularies (Falcon's) lack bytes, which text then loses. */
static void find_lost(const pm_tokenizer *tokenizer, bool lost[256])
{
    for (int byte = 0; byte < 256; byte++) {
        const char text = (char)byte;
        size_t count;
        free(tokens_of(tokenizer, &text, 1, 0, &count));
        lost[byte] = count == 0;
    }
}

static size_t remove_lost(const bool lost[256], char *text, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        text[kept] = text[i];
        kept += !lost[(unsigned char)text[i]];
    }
    return kept;
}

static void round_trip(const pm_tokenizer *tokenizer, const char *name, uint64_t seed, int rounds, bool composes)
{
    uint64_t state = seed;
    bool lost[256];
    find_lost(tokenizer, lost);
    for (int round = 0; round < rounds; round++) {
        char text[768];
        size_t len = test_random_text(&state, text, 1 + test_random(&state, sizeof(text) - 1)), count, back_len;
        int32_t *tokens = tokens_of(tokenizer, text, len, 0, &count);
        char *back = text_of(tokenizer, tokens, count, true, &back_len);
        pm_str composed = {0};
        assert_int_equal(pm_nfc_append(text, len, &composed), PM_OK);
        char *expected = composes ? composed.data : text;
        const size_t expected_len = remove_lost(lost, expected, composes ? composed.len : len);
        if (back_len != expected_len || memcmp(back, expected, back_len) != 0)
            fail_msg("%s: round %d: '%.*s' came back as '%s'", name, round, (int)len, text, back);
        pm_str_finish(&composed);
        free(tokens);
        free(back);
    }
}

static void detokenize_gives_the_text_back(void **state)
{
    (void)state;
    const uint64_t seed = test_seed();
    pm_tokenizer *t = vocab_small_bpe("gpt-2");
    round_trip(t, "small bpe", seed, 1000, false);
    pm_tokenizer_destroy(t);
    t = vocab_small_spm(true, true);
    round_trip(t, "small spm", seed, 1000, false);
    pm_tokenizer_destroy(t);
    t = vocab_small_spm(true, false);
    round_trip(t, "small spm without space prefix", seed, 1000, false);
    pm_tokenizer_destroy(t);
}

static void every_pre_tokenizer_gives_the_text_back(void **state)
{
    (void)state;
    static const char *const names[] = {
        "", "default", "gpt-2", "gpt-neox", "mpt", "olmo", "llama-bpe", "qwen2", "stablelm2", "falcon", "starcoder",
        "refact", "command-r", "smollm", "deepseek-llm", "deepseek-coder", "deepseek-v3", "tekken", "gpt-4o", "dbrx",
    };
    const uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        pm_tokenizer *t = vocab_small_bpe(names[i]);
        const bool composes = strstr("gpt-neox mpt olmo qwen2", names[i]) != NULL && names[i][0] != '\0';
        round_trip(t, names[i], seed + i, 150, composes);
        pm_tokenizer_destroy(t);
    }
}

static void real_byte_level_vocabularies_give_the_text_back(void **state)
{
    (void)state;
    static const struct { const char *name; bool composes; } files[] = {
        {"gpt-2", false}, {"falcon", false}, {"mpt", true}, {"deepseek-llm", false}, {"gpt-neox", false},
        {"llama-spm", false},
    };
    const uint64_t seed = test_seed();
    int checked = 0;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "tokenizers/llama.cpp-vocab/ggml-vocab-%s.gguf", files[i].name);
        pm_tokenizer *t = vocab_from_gguf(name, NULL);
        if (t == NULL)
            continue;
        round_trip(t, files[i].name, seed, 300, files[i].composes);
        pm_tokenizer_destroy(t);
        checked++;
    }
    pm_tokenizer *t = vocab_from_folder("tokenizers/qwen2", "qwen2");
    if (t != NULL)
        round_trip(t, "qwen2", seed, 300, true);
    pm_tokenizer_destroy(t);
    if (checked == 0)
        skip();
}

/* Any bytes: no more tokens than promised, and never a crash. */
static void ill_formed_text_keeps_the_bound(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    pm_tokenizer *all[] = {vocab_small_bpe("qwen2"), vocab_small_bpe("deepseek-llm"), vocab_small_spm(true, true),
                           vocab_small_spm(false, true)};
    for (int round = 0; round < 1000; round++) {
        char text[300];
        size_t len = test_random_text(&random, text, sizeof(text));
        for (uint32_t damage = test_random(&random, 20); damage > 0 && len > 0; damage--)
            text[test_random(&random, (uint32_t)len)] = (char)test_random(&random, 256);
        len = test_random(&random, (uint32_t)len + 1);
        for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
            size_t count, back_len;
            int32_t *tokens = tokens_of(all[i], text, len, round % 4, &count);
            assert_true(count <= len * 3 + 3);
            char *back = text_of(all[i], tokens, count, true, &back_len);
            if (i == 1 && (round % 4 & PM_TOKENIZE_ADD_BOS) == 0)
                assert_true(back_len == len && memcmp(back, text, len) == 0);
            free(back);
            free(tokens);
        }
    }
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        pm_tokenizer_destroy(all[i]);
}

static void too_small_buffers_are_filled_and_counted(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_bpe("gpt-2");
    int32_t tokens[3] = {-7, -7, -7};
    size_t count = 0, len = 0;
    assert_int_equal(pm_tokenize(t, "hello hello hello", 17, 0, tokens, 2, &count), PM_ERR_FULL);
    assert_int_equal(count, 3);
    assert_true(tokens[0] >= 0 && tokens[1] >= 0 && tokens[2] == -7);
    char text[4] = "....";
    assert_int_equal(pm_detokenize(t, tokens, 2, false, text, 3, &len), PM_ERR_FULL);
    assert_int_equal(len, 11);
    assert_memory_equal(text, "hel.", 4);
    tokens[0] = (int32_t)pm_tokenizer_size(t);
    assert_int_equal(pm_detokenize(t, tokens, 1, false, text, 3, &len), PM_ERR_ARG);
    tokens[0] = -1;
    assert_int_equal(pm_detokenize(t, tokens, 1, false, text, 3, &len), PM_ERR_ARG);
    pm_tokenizer_destroy(t);
}

/* ----------------------------------------------------------- normalisation */

static void nfc_of(const char *text, const char *expected)
{
    pm_str out = {0};
    assert_int_equal(pm_nfc_append(text, strlen(text), &out), PM_OK);
    assert_string_equal(out.data, expected);
    pm_str_finish(&out);
}

static void nfc_orders_and_composes(void **state)
{
    (void)state;
    nfc_of("plain", "plain");
    nfc_of("e\xcc\x81", "\xc3\xa9");                                     /* e + acute */
    nfc_of("x e\xcc\x81 y", "x \xc3\xa9 y");
    nfc_of("\xe2\x84\xab", "\xc3\x85");                                  /* angstrom sign */
    nfc_of("\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80");                  /* jamo */
    nfc_of("\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc");                  /* excluded: stays apart */
    nfc_of("q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87");                    /* above, below: below first */
    nfc_of("\xe1\xba\xa1\xcc\x82", "\xe1\xba\xad");                      /* a dot below + circumflex */
    nfc_of("", "");
}

static void nfc_of_a_long_run_of_marks_is_linear(void **state)
{
    (void)state;
    enum { MARKS = 300000 };
    char *text = malloc(MARKS * 2 + 1);
    assert_non_null(text);
    for (int i = 0; i < MARKS; i++)
        memcpy(text + 2 * i, i % 2 == 0 ? "\xcc\x81" : "\xcc\xa3", 2); /* classes 230, 220 */
    pm_str out = {0};
    const uint64_t start = pm_clock_ns();
    assert_int_equal(pm_nfc_append(text, MARKS * 2, &out), PM_OK);
    assert_true(pm_clock_ns() - start < UINT64_C(5000000000));
    assert_int_equal(out.len, MARKS * 2);
    assert_memory_equal(out.data, "\xcc\xa3\xcc\xa3", 4);
    assert_memory_equal(out.data + out.len - 4, "\xcc\x81\xcc\x81", 4);
    pm_str_finish(&out);
    free(text);
}

/* ---------------------------------------------------------- long texts */

/* Each of these would take hours in a tokenizer that is quadratic somewhere. */
static void long_words_and_runs_are_not_quadratic(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    static const char *const fills[] = {"a", " ", "hello", "\n", "\xe4\xb8\x80", " \n", "'", "  @", "\xff", "9", "\xcc\x81"};
    static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "falcon", "tekken", "gpt-4o",
                                       "deepseek-v3", NULL};
    char *text = malloc(LEN);
    int32_t *tokens = malloc(sizeof(*tokens) * (LEN * 3 + 3));
    assert_non_null(text);
    assert_non_null(tokens);
    uint64_t worst = 0;
    for (size_t p = 0; p < sizeof(pres) / sizeof(pres[0]); p++) {
        pm_tokenizer *t = pres[p] != NULL ? vocab_small_bpe(pres[p]) : vocab_small_spm(true, true);
        for (size_t f = 0; f < sizeof(fills) / sizeof(fills[0]); f++) {
            const size_t unit = strlen(fills[f]), len = LEN / 4 / unit * unit;
            for (size_t at = 0; at < len; at += unit)
                memcpy(text + at, fills[f], unit);
            size_t count;
            const uint64_t start = pm_clock_ns();
            if (pm_tokenize(t, text, len, 0, tokens, LEN * 3 + 3, &count) != PM_OK)
                fail_msg("%s: %s", pres[p] != NULL ? pres[p] : "spm", pm_error_message());
            const uint64_t ns = pm_clock_ns() - start;
            if (ns > UINT64_C(4000000000))
                fail_msg("%s: 256 KiB of '%s' took %.1f s", pres[p] != NULL ? pres[p] : "spm", fills[f], (double)ns * 1e-9);
            worst = ns > worst ? ns : worst;
        }
        pm_tokenizer_destroy(t);
    }
    print_message("slowest 256 KiB: %.0f ms\n", (double)worst * 1e-6);
    free(text);
    free(tokens);
}

/* -------------------------------------------------------------- threads */

enum { THREAD_TEXTS = 32, THREAD_BYTES = 400 };

typedef struct shared {
    const pm_tokenizer *tokenizer;
    char texts[THREAD_TEXTS][THREAD_BYTES];
    size_t lens[THREAD_TEXTS];
    int32_t tokens[THREAD_TEXTS][THREAD_BYTES * 3 + 3];
    size_t counts[THREAD_TEXTS];
} shared;

static pm_result check_shared(void *context, uint32_t index)
{
    const shared *s = context;
    const uint32_t i = index % THREAD_TEXTS;
    int32_t tokens[THREAD_BYTES * 3 + 3];
    size_t count;
    PM_TRY(pm_tokenize(s->tokenizer, s->texts[i], s->lens[i], 0, tokens, THREAD_BYTES * 3 + 3, &count));
    if (count != s->counts[i] || memcmp(tokens, s->tokens[i], count * sizeof(*tokens)) != 0)
        return pm_fail(PM_ERR_STATE, "text %u has other tokens on another thread", i);
    return PM_OK;
}

static void one_tokenizer_serves_many_threads(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    pm_tokenizer *all[] = {vocab_small_bpe("qwen2"), vocab_small_spm(true, true)};
    shared *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    for (size_t v = 0; v < 2; v++) {
        s->tokenizer = all[v];
        for (int i = 0; i < THREAD_TEXTS; i++) {
            s->lens[i] = test_random_text(&random, s->texts[i], THREAD_BYTES);
            assert_int_equal(pm_tokenize(all[v], s->texts[i], s->lens[i], 0, s->tokens[i], THREAD_BYTES * 3 + 3,
                                         &s->counts[i]), PM_OK);
        }
        if (pm_thread_for(4, 4000, check_shared, s) != PM_OK)
            fail_msg("%s", pm_error_message());
        pm_tokenizer_destroy(all[v]);
    }
    free(s);
}

/* ------------------------------------------------------------ bad sources */

static void expect_error(const pm_vocab_source *source, pm_result expected, const char *part)
{
    pm_tokenizer *tokenizer = NULL;
    assert_int_equal(pm_tokenizer_create_from(source, &tokenizer), expected);
    assert_null(tokenizer);
    if (strstr(pm_error_message(), part) == NULL)
        fail_msg("'%s' does not say '%s'", pm_error_message(), part);
}

static void bad_vocabularies_are_named(void **state)
{
    (void)state;
    const pm_text tokens[] = {{"<unk>", 5}, {"a", 1}, {"<0x41>", 6}};
    const float scores[] = {0, NAN, 0};
    const int32_t types[] = {PM_TOKEN_UNKNOWN, PM_TOKEN_NORMAL, PM_TOKEN_BYTE}, bad_types[] = {2, 7, 6},
                  byte_types[] = {2, 6, 6};
    pm_vocab_source good = vocab_source("llama", ""), bad;
    good.tokens = tokens;
    good.types = types;
    good.count = 3;
    pm_tokenizer *tokenizer;
    assert_int_equal(pm_tokenizer_create_from(&good, &tokenizer), PM_OK);
    pm_tokenizer_destroy(tokenizer);
    bad = good;
    bad.model = (pm_text){"rwkv", 4};
    expect_error(&bad, PM_ERR_UNSUP, "llama, gpt2");
    bad = good;
    bad.model = (pm_text){NULL, 0};
    expect_error(&bad, PM_ERR_UNSUP, "tokenizer.ggml.model");
    bad = good;
    bad.count = 0;
    expect_error(&bad, PM_ERR_FORMAT, "empty");
    bad = good;
    bad.scores = scores;
    expect_error(&bad, PM_ERR_FORMAT, "scores: entry 1");
    bad = good;
    bad.types = bad_types;
    expect_error(&bad, PM_ERR_FORMAT, "token_type: entry 1 is 7");
    bad = good;
    bad.types = byte_types;
    expect_error(&bad, PM_ERR_FORMAT, "entry 1 is a byte token");
    bad = good;
    bad.bos = 3;
    expect_error(&bad, PM_ERR_FORMAT, "bos_token_id: token 3");
    bad = good;
    bad.eot = INT64_MAX;
    expect_error(&bad, PM_ERR_FORMAT, "eot_token_id");
    bad = good;
    bad.unk = -2;
    expect_error(&bad, PM_ERR_FORMAT, "unknown_token_id");
    bad = good;
    bad.add_bos = 2;
    expect_error(&bad, PM_ERR_FORMAT, "add_bos_token");
    bad = good;
    bad.chat_template = (pm_text){"a\0b", 3};
    expect_error(&bad, PM_ERR_FORMAT, "chat_template");
}

static void bad_merges_and_pre_tokenizers_are_named(void **state)
{
    (void)state;
    const pm_text tokens[] = {{"a", 1}, {"b", 1}, {"", 0}, {"a", 1}};
    const pm_text merges[] = {{"a b", 3}, {"ab", 2}}, open_merges[] = {{"a ", 2}}, none[] = {{NULL, 0}};
    pm_vocab_source source = vocab_source("gpt2", "gpt-2");
    source.tokens = tokens;
    source.count = 4;
    source.merges = merges;
    source.merge_count = 2;
    expect_error(&source, PM_ERR_FORMAT, "merges: entry 1");
    source.merges = open_merges;
    source.merge_count = 1;
    expect_error(&source, PM_ERR_FORMAT, "merges: entry 0");
    source.merges = none;
    expect_error(&source, PM_ERR_FORMAT, "merges: entry 0");
    source.pre = (pm_text){"gpt", 3};
    expect_error(&source, PM_ERR_UNSUP, "llama-bpe");
    expect_error(&source, PM_ERR_UNSUP, "qwen2");
}

/* A merge whose result is no token, and bytes that are none. */
static void vocabularies_with_holes_still_work(void **state)
{
    (void)state;
    const pm_text tokens[] = {{"a", 1}, {"b", 1}, {"abab", 4}};
    const pm_text merges[] = {{"a b", 3}, {"ab ab", 5}};
    pm_vocab_source source = vocab_source("gpt2", "gpt-2");
    source.tokens = tokens;
    source.count = 3;
    source.merges = merges;
    source.merge_count = 2;
    pm_tokenizer *t;
    assert_int_equal(pm_tokenizer_create_from(&source, &t), PM_OK);
    expect_pieces(t, "abab", 0, "[abab]");
    expect_pieces(t, "abc", 0, "[a] [b]");
    pm_tokenizer_destroy(t);
}

/* Every allocation of creation and of a call may fail: a clean error each time. */
static void every_failing_allocation_is_an_error(void **state)
{
    (void)state;
    static const char *const pres[] = {"qwen2", "deepseek-llm"};
    for (int v = 0; v < 2; v++) {
        const pm_text tokens[] = {{"a", 1}, {"e", 1}, {"ae", 2}, {"<|x|>", 5}};
        const pm_text merges[] = {{"a e", 3}, {"a a", 3}};
        const int32_t types[] = {1, 1, 1, 3};
        pm_vocab_source source = vocab_source("gpt2", pres[v]);
        source.tokens = tokens;
        source.types = types;
        source.count = 4;
        source.merges = merges;
        source.merge_count = 2;
        source.chat_template = (pm_text){"<|im_start|>", 12};
        for (uint64_t n = 1;; n++) {
            pm_alloc_fail_at(pm_alloc_count() + n);
            pm_tokenizer *t = NULL;
            const pm_result created = pm_tokenizer_create_from(&source, &t);
            int32_t tokens_out[64];
            size_t count = 0;
            const pm_result used = created == PM_OK ? pm_tokenize(t, "ae\xcc\x81 ae<|x|>", 12, 2, tokens_out, 64, &count)
                                                    : created;
            pm_alloc_fail_at(0);
            pm_tokenizer_destroy(t);
            if (used == PM_OK) {
                print_message("%s: %llu allocations\n", pres[v], (unsigned long long)n - 1);
                break;
            }
            assert_int_equal(used, PM_ERR_NOMEM);
        }
    }
    pm_tokenizer *t = vocab_small_spm(true, true);
    for (uint64_t n = 1, done = 0; !done; n++) {
        int32_t tokens_out[64];
        size_t count = 0;
        pm_alloc_fail_at(pm_alloc_count() + n);
        done = pm_tokenize(t, "hello <s> hello", 15, 2, tokens_out, 64, &count) == PM_OK;
        pm_alloc_fail_at(0);
    }
    pm_tokenizer_destroy(t);
}

/* ---------------------------------------------------------- pre-tokenizers */

static void expect_words(const char *name, const char *text, const char *expected)
{
    pm_pretokenizer pre;
    pm_cuts cuts = {0}, spare = {0};
    assert_int_equal(pm_pretokenizer_init(&pre, (pm_text){name, strlen(name)}), PM_OK);
    assert_int_equal(pm_pretokenize(&pre, text, strlen(text), &cuts, &spare), PM_OK);
    char actual[256] = "";
    size_t at = 0, start = 0;
    for (size_t i = 0; i < cuts.count; i++) {
        at += (size_t)snprintf(actual + at, sizeof(actual) - at, "%s%.*s", i > 0 ? "|" : "", (int)(cuts.ends[i] - start),
                               text + start);
        start = cuts.ends[i];
    }
    if (strcmp(actual, expected) != 0)
        fail_msg("%s: '%s', expected '%s'", name, actual, expected);
    pm_cuts_finish(&cuts);
    pm_cuts_finish(&spare);
    pm_pretokenizer_finish(&pre);
}

static void words_are_cut_as_the_models_learned_it(void **state)
{
    (void)state;
    expect_words("gpt-2", "I've  been 1234 there!! \n", "I|'ve| | been| 1234| there|!!| \n");
    expect_words("gpt-2", "WE'VE", "WE|'|VE");
    expect_words("llama-bpe", "WE'VE 12345 a.b\n\n c", "WE|'VE| |123|45| a|.b|\n\n| c");
    expect_words("llama-bpe", "x   \n  y", "x|   \n| | y");
    expect_words("qwen2", "in 2016.", "in| |2|0|1|6|.");
    expect_words("falcon", "a-b 12345 $x", "a|-|b| |123|45| |$|x");
    expect_words("starcoder", "in 2016", "in| |2|0|1|6");
    expect_words("default", "a+b 1234", "a|+|b| |123|4");
    expect_words("deepseek-llm", "a b\n12 !x  ", "a| b|\n|12| !|x|  ");
    expect_words("deepseek-coder", "a1b2, c", "a|1|b|2|,| c");
    expect_words("deepseek-v3", "a 12345 .net", "a| |123|45| .|net");
    expect_words("tekken", "helloWorld 12", "hello|World| |1|2");
    expect_words("gpt-4o", "it's HTTPServer 1234", "it's| HTTPServer| |123|4");
    expect_words("gpt-2", ("\xe1\xa0\x8e" "a"), "\xe1\xa0\x8e|a"); /* U+180E is no white space any more */
    expect_words("gpt-2", "a\xc2\x85 b", "a|\xc2\x85| b");       /* U+0085 is */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spm_merges_the_best_pair_first),
        cmocka_unit_test(spm_pieces_may_cross_words),
        cmocka_unit_test(spm_characters_without_a_piece_become_their_bytes),
        cmocka_unit_test(spm_without_bytes_has_one_unknown_token_for_a_run),
        cmocka_unit_test(control_tokens_never_arise_from_text),
        cmocka_unit_test(a_space_goes_before_text_behind_special_tokens),
        cmocka_unit_test(bpe_merges_in_the_order_of_the_list),
        cmocka_unit_test(words_are_cut_as_the_models_learned_it),
        cmocka_unit_test(detokenize_gives_the_text_back),
        cmocka_unit_test(every_pre_tokenizer_gives_the_text_back),
        cmocka_unit_test(real_byte_level_vocabularies_give_the_text_back),
        cmocka_unit_test(ill_formed_text_keeps_the_bound),
        cmocka_unit_test(too_small_buffers_are_filled_and_counted),
        cmocka_unit_test(nfc_orders_and_composes),
        cmocka_unit_test(nfc_of_a_long_run_of_marks_is_linear),
        cmocka_unit_test(long_words_and_runs_are_not_quadratic),
        cmocka_unit_test(one_tokenizer_serves_many_threads),
        cmocka_unit_test(bad_vocabularies_are_named),
        cmocka_unit_test(bad_merges_and_pre_tokenizers_are_named),
        cmocka_unit_test(vocabularies_with_holes_still_work),
        cmocka_unit_test(every_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}

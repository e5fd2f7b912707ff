/* tests/unit/test_stream.c - text comes out in whole characters, however the tokens
 * cut it. */
#include "unit/vocabs.h"

#include "base/alloc.h"
#include "text/stream.h"
#include "text/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void push_byte(pm_stream *stream, const pm_tokenizer *tokenizer, unsigned char byte, pm_str *out)
{
    (void)tokenizer;
    assert_int_equal(pm_stream_push(stream, 3 + byte, out), PM_OK); /* vocab_small_spm()'s byte tokens */
    assert_int_equal(pm_utf8_prefix(out->data != NULL ? out->data : "", out->len), out->len);
}

/* Random text, one byte per token: the same text, and never half a character. */
static void bytes_come_out_as_characters(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    pm_tokenizer *t = vocab_small_spm(true, false);
    for (int round = 0; round < 1000; round++) {
        char text[200];
        const size_t len = test_random_text(&random, text, sizeof(text));
        pm_stream stream;
        pm_str out = {0};
        pm_stream_init(&stream, t, false);
        for (size_t i = 0; i < len; i++)
            push_byte(&stream, t, (unsigned char)text[i], &out);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, text, len);
        assert_int_equal(pm_stream_flush(&stream, &out), PM_OK);
        assert_int_equal(out.len, len);
        pm_str_finish(&out);
    }
    pm_tokenizer_destroy(t);
}

/* The characters of `bytes`, ill-formed parts as U+FFFD, by their definition. */
static size_t replaced(const unsigned char *bytes, size_t len, char *out)
{
    size_t written = 0;
    uint32_t size;
    for (size_t at = 0; at < len; at += size) {
        const bool whole = pm_utf8_next((const char *)bytes + at, len - at, &size) == PM_UTF8_WHOLE;
        memcpy(out + written, whole ? (const char *)bytes + at : "\xef\xbf\xbd", whole ? size : 3);
        written += whole ? size : 3;
    }
    return written;
}

/* Any bytes in any tokens: what comes out is well-formed after each token, stays
 * within the promised bytes, and is what the bytes as a whole mean. */
static void ill_formed_bytes_become_replacement_characters(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    pm_tokenizer *t = vocab_small_bpe("gpt-2");
    static const unsigned char parts[] = {0xf0, 0x9f, 0xa6, 0x99, 0xe2, 0x82, 0xac, 0xc3, 0xa9, 0xed, 0xa0, 0xff, 'a',
                                          0xf4, 0x90, 0xc0, 0xe0, 0x80};
    for (int round = 0; round < 4000; round++) {
        unsigned char bytes[24];
        const size_t len = 1 + test_random(&random, sizeof(bytes));
        pm_stream stream;
        pm_str out = {0};
        pm_stream_init(&stream, t, true);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = parts[test_random(&random, sizeof(parts))];
            size_t count;
            int32_t *tokens = tokens_of(t, (const char *)&bytes[i], 1, 0, &count);
            const size_t before = out.len;
            assert_int_equal(pm_stream_push(&stream, tokens[0], &out), PM_OK);
            assert_true(out.len - before <= pm_stream_token_bytes_max(t));
            assert_int_equal(pm_utf8_prefix(out.data, out.len), out.len);
            free(tokens);
        }
        assert_int_equal(pm_stream_flush(&stream, &out), PM_OK);
        char expected[sizeof(bytes) * 3];
        const size_t expected_len = replaced(bytes, len, expected);
        assert_int_equal(out.len, expected_len);
        assert_memory_equal(out.data, expected, expected_len);
        pm_str_finish(&out);
    }
    pm_tokenizer_destroy(t);
}

static void stream_of_tokens(const pm_tokenizer *t, const char *text, bool after_prompt, const char *expected)
{
    size_t count;
    int32_t *tokens = tokens_of(t, text, strlen(text), PM_TOKENIZE_ADD_BOS | PM_TOKENIZE_SPECIAL, &count);
    pm_stream stream;
    pm_str out = {0};
    pm_stream_init(&stream, t, after_prompt);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pm_stream_push(&stream, tokens[i], &out), PM_OK);
    assert_int_equal(pm_stream_flush(&stream, &out), PM_OK);
    assert_string_equal(out.data != NULL ? out.data : "", expected);
    pm_str_finish(&out);
    free(tokens);
}

static void only_the_first_space_is_dropped(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_spm(true, true);
    stream_of_tokens(t, "hello hello", false, "hello hello");
    stream_of_tokens(t, " hello", false, " hello");
    stream_of_tokens(t, "hello", true, " hello");
    stream_of_tokens(t, "h\xf0\x9f\xa6\x99", false, "h\xf0\x9f\xa6\x99");
    pm_tokenizer_destroy(t);
    t = vocab_small_spm(true, false);
    stream_of_tokens(t, " hello", false, " hello");
    pm_tokenizer_destroy(t);
}

static void control_tokens_print_nothing(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_bpe("gpt-2");
    stream_of_tokens(t, "<|im_start|>hello<|im_end|>\n", false, "hello\n");
    pm_stream stream;
    pm_str out = {0};
    pm_stream_init(&stream, t, true);
    assert_int_equal(pm_stream_push(&stream, (int32_t)pm_tokenizer_size(t), &out), PM_ERR_ARG);
    assert_int_equal(pm_stream_push(&stream, -1, &out), PM_ERR_ARG);
    assert_int_equal(pm_stream_push(&stream, INT32_MIN, &out), PM_ERR_ARG);
    pm_str_finish(&out);
    pm_tokenizer_destroy(t);
}

/* A stream does not allocate once its string has room. */
static void pushing_into_a_reserved_string_allocates_nothing(void **state)
{
    (void)state;
    pm_tokenizer *t = vocab_small_spm(true, true);
    pm_stream stream;
    pm_str out = {0};
    pm_stream_init(&stream, t, true);
    assert_int_equal(pm_str_reserve(&out, pm_stream_token_bytes_max(t) + 3), PM_OK);
    const uint64_t before = pm_alloc_count();
    for (int32_t token = 0; token < (int32_t)pm_tokenizer_size(t); token++) {
        pm_str_clear(&out);
        assert_int_equal(pm_stream_push(&stream, token, &out), PM_OK);
        assert_true(out.len <= pm_stream_token_bytes_max(t));
    }
    assert_int_equal(pm_stream_flush(&stream, &out), PM_OK);
    assert_int_equal(pm_alloc_count(), before);
    pm_str_finish(&out);
    pm_tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_characters),
        cmocka_unit_test(ill_formed_bytes_become_replacement_characters),
        cmocka_unit_test(only_the_first_space_is_dropped),
        cmocka_unit_test(control_tokens_print_nothing),
        cmocka_unit_test(pushing_into_a_reserved_string_allocates_nothing),
    };
    return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}

/* tests/oracle/tokenize_lines.c - the tokenizer as a filter, for tokenizers.py.
 *
 * Standard input, all numbers little endian: strings are u32 length and bytes;
 * vocabulary: model, pre (strings), bos, eos, unk (i32, -1 = none), add_space_prefix
 * (i32), token count (u32), per token type (i32), score (f32), string, merge count
 * (u32), merges (strings). Then texts (strings) to the end. Per text, standard output
 * has the token count (u32) and the tokens (i32).
 *
 * With --words NAME there is no vocabulary: per text, the count of words (u32) and the
 * offsets where they end (u32).
 */
#include "base/alloc.h"
#include "base/file.h"
#include "text/pretokenize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct input {
    const char *at, *end;
} input;

_Noreturn static void die(const char *message)
{
    fprintf(stderr, "tokenize_lines: %s\n", message);
    exit(1);
}

static void check(pm_result result)
{
    if (result != PM_OK)
        die(pm_error_message());
}

static const char *take(input *in, size_t bytes)
{
    if ((size_t)(in->end - in->at) < bytes)
        die("the input ends too early");
    const char *at = in->at;
    in->at += bytes;
    return at;
}

static uint32_t take_u32(input *in)
{
    uint32_t value;
    memcpy(&value, take(in, sizeof(value)), sizeof(value));
    return value;
}

static pm_text take_text(input *in)
{
    const uint32_t len = take_u32(in);
    return (pm_text){take(in, len), len};
}

static void *array(size_t count, size_t size)
{
    void *block = pm_alloc(count + 1, size, "array");
    if (block == NULL)
        die(pm_error_message());
    return block;
}

static pm_tokenizer *take_vocabulary(input *in)
{
    pm_vocab_source source = {.eot = -1, .eom = -1, .pad = -1, .add_bos = 0, .add_eos = 0};
    source.model = take_text(in);
    source.pre = take_text(in);
    source.bos = (int32_t)take_u32(in);
    source.eos = (int32_t)take_u32(in);
    source.unk = (int32_t)take_u32(in);
    source.add_space_prefix = (int32_t)take_u32(in);
    source.count = take_u32(in);
    pm_text *tokens = array(source.count, sizeof(*tokens));
    int32_t *types = array(source.count, sizeof(*types));
    float *scores = array(source.count, sizeof(*scores));
    for (size_t i = 0; i < source.count; i++) {
        types[i] = (int32_t)take_u32(in);
        memcpy(&scores[i], take(in, sizeof(float)), sizeof(float));
        tokens[i] = take_text(in);
    }
    source.merge_count = take_u32(in);
    pm_text *merges = array(source.merge_count, sizeof(*merges));
    for (size_t i = 0; i < source.merge_count; i++)
        merges[i] = take_text(in);
    source.tokens = tokens;
    source.types = types;
    source.scores = scores;
    source.merges = merges;
    pm_tokenizer *tokenizer;
    check(pm_tokenizer_create_from(&source, &tokenizer));
    pm_free(tokens);
    pm_free(types);
    pm_free(scores);
    pm_free(merges);
    return tokenizer;
}

static void put(const void *values, size_t count)
{
    const uint32_t written = (uint32_t)count;
    if (fwrite(&written, sizeof(written), 1, stdout) != 1 || fwrite(values, 4, count, stdout) != count)
        die("cannot write");
}

static void write_words(input *in, const char *name)
{
    pm_pretokenizer pre;
    pm_cuts cuts = {0}, spare = {0};
    check(pm_pretokenizer_init(&pre, (pm_text){name, strlen(name)}));
    while (in->at < in->end) {
        const pm_text text = take_text(in);
        check(pm_pretokenize(&pre, text.data, text.len, &cuts, &spare));
        put(cuts.ends, cuts.count);
    }
    pm_cuts_finish(&cuts);
    pm_cuts_finish(&spare);
    pm_pretokenizer_finish(&pre);
}

static void write_tokens(input *in)
{
    pm_tokenizer *tokenizer = take_vocabulary(in);
    while (in->at < in->end) {
        const pm_text text = take_text(in);
        int32_t *tokens = array(text.len * 3 + 3, sizeof(*tokens));
        size_t count;
        check(pm_tokenize(tokenizer, text.data, text.len, 0, tokens, text.len * 3 + 3, &count));
        put(tokens, count);
        pm_free(tokens);
    }
    pm_tokenizer_destroy(tokenizer);
}

int main(int argc, char **argv)
{
    char *data;
    size_t bytes;
    check(pm_file_read("-", &data, &bytes));
    input in = {data, data + bytes};
    if (argc == 3 && strcmp(argv[1], "--words") == 0)
        write_words(&in, argv[2]);
    else
        write_tokens(&in);
    pm_free(data);
    return fflush(stdout) == 0 ? 0 : 1;
}

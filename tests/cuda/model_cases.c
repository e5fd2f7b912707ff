/* model_cases.c - the whole models that CUDA and Pumice are compared on. */
#include "cuda/model_cases.h"

#include "base/file.h"
#include "base/hash.h"
#include "op/harness.h"
#include "pumice.h"

#include <stdio.h>
#include <string.h>

static const cuda_model_case cases[] = {
    {"model.demo", 8, 32, 1},      /* the demo model, on a conversation */
    {"model.layer", 4, 4, 1},      /* a layer of an 8B model, random (CMakeLists.txt), on random tokens */
};

static const char *const conversation[] = {
    "How much is 18 + 1?", "18 + 1 is 19.", "I have 2 apples and lose 1. How many apples do I have left?",
    "2 - 1 is 1, so the answer is 1.", "What is the difference between 12 and 4?", "12 - 4 is 8.", "Add 6 to 1.", "1 + 6 is 7.",
    "How much is 4 plus 4?", "4 + 4 is 8.", "Good morning!", "Good morning! How can I help you?",
    "What color is the sky?", "The sky is blue.", "Tell me a story about a cat.",
    "Once there was a small cat who lived in a red house. One day the cat found a ball and played with it all day.",
};

const cuda_model_case *cuda_model_cases(uint32_t *count)
{
    *count = sizeof(cases) / sizeof(cases[0]);
    return cases;
}

const cuda_model_case *cuda_model_case_find(const char *name)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    return NULL;
}

static size_t conversation_tokens(const pm_tokenizer *tokenizer, int32_t *tokens)
{
    char text[4096] = "";
    size_t length = 0, count = 0;
    for (size_t i = 0; i < sizeof(conversation) / sizeof(conversation[0]); i++)
        length += (size_t)snprintf(text + length, sizeof(text) - length, "<|im_start|>%s\n%s<|im_end|>\n",
                                   i % 2 == 0 ? "user" : "assistant", conversation[i]);
    const pm_result result = pm_tokenize(tokenizer, text, length, PM_TOKENIZE_ADD_BOS | PM_TOKENIZE_SPECIAL, tokens,
                                         MODEL_TOKENS_MAX, &count);
    return result == PM_OK ? count : result == PM_ERR_FULL ? MODEL_TOKENS_MAX : 0;
}

uint32_t cuda_model_tokens(const cuda_model_case *c, const char *path, int32_t *tokens, char *why, size_t capacity)
{
    pm_model_file *file = NULL;
    pm_tokenizer *tokenizer = NULL;
    size_t count = 0;
    if (pm_model_file_open(path, &file) == PM_OK && pm_tokenizer_create(file, &tokenizer) == PM_OK) {
        if (c == &cases[0])
            count = conversation_tokens(tokenizer, tokens);
        else
            for (count = 0; count < c->positions; count++)
                tokens[count] = (int32_t)input_index(1, count, pm_tokenizer_size(tokenizer));
    }
    if (count == 0)
        snprintf(why, capacity, "%s: %s", path, pm_error_message());
    pm_tokenizer_destroy(tokenizer);
    pm_model_file_close(file);
    return (uint32_t)count;
}

uint64_t cuda_model_inputs(const char *path, const int32_t *tokens, uint32_t count)
{
    static uint8_t part[1 << 16];
    uint64_t hash = pm_hash64(tokens, count * sizeof(*tokens), PM_HASH_SEED);
    FILE *file = fopen(path, "rb");
    for (size_t bytes; file != NULL && (bytes = fread(part, 1, sizeof(part), file)) > 0;)
        hash = pm_hash64(part, bytes, hash);
    if (file != NULL)
        fclose(file);
    return hash;
}

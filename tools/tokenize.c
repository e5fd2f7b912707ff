/* tokenize.c - pumice tokenize: text to token ids and back. Needs no Vulkan. */
#include "engine.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>

static const char *model, *prompt, *prompt_file, *ids;
static bool as_json, no_bos, no_special;
static const arg tokenize_args[] = {
    {"--model", "-m", ARG_TEXT, &model, 0, 0, "FILE", "GGUF file; a vocabulary alone will do"},
    {"--prompt", "-p", ARG_TEXT, &prompt, 0, 0, "TEXT", "text; '-' reads standard input"},
    {"--file", "-f", ARG_TEXT, &prompt_file, 0, 0, "FILE", "text from a file"},
    {"--detokenize", NULL, ARG_TEXT, &ids, 0, 0, "IDS", "the other way: 1,2,3 to text"},
    {"--no-bos", NULL, ARG_FLAG, &no_bos, 0, 0, NULL, "do not put BOS in front"},
    {"--no-special", NULL, ARG_FLAG, &no_special, 0, 0, NULL, "special tokens in the text are text"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "JSON on stdout"},
    {0},
};

static int to_text(const pm_tokenizer *tokenizer, const int32_t *tokens, size_t count)
{
    size_t len = 0;
    pm_result result = pm_detokenize(tokenizer, tokens, count, true, NULL, 0, &len);
    if (result != PM_OK && result != PM_ERR_FULL)
        return fail("tokenize");
    char *text = must(malloc(len + 1));
    result = pm_detokenize(tokenizer, tokens, count, true, text, len, &len);
    text[len] = '\0';
    if (result == PM_OK && as_json)
        print_json(cJSON_CreateString(text));
    else if (result == PM_OK && fwrite(text, 1, len, stdout) == len)
        putchar('\n');
    free(text);
    return result == PM_OK ? EXIT_OK : fail("tokenize");
}

/* "1,2,3", with --json "[1,2,3]". */
static void print_tokens(const int32_t *tokens, size_t count)
{
    fputs(as_json ? "[" : "", stdout);
    for (size_t i = 0; i < count; i++)
        printf("%s%d", i > 0 ? "," : "", tokens[i]);
    puts(as_json ? "]" : "");
}

static int to_tokens(const pm_tokenizer *tokenizer, const char *text, size_t len)
{
    const uint32_t flags = (no_bos ? 0u : (unsigned)PM_TOKENIZE_ADD_BOS) | (no_special ? 0u : (unsigned)PM_TOKENIZE_SPECIAL);
    size_t count = 0;
    int32_t *tokens = engine_tokenize("tokenize", tokenizer, text, len, flags, &count);
    if (tokens == NULL)
        return EXIT_FAILED;
    print_tokens(tokens, count);
    free(tokens);
    return EXIT_OK;
}

int tokenize_main(int argc, char **argv)
{
    const args_spec spec = {"tokenize", "text to token ids and back", {tokenize_args}};
    int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    if (model == NULL)
        return usage("tokenize", "-m FILE is missing");
    if ((prompt != NULL) + (prompt_file != NULL) + (ids != NULL) != 1)
        return usage("tokenize", "give one of -p TEXT, -f FILE and --detokenize IDS");
    size_t given_count = 0;
    int32_t *given = ids != NULL ? input_tokens("tokenize", ids, &given_count) : NULL;
    if (ids != NULL && given == NULL)
        return EXIT_USAGE;
    const char *path = prompt_file != NULL ? prompt_file : prompt != NULL && strcmp(prompt, "-") == 0 ? "-" : NULL;
    char *read = NULL;
    size_t len = prompt != NULL ? strlen(prompt) : 0;
    if (path != NULL && !input_read("tokenize", path, &read, &len))
        return EXIT_FAILED;
    pm_model_file *file = NULL;
    pm_tokenizer *tokenizer = NULL;
    if (pm_model_file_open(model, &file) != PM_OK || pm_tokenizer_create(file, &tokenizer) != PM_OK)
        code = fail("tokenize");
    else
        code = given != NULL ? to_text(tokenizer, given, given_count) : to_tokens(tokenizer, read != NULL ? read : prompt, len);
    pm_tokenizer_destroy(tokenizer);
    pm_model_file_close(file);
    free(read);
    free(given);
    return code;
}

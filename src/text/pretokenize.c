/* text/pretokenize.c - the table of pre-tokenizers, and PCRE2 running them. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretokenize.h"

#include "base/alloc.h"

#include <pcre2.h>
#include <stdio.h>
#include <string.h>

/* White space as Unicode has it (White_Space=yes); PCRE2's \s has U+180E besides.
 * S is for use inside [...]. */
#define S "\\t-\\r\\x{85}\\p{Z}"
#define WS "[" S "]"
/* The end of a run of white space: all but its last character where a word follows. */
#define SPACES WS "+(?![^" S "])|" WS "+"
#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
#define ANY_CASE_CONTRACTIONS "(?i:" CONTRACTIONS ")"

#define GPT2 CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" SPACES
#define WORD "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS " ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*"
#define LINES WS "*[\\r\\n]+"
#define LLAMA3 ANY_CASE_CONTRACTIONS "|" WORD "|\\p{N}{1,3}|" SYMBOLS "|" LINES "|" SPACES
#define QWEN2 ANY_CASE_CONTRACTIONS "|" WORD "|\\p{N}|" SYMBOLS "|" LINES "|" SPACES

#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(tail) \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" tail "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" tail
#define SLASHED_SYMBOLS " ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*"
#define TEKKEN CASED("") "|\\p{N}|" SLASHED_SYMBOLS "|" LINES "|" SPACES
#define GPT4O CASED(ANY_CASE_CONTRACTIONS "?") "|\\p{N}{1,3}|" SLASHED_SYMBOLS "|" LINES "|" SPACES

#define PUNCTUATION "[\\p{P}$+<=>^~|`]+"
#define CJK "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"

/* Letters with case, as of the Unicode version that DeepSeek's file was made with. */
#define DEEPSEEK_LETTERS \
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}" \
    "\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}" \
    "\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}" \
    "\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}" \
    "\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}" \
    "\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}" \
    "\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}" \
    "\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}" \
    "\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}" \
    "\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}" \
    "\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}" \
    "\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}" \
    "\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}" \
    "\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"
#define DEEPSEEK_SYMBOLS \
    WS "?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+"
#define DEEPSEEK3_MAIN \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" \
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|" LINES "|" SPACES
/* (?<!...) finds the same as \s+$ alone, and reads a long run of spaces once. */
#define TRAILING_SPACES "(?<!" WS ")" WS "+$"

enum { COMPOSE = 1, WHOLE_WORDS = 2 };

/* The expressions of names that share them stand at the first of the names. */
static const struct entry {
    const char *names;             /* separated by spaces */
    unsigned flags;
    const char *patterns[PM_PRETOKENIZE_PATTERNS + 1];
} table[] = {
    {"default", 0, {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2 phi-2 gigachat jais trillion", 0, {GPT2}},
    {"gpt-neox mpt olmo", COMPOSE, {GPT2}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral lfm2", WHOLE_WORDS, {LLAMA3}},
    {"dbrx smaug-bpe", 0, {LLAMA3}},
    {"qwen2 deepseek-r1-qwen megrez", COMPOSE, {QWEN2}},
    {"stablelm2 hunyuan", 0, {QWEN2}},
    {"falcon", 0, {PUNCTUATION, GPT2, "[0-9][0-9][0-9]"}},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b", 0, {"\\p{N}", GPT2}},
    {"deepseek-llm", 0, {"[\\r\\n]", WS "?[" DEEPSEEK_LETTERS "]+", DEEPSEEK_SYMBOLS, TRAILING_SPACES, CJK, "\\p{N}+"}},
    {"deepseek-coder", 0, {"[\\r\\n]", WS "?\\p{L}+", WS "?\\p{P}+", CJK, "\\p{N}"}},
    {"deepseek-v3 hunyuan-dense", 0,
     {"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+", DEEPSEEK3_MAIN}},
    {"tekken", WHOLE_WORDS, {TEKKEN}},
    {"gpt-4o llama4", 0, {GPT4O}},
};

enum { ENTRIES = sizeof(table) / sizeof(table[0]) };

/* Steps of one match. PCRE2's default of 10 million is too few for megabytes of
 * white space; the work stays linear in the length of the run. */
enum { MATCH_LIMIT = 2000000000 };

static void *allocate(size_t bytes, void *context)
{
    (void)context;
    return pm_alloc(bytes, 1, "pre-tokenizer");
}

static void release(void *block, void *context)
{
    (void)context;
    pm_free(block);
}

static bool has_name(const char *names, pm_text name)
{
    while (*names != '\0') {
        const size_t len = strcspn(names, " ");
        if (pm_text_equal(name, names, len))
            return true;
        names += len;
        names += *names == ' ';
    }
    return false;
}

static pm_result find_entry(pm_text name, const struct entry **out)
{
    if (name.len == 0)
        name = (pm_text){"default", 7};
    for (size_t i = 0; i < ENTRIES; i++) {
        if (has_name(table[i].names, name)) {
            *out = &table[i];
            return PM_OK;
        }
    }
    char known[640];
    size_t at = 0;
    for (size_t i = 0; i < ENTRIES && at < sizeof(known); i++)
        at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", i > 0 ? " " : "", table[i].names);
    return pm_fail(PM_ERR_UNSUP, "tokenizer.ggml.pre: '%.*s' is not supported; known: %s",
                   (int)(name.len < 64 ? name.len : 64), name.data, known);
}

static pm_result compile(pm_pretokenizer *pre, const char *pattern, pcre2_compile_context *context)
{
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NO_UTF_CHECK, &error,
                                     &offset, context);
    if (code == NULL && (error == PCRE2_ERROR_HEAP_FAILED || error == PCRE2_ERROR_NOMEMORY))
        return pm_fail(PM_ERR_NOMEM, "pre-tokenizer: cannot allocate host memory for a pattern");
    if (code == NULL) {
        char text[128] = "";
        (void)pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof(text));
        return pm_fail(PM_ERR_UNSUP, "pre-tokenizer: PCRE2 rejects its pattern at %zu: %s", (size_t)offset, text);
    }
    pre->patterns[pre->pattern_count++] = code;
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it, patterns are interpreted */
    return PM_OK;
}

pm_result pm_pretokenizer_init(pm_pretokenizer *pre, pm_text name)
{
    *pre = (pm_pretokenizer){0};
    pcre2_compile_context *context = NULL;
    const struct entry *entry;
    pm_result result;
    PM_TRY(find_entry(name, &entry));
    pre->compose = (entry->flags & COMPOSE) != 0;
    pre->whole_words = (entry->flags & WHOLE_WORDS) != 0;
    pre->memory = pcre2_general_context_create(allocate, release, NULL);
    result = pre->memory != NULL ? PM_OK : PM_ERR_NOMEM;
    PM_TRY_GOTO(result);
    pre->limits = pcre2_match_context_create(pre->memory);
    context = pcre2_compile_context_create(pre->memory);
    result = pre->limits != NULL && context != NULL ? PM_OK : PM_ERR_NOMEM;
    PM_TRY_GOTO(result);
    (void)pcre2_set_match_limit(pre->limits, MATCH_LIMIT);
    for (size_t i = 0; entry->patterns[i] != NULL; i++)
        PM_TRY_GOTO(compile(pre, entry->patterns[i], context));
    pcre2_compile_context_free(context);
    return PM_OK;
fail:
    pcre2_compile_context_free(context);
    pm_pretokenizer_finish(pre);
    return result;
}

void pm_pretokenizer_finish(pm_pretokenizer *pre)
{
    for (uint32_t i = 0; i < pre->pattern_count; i++)
        pcre2_code_free(pre->patterns[i]);
    pcre2_match_context_free(pre->limits);
    pcre2_general_context_free(pre->memory);
    *pre = (pm_pretokenizer){0};
}

void pm_cuts_finish(pm_cuts *cuts)
{
    pm_free(cuts->ends);
    *cuts = (pm_cuts){0};
}

static pm_result cut_at(pm_cuts *cuts, size_t end)
{
    if (cuts->count == cuts->capacity) {
        const size_t capacity = cuts->capacity > 0 ? cuts->capacity * 2 : 64;
        uint32_t *ends = pm_realloc(cuts->ends, capacity, sizeof(*ends), "words");
        if (ends == NULL)
            return PM_ERR_NOMEM;
        cuts->ends = ends;
        cuts->capacity = capacity;
    }
    cuts->ends[cuts->count++] = (uint32_t)end;
    return PM_OK;
}

/* One match in piece[0 .. len) from `from` on: PCRE2's return code. The machine
 * code has a small stack of its own; the interpreter's is on the heap. */
static int match(const pm_pretokenizer *pre, const pcre2_code *code, const char *piece, size_t len, size_t from,
                 pcre2_match_data *data)
{
    const int rc = pcre2_match(code, (PCRE2_SPTR)piece, len, from, PCRE2_NO_UTF_CHECK, data, pre->limits);
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT)
        return rc;
    return pcre2_match(code, (PCRE2_SPTR)piece, len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, pre->limits);
}

/* Cuts text[start .. end) at the matches of one pattern. */
static pm_result cut_piece(const pm_pretokenizer *pre, const pcre2_code *code, const char *text, size_t start,
                           size_t end, pcre2_match_data *data, pm_cuts *cuts)
{
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(data);
    const char *piece = text + start;
    const size_t len = end - start;
    size_t done = 0;
    while (done < len) {
        const int rc = match(pre, code, piece, len, done, data);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAPLIMIT)
            return pm_fail(PM_ERR_NOMEM, "pre-tokenizer: cannot allocate host memory for %zu bytes of text", len);
        if (rc < 0)
            return pm_fail(PM_ERR_UNSUP, "pre-tokenizer: PCRE2 gave up on %zu bytes of text (error %d)", len, rc);
        if (span[1] == span[0])
            break; /* no pattern of the table matches nothing */
        if (span[0] > done)
            PM_TRY(cut_at(cuts, start + span[0]));
        PM_TRY(cut_at(cuts, start + span[1]));
        done = span[1];
    }
    if (done < len)
        PM_TRY(cut_at(cuts, end));
    return PM_OK;
}

pm_result pm_pretokenize(const pm_pretokenizer *pre, const char *text, size_t len, pm_cuts *cuts, pm_cuts *spare)
{
    cuts->count = 0;
    if (len == 0)
        return PM_OK;
    PM_TRY(cut_at(cuts, len));
    pcre2_match_data *data = pcre2_match_data_create(1, pre->memory);
    if (data == NULL)
        return PM_ERR_NOMEM;
    pm_result result = PM_OK;
    for (uint32_t p = 0; p < pre->pattern_count && result == PM_OK; p++) {
        spare->count = 0;
        size_t start = 0;
        for (size_t i = 0; i < cuts->count && result == PM_OK; i++) {
            result = cut_piece(pre, pre->patterns[p], text, start, cuts->ends[i], data, spare);
            start = cuts->ends[i];
        }
        const pm_cuts swap = *cuts;
        *cuts = *spare;
        *spare = swap;
    }
    pcre2_match_data_free(data);
    return result;
}

/* text.c - a text of 2,048 tokens, and what was recorded of it. */
#include "cuda/text.h"

#include "base/alloc.h"
#include "base/file.h"
#include "pumice.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ tokens */

typedef struct growing {
    char *text;
    size_t length, capacity;
} growing;

/* A message as ChatML has it. */
static bool add_message(growing *g, const cJSON *role, const cJSON *content)
{
    if (!cJSON_IsString(role) || !cJSON_IsString(content))
        return false;
    const int n = snprintf(g->text + g->length, g->capacity - g->length, "<|im_start|>%s\n%s<|im_end|>\n", role->valuestring,
                           content->valuestring);
    if (n < 0 || (size_t)n >= g->capacity - g->length)
        return false;
    g->length += (size_t)n;
    return true;
}

/* {"messages": [{"role", "content"}, ..], "answer"} */
static bool add_conversation(growing *g, const cJSON *line)
{
    const cJSON *message, *answer = cJSON_GetObjectItemCaseSensitive(line, "answer");
    bool added = true;
    cJSON_ArrayForEach(message, cJSON_GetObjectItemCaseSensitive(line, "messages"))
        added = added && add_message(g, cJSON_GetObjectItemCaseSensitive(message, "role"),
                                     cJSON_GetObjectItemCaseSensitive(message, "content"));
    const cJSON assistant = {.type = cJSON_String, .valuestring = (char[]){"assistant"}};
    return added && add_message(g, &assistant, answer);
}

/* All conversations of lines of JSON as one text; NULL: not such lines. */
static char *conversations_of(const char *lines, size_t bytes)
{
    growing g = {.capacity = 4 * bytes + 64}; /* roles and marks are longer than what JSON has around them, once */
    g.text = malloc(g.capacity);
    bool whole = g.text != NULL && bytes > 0;
    for (const char *at = lines; whole && at < lines + bytes;) {
        const char *end = memchr(at, '\n', (size_t)(lines + bytes - at));
        end = end != NULL ? end : lines + bytes;
        cJSON *line = cJSON_ParseWithLength(at, (size_t)(end - at));
        whole = line != NULL && add_conversation(&g, line);
        cJSON_Delete(line);
        at = end + 1;
    }
    if (whole)
        return g.text;
    free(g.text);
    return NULL;
}

/* Sequences that begin at equal parts of all. */
static bool cut(const int32_t *all, size_t count, int32_t begin, int32_t *tokens)
{
    if (count < (size_t)TEXT_SEQUENCES * (TEXT_TOKENS - 1))
        return false;
    for (uint32_t s = 0; s < TEXT_SEQUENCES; s++) {
        tokens[s * TEXT_TOKENS] = begin;
        memcpy(tokens + s * TEXT_TOKENS + 1, all + s * (count / TEXT_SEQUENCES), (TEXT_TOKENS - 1) * sizeof(*tokens));
    }
    return true;
}

bool cuda_text_tokens(const char *model, const char *conversations, int32_t *tokens, char *why, size_t capacity)
{
    pm_model_file *file = NULL;
    pm_tokenizer *tokenizer = NULL;
    char *lines = NULL, *text = NULL;
    int32_t *all = NULL;
    size_t bytes = 0, count = 0;
    const char *wrong = NULL;
    if (pm_file_read(conversations, &lines, &bytes) != PM_OK || pm_model_file_open(model, &file) != PM_OK ||
        pm_tokenizer_create(file, &tokenizer) != PM_OK)
        wrong = pm_error_message();
    else if ((text = conversations_of(lines, bytes)) == NULL)
        wrong = "not lines of JSON with messages and an answer";
    else if ((all = malloc((3 * strlen(text) + 3) * sizeof(*all))) == NULL)
        wrong = "out of memory";
    else if (pm_tokenize(tokenizer, text, strlen(text), PM_TOKENIZE_ADD_BOS | PM_TOKENIZE_SPECIAL, all, 3 * strlen(text) + 3,
                         &count) != PM_OK)
        wrong = pm_error_message();
    else if (count == 0 || !cut(all + 1, count - 1, all[0], tokens))
        wrong = "too few tokens";
    if (wrong != NULL)
        snprintf(why, capacity, "%s: %s", conversations, wrong);
    free(all);
    free(text);
    pm_tokenizer_destroy(tokenizer);
    pm_model_file_close(file);
    pm_free(lines);
    return wrong == NULL;
}

int32_t cuda_text_next(const int32_t *tokens, uint32_t p)
{
    return p % TEXT_TOKENS + 1 < TEXT_TOKENS ? tokens[p + 1] : -1;
}

/* ----------------------------------------------------------------- records */

void cuda_text_record(const float *logits, uint32_t vocab, int32_t token, int32_t next, float *values)
{
    values[0] = (float)token;
    values[1] = next >= 0 ? logits[next] : 0.0f;
    record_make(logits, vocab, TEXT_TOP, values + 2);
}

divergence_point cuda_text_against(const float *values, int32_t next, const float *logits, uint32_t vocab)
{
    divergence_point point = record_against(values + 2, TEXT_TOP, logits, vocab);
    if (next >= 0) {
        point.nll = record_log_sum(values + 2, TEXT_TOP) - (double)values[1];
        point.nll_difference = divergence_log_sum(logits, vocab) - (double)logits[next] - point.nll;
    }
    return point;
}

void cuda_text_keep(const divergence_point *point, float *values)
{
    values[0] = (float)point->kl;
    values[1] = (float)point->delta_max;
    values[2] = (float)point->top1;
    values[3] = (float)point->top5;
    values[4] = isnan(point->nll) ? 0.0f : (float)point->nll_difference;
}

void cuda_text_sequence_name(uint32_t s, char name[64])
{
    snprintf(name, 64, "model.text.%u", s);
}

void cuda_text_control_name(uint32_t c, char name[64])
{
    snprintf(name, 64, "model.text.%s", cuda_controls[c].stem);
}

/* ----------------------------------------------------------------- reading */

/* A vector of the folder that is of the same run as all others. */
static bool read_part(const char *folder, const char *name, uint32_t elements, cuda_text *text, float *values, char *why,
                      size_t capacity)
{
    char path[1400];
    cuda_vector v;
    snprintf(path, sizeof(path), "%s/%s.vec", folder, name);
    if (!cuda_vector_read(path, &v, why, capacity))
        return false;
    cuda_vector *s = &text->source;
    if (s->elements == 0) {
        *s = v;
        s->values = NULL;
    }
    const bool same = s->inputs == v.inputs && strcmp(s->origin, v.origin) == 0 && strcmp(s->device, v.device) == 0 &&
                      strcmp(s->driver, v.driver) == 0 && strcmp(s->runtime, v.runtime) == 0 && strcmp(s->date, v.date) == 0;
    const bool whole = v.elements == elements && v.count == elements && strcmp(v.name, name) == 0;
    if (same && whole)
        memcpy(values, v.values, elements * sizeof(*values));
    else
        snprintf(why, capacity, "%s: %s", path, whole ? "of another run than the others" : "not of this name and size");
    cuda_vector_free(&v);
    return same && whole;
}

static bool check_sequence(const float (*values)[TEXT_VALUES], uint32_t vocab)
{
    bool right = true;
    for (uint32_t p = 0; p < TEXT_TOKENS && right; p++) {
        const float *v = values[p];
        right = v[0] >= 0.0f && v[0] < (float)vocab && v[0] == floorf(v[0]) && isfinite(v[1]) &&
                record_check(v + 2, TEXT_TOP, vocab) && v[1] <= v[2 + TEXT_TOP];
    }
    return right;
}

/* Of position p; false: out of range. */
static bool read_point(const cuda_text *text, uint32_t p, const float *values, divergence_point *point)
{
    *point = (divergence_point){.kl = (double)values[0], .delta_max = (double)values[1], .top1 = (double)values[2],
                                .top5 = (double)values[3], .nll = NAN, .nll_difference = NAN};
    if (cuda_text_next(text->tokens, p) >= 0) {
        point->nll = record_log_sum(text->values[p] + 2, TEXT_TOP) - (double)text->values[p][1];
        point->nll_difference = (double)values[4];
    }
    return isfinite(values[0]) && values[0] >= 0.0f && isfinite(values[1]) && values[1] >= 0.0f &&
           (values[2] == 0.0f || values[2] == 1.0f) && values[3] >= 0.0f && values[3] <= 1.001f && isfinite(values[4]);
}

static bool read_text(const char *folder, uint32_t vocab, cuda_text *text, char *why, size_t capacity)
{
    static float points[TEXT_POSITIONS][TEXT_POINT_VALUES];
    char name[64];
    for (uint32_t s = 0; s < TEXT_SEQUENCES; s++) {
        cuda_text_sequence_name(s, name);
        if (!read_part(folder, name, TEXT_TOKENS * TEXT_VALUES, text, text->values[s * TEXT_TOKENS], why, capacity))
            return false;
        if (!check_sequence((const float(*)[TEXT_VALUES])text->values + s * TEXT_TOKENS, vocab)) {
            snprintf(why, capacity, "%s/%s.vec: a value is out of range", folder, name);
            return false;
        }
    }
    for (uint32_t p = 0; p < TEXT_POSITIONS; p++)
        text->tokens[p] = (int32_t)text->values[p][0];
    for (uint32_t c = 0; c < CONTROLS; c++) {
        cuda_text_control_name(c, name);
        bool right = read_part(folder, name, TEXT_POSITIONS * TEXT_POINT_VALUES, text, points[0], why, capacity);
        if (!right)
            return false;
        for (uint32_t p = 0; p < TEXT_POSITIONS; p++)
            right = read_point(text, p, points[p], &text->controls[c][p]) && right;
        if (!right) {
            snprintf(why, capacity, "%s/%s.vec: a value is out of range", folder, name);
            return false;
        }
    }
    return true;
}

cuda_text *cuda_text_read(const char *folder, uint32_t vocab, char *why, size_t capacity)
{
    char path[1400], name[64];
    cuda_text_sequence_name(0, name);
    snprintf(path, sizeof(path), "%s/%s.vec", folder, name);
    FILE *first = fopen(path, "rb");
    why[0] = '\0';
    if (first == NULL)
        return NULL;
    fclose(first);
    cuda_text *text = calloc(1, sizeof(*text));
    if (text == NULL)
        snprintf(why, capacity, "out of memory");
    else if (vocab < TEXT_TOP || !read_text(folder, vocab, text, why, capacity)) {
        free(text);
        text = NULL;
    }
    return text;
}

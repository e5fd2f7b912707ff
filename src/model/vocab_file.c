/* model/vocab_file.c - the vocabulary of a GGUF file. */
#include "base/alloc.h"
#include "model/model_file.h"
#include "text/vocab.h"

#include <string.h>

/* The arrays that a pm_vocab_source points to. */
typedef struct vocab_arrays {
    pm_text *tokens, *merges;
    float *scores;
    int32_t *types;
} vocab_arrays;

static pm_result read_texts(const pm_gguf *g, const char *key, pm_text **out, size_t *count)
{
    const pm_gguf_value *v = NULL;
    PM_TRY(pm_gguf_get_array(g, key, PM_GGUF_STRING, &v));
    *count = v != NULL ? v->count : 0;
    *out = pm_alloc(*count, sizeof(**out), key);
    if (*out == NULL)
        return PM_ERR_NOMEM;
    const uint8_t *cursor = v != NULL ? v->data : NULL;
    for (size_t i = 0; i < *count; i++) {
        const pm_gguf_string s = pm_gguf_next_string(&cursor);
        (*out)[i] = (pm_text){s.data, s.len};
    }
    return PM_OK;
}

static pm_result check_length(const pm_gguf *g, const pm_gguf_value *v, size_t count)
{
    if (v->count != count)
        return pm_fail(PM_ERR_FORMAT, "%s: key %s has %llu items, tokenizer.ggml.tokens has %zu", pm_gguf_path(g), v->key,
                       (unsigned long long)v->count, count);
    return PM_OK;
}

static pm_result read_scores(const pm_gguf *g, size_t count, float **out)
{
    const pm_gguf_value *v = NULL;
    PM_TRY(pm_gguf_get_array(g, "tokenizer.ggml.scores", PM_GGUF_F32, &v));
    if (v == NULL)
        return PM_OK;
    PM_TRY(check_length(g, v, count));
    *out = pm_alloc(count, sizeof(**out), "token scores");
    if (*out == NULL)
        return PM_ERR_NOMEM;
    memcpy(*out, v->data, count * sizeof(**out));
    return PM_OK;
}

static pm_result read_types(const pm_gguf *g, size_t count, int32_t **out)
{
    const pm_gguf_value *v = pm_gguf_find(g, "tokenizer.ggml.token_type");
    if (v == NULL)
        return PM_OK;
    PM_TRY(pm_gguf_get_array(g, v->key, v->item_type == PM_GGUF_U32 ? PM_GGUF_U32 : PM_GGUF_I32, &v));
    PM_TRY(check_length(g, v, count));
    *out = pm_alloc(count, sizeof(**out), "token types");
    if (*out == NULL)
        return PM_ERR_NOMEM;
    memcpy(*out, v->data, count * sizeof(**out));
    return PM_OK;
}

static pm_result read_id(const pm_gguf *g, const char *key, int64_t *out)
{
    uint32_t id = 0;
    *out = -1;
    const pm_gguf_value *v = pm_gguf_find(g, key);
    if (v == NULL || pm_gguf_number(v, 0) == 4294967295.0 || pm_gguf_number(v, 0) == -1.0) /* "none" in some files */
        return PM_OK;
    PM_TRY(pm_gguf_get_u32(g, key, 0, INT32_MAX, &id));
    *out = id;
    return PM_OK;
}

static pm_result read_flag(const pm_gguf *g, const char *key, int *out)
{
    bool flag = false;
    *out = -1;
    if (pm_gguf_find(g, key) == NULL)
        return PM_OK;
    PM_TRY(pm_gguf_get_bool(g, key, &flag));
    *out = flag;
    return PM_OK;
}

static pm_result read_text(const pm_gguf *g, const char *key, pm_text *out)
{
    pm_gguf_string s = {0};
    PM_TRY(pm_gguf_get_string(g, key, &s));
    *out = (pm_text){s.data, s.len};
    return PM_OK;
}

static pm_result read_source(const pm_gguf *g, vocab_arrays *a, pm_vocab_source *s)
{
    PM_TRY(read_text(g, "tokenizer.ggml.model", &s->model));
    if (s->model.len == 0)
        return pm_fail(PM_ERR_FORMAT, "%s: no vocabulary: key tokenizer.ggml.model is missing", pm_gguf_path(g));
    PM_TRY(read_text(g, "tokenizer.ggml.pre", &s->pre));
    PM_TRY(read_text(g, "tokenizer.chat_template", &s->chat_template));
    PM_TRY(read_texts(g, "tokenizer.ggml.tokens", &a->tokens, &s->count));
    PM_TRY(read_texts(g, "tokenizer.ggml.merges", &a->merges, &s->merge_count));
    PM_TRY(read_scores(g, s->count, &a->scores));
    PM_TRY(read_types(g, s->count, &a->types));
    s->tokens = a->tokens;
    s->merges = a->merges;
    s->scores = a->scores;
    s->types = a->types;
    PM_TRY(read_id(g, "tokenizer.ggml.bos_token_id", &s->bos));
    PM_TRY(read_id(g, "tokenizer.ggml.eos_token_id", &s->eos));
    PM_TRY(read_id(g, "tokenizer.ggml.unknown_token_id", &s->unk));
    PM_TRY(read_id(g, "tokenizer.ggml.eot_token_id", &s->eot));
    PM_TRY(read_id(g, "tokenizer.ggml.eom_token_id", &s->eom));
    PM_TRY(read_id(g, "tokenizer.ggml.padding_token_id", &s->pad));
    PM_TRY(read_flag(g, "tokenizer.ggml.add_bos_token", &s->add_bos));
    PM_TRY(read_flag(g, "tokenizer.ggml.add_eos_token", &s->add_eos));
    return read_flag(g, "tokenizer.ggml.add_space_prefix", &s->add_space_prefix);
}

pm_result pm_tokenizer_create(const pm_model_file *file, pm_tokenizer **out)
{
    const pm_gguf *g = pm_model_file_gguf(file);
    vocab_arrays arrays = {0};
    pm_vocab_source source = {0};
    pm_result result = read_source(g, &arrays, &source);
    if (result == PM_OK) {
        result = pm_tokenizer_create_from(&source, out);
        if (result != PM_OK)
            pm_error_prefix("%s", pm_gguf_path(g));
    }
    pm_free(arrays.tokens);
    pm_free(arrays.merges);
    pm_free(arrays.scores);
    pm_free(arrays.types);
    return result;
}

/* model/model_file.c - a GGUF file's directory, told to the outside. */
#include "model/model_file.h"

#include "base/alloc.h"
#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct pm_model_file {
    pm_gguf *gguf;
    char (*types)[40];             /* [metadata count] "arr[str,32000]" */
    char *architecture, *name;
};

static pm_result copy_string(const pm_gguf *gguf, const char *key, char **out)
{
    const pm_gguf_value *v = pm_gguf_find(gguf, key);
    pm_gguf_string s = {0};
    if (v != NULL && v->type == PM_GGUF_STRING)
        PM_TRY(pm_gguf_get_string(gguf, key, &s));
    *out = pm_alloc(s.len + 1, 1, key);
    if (*out == NULL)
        return PM_ERR_NOMEM;
    if (s.len > 0)
        memcpy(*out, s.data, s.len);
    return PM_OK;
}

static pm_result describe_types(pm_model_file *f)
{
    const uint64_t count = pm_gguf_value_count(f->gguf);
    f->types = pm_alloc(count, sizeof(*f->types), "metadata types");
    if (f->types == NULL)
        return PM_ERR_NOMEM;
    for (uint64_t i = 0; i < count; i++) {
        const pm_gguf_value *v = pm_gguf_value_at(f->gguf, i);
        if (v->type == PM_GGUF_ARRAY)
            snprintf(f->types[i], sizeof(f->types[i]), "arr[%s,%llu]", pm_gguf_type_name(v->item_type),
                     (unsigned long long)v->count);
        else
            snprintf(f->types[i], sizeof(f->types[i]), "%s", pm_gguf_type_name(v->type));
    }
    return PM_OK;
}

pm_result pm_model_file_open(const char *path, pm_model_file **out)
{
    pm_model_file *f = pm_alloc(1, sizeof(*f), "model file");
    if (f == NULL)
        return PM_ERR_NOMEM;
    pm_result result = pm_gguf_open(path, &f->gguf);
    if (result == PM_OK)
        result = describe_types(f);
    if (result == PM_OK)
        result = copy_string(f->gguf, "general.architecture", &f->architecture);
    if (result == PM_OK)
        result = copy_string(f->gguf, "general.name", &f->name);
    if (result != PM_OK) {
        pm_model_file_close(f);
        return result;
    }
    *out = f;
    return PM_OK;
}

void pm_model_file_close(pm_model_file *f)
{
    if (f == NULL)
        return;
    pm_gguf_close(f->gguf);
    pm_free(f->types);
    pm_free(f->architecture);
    pm_free(f->name);
    pm_free(f);
}

const pm_gguf *pm_model_file_gguf(const pm_model_file *f)
{
    return f->gguf;
}

void pm_model_file_summary(const pm_model_file *f, pm_model_summary *out)
{
    *out = (pm_model_summary){
        .gguf_version = pm_gguf_version(f->gguf),
        .metadata_count = pm_gguf_value_count(f->gguf),
        .tensor_count = pm_gguf_tensor_count(f->gguf),
        .file_bytes = pm_gguf_file_bytes(f->gguf),
        .files = pm_gguf_parts(f->gguf),
        .architecture = f->architecture,
        .name = f->name,
    };
    for (uint64_t i = 0; i < out->tensor_count; i++) {
        const pm_gguf_tensor *t = pm_gguf_tensor_at(f->gguf, i);
        out->parameters += t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
        out->tensor_bytes += t->bytes;
    }
}

void pm_model_file_tensor(const pm_model_file *f, size_t index, pm_model_tensor *out)
{
    const pm_gguf_tensor *t = pm_gguf_tensor_at(f->gguf, index);
    *out = (pm_model_tensor){.name = t->name, .type = pm_dtype_get(t->type)->name, .dims = t->dims,
                             .offset = t->offset, .bytes = t->bytes};
    memcpy(out->shape, t->shape, sizeof(out->shape));
}

/* --------------------------------------------------------- values as text */

/* Writes as snprintf() does: counts everything, keeps what fits. */
typedef struct text_sink {
    char *text;
    size_t capacity, len;
} text_sink;

static void put(text_sink *s, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++, s->len++)
        if (s->len + 1 < s->capacity)
            s->text[s->len] = bytes[i];
}

static void put_text(text_sink *s, const char *text)
{
    put(s, text, strlen(text));
}

static void put_string(text_sink *s, pm_gguf_string string, bool json)
{
    if (!json) {
        put(s, string.data, string.len);
        return;
    }
    put(s, "\"", 1);
    for (uint64_t i = 0; i < string.len; i++) {
        const unsigned char c = (unsigned char)string.data[i];
        char escaped[8];
        if (c == '"' || c == '\\')
            snprintf(escaped, sizeof(escaped), "\\%c", c);
        else if (c < 0x20)
            snprintf(escaped, sizeof(escaped), "\\u%04x", c);
        else
            snprintf(escaped, sizeof(escaped), "%c", c);
        put_text(s, escaped);
    }
    put(s, "\"", 1);
}

static void put_number(text_sink *s, const pm_gguf_value *v, uint64_t i, bool json)
{
    char text[40];
    const double number = pm_gguf_number(v, i);
    if (v->item_type == PM_GGUF_BOOL)
        snprintf(text, sizeof(text), "%s", number != 0.0 ? "true" : "false");
    else if (v->item_type == PM_GGUF_F32 || v->item_type == PM_GGUF_F64)
        snprintf(text, sizeof(text), isfinite(number) || !json ? "%.9g" : "null", number);
    else
        snprintf(text, sizeof(text), "%.0f", number);
    put_text(s, text);
}

static void put_items(text_sink *s, const pm_gguf_value *v, bool json, uint64_t items)
{
    const uint8_t *cursor = v->data;
    for (uint64_t i = 0; i < items; i++) {
        if (i > 0)
            put_text(s, ", ");
        if (v->item_type == PM_GGUF_STRING)
            put_string(s, pm_gguf_next_string(&cursor), json);
        else if (v->item_type == PM_GGUF_ARRAY)
            put_text(s, json ? "null" : "[...]");
        else
            put_number(s, v, i, json);
    }
}

size_t pm_model_file_metadata(const pm_model_file *f, size_t index, bool json, size_t array_max, const char **key,
                              const char **type, char *value, size_t capacity)
{
    const pm_gguf_value *v = pm_gguf_value_at(f->gguf, index);
    text_sink sink = {.text = value, .capacity = capacity};
    *key = v->key;
    *type = f->types[index];
    if (v->type == PM_GGUF_ARRAY) {
        const uint64_t items = v->count < array_max ? v->count : array_max;
        put_text(&sink, "[");
        put_items(&sink, v, json, items);
        if (items < v->count)
            put_text(&sink, json ? (items > 0 ? ", \"...\"" : "\"...\"") : (items > 0 ? ", ..." : "..."));
        put_text(&sink, "]");
    } else {
        put_items(&sink, v, json, 1);
    }
    if (capacity > 0)
        value[sink.len < capacity ? sink.len : capacity - 1] = '\0';
    return sink.len;
}

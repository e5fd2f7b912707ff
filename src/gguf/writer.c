/* gguf/writer.c - writes a GGUF file as a stream. */
#include "gguf/writer.h"

#include "base/file.h"
#include "base/str.h"

#include <string.h>

struct pm_gguf_writer {
    pm_file_out file;
    uint32_t alignment;
    pm_str values, infos;          /* as they go into the file */
    uint64_t value_count, tensor_count;
    uint64_t *tensor_bytes;        /* [tensor_count] */
    uint64_t tensor_capacity;
    uint64_t data_bytes;           /* of the tensors named so far, padded: the next one's offset */
    bool began;                    /* the directory is in the file */
    uint64_t turn, turn_bytes;     /* the tensor being written, and its bytes so far */
    uint64_t written;              /* bytes of the file */
};

pm_result pm_gguf_writer_open(const char *path, uint32_t alignment, pm_gguf_writer **out)
{
    pm_assert(alignment >= 8 && (alignment & (alignment - 1)) == 0);
    pm_gguf_writer *w = pm_alloc(1, sizeof(*w), "GGUF writer");
    if (w == NULL)
        return PM_ERR_NOMEM;
    w->alignment = alignment;
    const pm_result result = pm_file_out_open(path, 0666, &w->file);
    if (result != PM_OK) {
        pm_gguf_writer_close(w);
        return result;
    }
    *out = w;
    return PM_OK;
}

void pm_gguf_writer_close(pm_gguf_writer *w)
{
    if (w == NULL)
        return;
    pm_file_out_discard(&w->file);
    pm_str_finish(&w->values);
    pm_str_finish(&w->infos);
    pm_free(w->tensor_bytes);
    pm_free(w);
}

/* ------------------------------------------------------------- directory */

static pm_result put_u32(pm_str *s, uint32_t x)
{
    return pm_str_append(s, (const char *)&x, sizeof(x));
}

static pm_result put_u64(pm_str *s, uint64_t x)
{
    return pm_str_append(s, (const char *)&x, sizeof(x));
}

static pm_result put_text(pm_str *s, const char *text)
{
    const size_t len = strlen(text);
    PM_TRY(put_u64(s, len));
    return pm_str_append(s, text, len);
}

static pm_result put_key(pm_gguf_writer *w, const char *key, pm_gguf_type type)
{
    pm_assert(!w->began);
    w->value_count++;
    PM_TRY(put_text(&w->values, key));
    return put_u32(&w->values, (uint32_t)type);
}

pm_result pm_gguf_writer_copy(pm_gguf_writer *w, const pm_gguf_value *v)
{
    PM_TRY(put_key(w, v->key, v->type));
    if (v->type == PM_GGUF_ARRAY) {
        PM_TRY(put_u32(&w->values, (uint32_t)v->item_type));
        PM_TRY(put_u64(&w->values, v->count));
    }
    return pm_str_append(&w->values, (const char *)v->data, v->bytes);
}

pm_result pm_gguf_writer_u32(pm_gguf_writer *w, const char *key, uint32_t value)
{
    PM_TRY(put_key(w, key, PM_GGUF_U32));
    return put_u32(&w->values, value);
}

pm_result pm_gguf_writer_text(pm_gguf_writer *w, const char *key, const char *text)
{
    PM_TRY(put_key(w, key, PM_GGUF_STRING));
    return put_text(&w->values, text);
}

static uint64_t padding(const pm_gguf_writer *w, uint64_t at)
{
    return (w->alignment - at % w->alignment) % w->alignment;
}

pm_result pm_gguf_writer_tensor(pm_gguf_writer *w, const char *name, uint32_t dims, const uint64_t shape[4],
                                pm_dtype type)
{
    pm_assert(!w->began && dims >= 1 && dims <= 4);
    uint64_t bytes = pm_dtype_row_bytes(type, shape[0]);
    for (uint32_t i = 1; i < dims; i++) {
        pm_assert(shape[i] <= INT64_MAX / bytes);
        bytes *= shape[i];
    }
    if (w->tensor_count == w->tensor_capacity) {
        const uint64_t capacity = w->tensor_capacity > 0 ? 2 * w->tensor_capacity : 256;
        uint64_t *grown = pm_realloc(w->tensor_bytes, capacity, sizeof(*grown), "GGUF directory");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        w->tensor_bytes = grown;
        w->tensor_capacity = capacity;
    }
    PM_TRY(put_text(&w->infos, name));
    PM_TRY(put_u32(&w->infos, dims));
    for (uint32_t i = 0; i < dims; i++)
        PM_TRY(put_u64(&w->infos, shape[i]));
    PM_TRY(put_u32(&w->infos, (uint32_t)type));
    PM_TRY(put_u64(&w->infos, w->data_bytes));
    w->tensor_bytes[w->tensor_count++] = bytes;
    pm_assert(bytes <= INT64_MAX - w->data_bytes - w->alignment);
    w->data_bytes += bytes + padding(w, bytes);
    return PM_OK;
}

/* ------------------------------------------------------------------ data */

static pm_result put(pm_gguf_writer *w, const void *data, uint64_t bytes)
{
    w->written += bytes;
    return pm_file_out_write(&w->file, data, bytes);
}

static pm_result pad(pm_gguf_writer *w)
{
    static const uint8_t zeros[4096];
    for (uint64_t left = padding(w, w->written); left > 0;) {
        const uint64_t n = left < sizeof(zeros) ? left : sizeof(zeros);
        PM_TRY(put(w, zeros, n));
        left -= n;
    }
    return PM_OK;
}

static pm_result begin(pm_gguf_writer *w)
{
    pm_str head = {0};
    w->began = true;
    pm_result result = pm_str_append(&head, "GGUF", 4);
    if (result == PM_OK)
        result = put_u32(&head, 3);
    if (result == PM_OK)
        result = put_u64(&head, w->tensor_count);
    if (result == PM_OK)
        result = put_u64(&head, w->value_count);
    if (result == PM_OK)
        result = put(w, head.data, head.len);
    pm_str_finish(&head);
    PM_TRY(result);
    PM_TRY(put(w, w->values.data, w->values.len));
    PM_TRY(put(w, w->infos.data, w->infos.len));
    return w->tensor_count > 0 ? pad(w) : PM_OK;
}

pm_result pm_gguf_writer_data(pm_gguf_writer *w, const void *data, uint64_t bytes)
{
    if (!w->began)
        PM_TRY(begin(w));
    pm_assert(w->turn < w->tensor_count && bytes <= w->tensor_bytes[w->turn] - w->turn_bytes);
    PM_TRY(put(w, data, bytes));
    w->turn_bytes += bytes;
    if (w->turn_bytes < w->tensor_bytes[w->turn])
        return PM_OK;
    w->turn++;
    w->turn_bytes = 0;
    return pad(w);
}

pm_result pm_gguf_writer_commit(pm_gguf_writer *w, uint64_t *bytes)
{
    if (!w->began)
        PM_TRY(begin(w));
    pm_assert(w->turn == w->tensor_count);
    PM_TRY(pm_file_out_commit(&w->file));
    *bytes = w->written;
    return PM_OK;
}

/* gguf/imatrix.c - reading importance matrices. */
#include "gguf/imatrix.h"

#include "base/alloc.h"
#include "base/file.h"
#include "gguf/gguf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 4096u

typedef struct entry {
    const char *name;
    float *values;                 /* [count] mean squares */
    uint64_t count;
} entry;

struct pm_imatrix {
    char *path;
    entry *entries;                /* by name, once read */
    uint64_t count;
    uint32_t chunks;
    const char *dataset;
    pm_arena arena;                /* names, values, dataset */
};

static const char *copy_text(pm_imatrix *m, const char *text, uint64_t len)
{
    char *copy = pm_arena_alloc(&m->arena, len + 1, 1, "importance matrix");
    if (copy != NULL)
        memcpy(copy, text, len);
    return copy;
}

/* values[i] = sums[i] / rows, checked; rows of 0 make all of them 1. sums may be unaligned. */
static pm_result put_means(const pm_imatrix *m, const char *name, const uint8_t *sums, uint64_t count, double rows,
                           float *values)
{
    if (!(rows >= 0.0 && rows <= 1e18))
        return pm_fail(PM_ERR_FORMAT, "%s: %s was counted %g times, expected 0 to 1e18", m->path, name, rows);
    for (uint64_t i = 0; i < count; i++) {
        float sum;
        memcpy(&sum, sums + 4 * i, 4);
        if (!(sum >= 0.0f && isfinite(sum)))
            return pm_fail(PM_ERR_FORMAT, "%s: %s: value %llu is %g, expected a finite number from 0", m->path, name,
                           (unsigned long long)i, (double)sum);
        const double mean = rows > 0.0 ? (double)sum / rows : 1.0;
        values[i] = (float)mean;
        if (!isfinite(values[i]))
            return pm_fail(PM_ERR_FORMAT, "%s: %s: mean %llu is %g, expected less than 3.4e38", m->path, name,
                           (unsigned long long)i, mean);
    }
    return PM_OK;
}

static pm_result add_entry(pm_imatrix *m, const char *name, uint64_t count, entry **out)
{
    entry *e = &m->entries[m->count];
    *e = (entry){.name = name, .count = count};
    e->values = pm_arena_alloc(&m->arena, count, sizeof(float), "importance matrix");
    if (e->name == NULL || e->values == NULL)
        return PM_ERR_NOMEM;
    m->count++;
    *out = e;
    return PM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static pm_result sort_entries(pm_imatrix *m)
{
    qsort(m->entries, m->count, sizeof(*m->entries), by_name);
    for (uint64_t i = 1; i < m->count; i++)
        if (by_name(&m->entries[i - 1], &m->entries[i]) == 0)
            return pm_fail(PM_ERR_FORMAT, "%s: %s is there twice", m->path, m->entries[i].name);
    return PM_OK;
}

/* ------------------------------------------------------------ GGUF files */

static pm_result read_tensor(pm_imatrix *m, const pm_gguf *g, const pm_gguf_tensor *sums)
{
    static const char tail[] = ".in_sum2";
    const size_t len = strlen(sums->name);
    if (len <= sizeof(tail) - 1 || strcmp(sums->name + len - (sizeof(tail) - 1), tail) != 0)
        return PM_OK;
    const char *name = copy_text(m, sums->name, len - (sizeof(tail) - 1));
    char *counts_name = pm_arena_alloc(&m->arena, len + 8, 1, "importance matrix");
    if (name == NULL || counts_name == NULL)
        return PM_ERR_NOMEM;
    memcpy(counts_name, name, strlen(name));
    memcpy(counts_name + strlen(name), ".counts", sizeof(".counts"));
    const pm_gguf_tensor *counts = pm_gguf_tensor_find(g, counts_name);
    if (counts == NULL)
        return pm_fail(PM_ERR_FORMAT, "%s: %s has no %s beside it", m->path, sums->name, counts_name);
    if (sums->type != PM_DTYPE_F32 || counts->type != PM_DTYPE_F32)
        return pm_fail(PM_ERR_FORMAT, "%s: %s and its counts have types %s and %s, expected F32", m->path, name,
                       pm_dtype_get(sums->type)->name, pm_dtype_get(counts->type)->name);
    const uint64_t k = sums->shape[0], experts = sums->bytes / 4 / k;
    if (counts->bytes / 4 != experts)
        return pm_fail(PM_ERR_FORMAT, "%s: %s has %llu counts, expected %llu", m->path, name,
                       (unsigned long long)(counts->bytes / 4), (unsigned long long)experts);
    entry *e;
    PM_TRY(add_entry(m, name, k * experts, &e));
    for (uint64_t i = 0; i < experts; i++) {
        float rows;
        memcpy(&rows, (const uint8_t *)counts->data + 4 * i, 4);
        PM_TRY(put_means(m, name, (const uint8_t *)sums->data + 4 * i * k, k, (double)rows, e->values + i * k));
    }
    return PM_OK;
}

static pm_result read_about(pm_imatrix *m, const pm_gguf *g)
{
    pm_gguf_string type = {0};
    const pm_gguf_value *datasets;
    PM_TRY(pm_gguf_get_string(g, "general.type", &type));
    if (type.len != 7 || memcmp(type.data, "imatrix", 7) != 0)
        return pm_fail(PM_ERR_FORMAT, "%s: general.type is '%.*s', expected 'imatrix'", m->path,
                       (int)(type.len < 40 ? type.len : 40), type.data != NULL ? type.data : "");
    PM_TRY(pm_gguf_get_u32(g, "imatrix.chunk_count", 0, UINT32_MAX, &m->chunks));
    PM_TRY(pm_gguf_get_array(g, "imatrix.datasets", PM_GGUF_STRING, &datasets));
    if (datasets != NULL && datasets->count > 0) {
        const uint8_t *cursor = datasets->data;
        const pm_gguf_string first = pm_gguf_next_string(&cursor);
        m->dataset = copy_text(m, first.data, first.len);
    }
    return m->dataset != NULL ? PM_OK : PM_ERR_NOMEM;
}

static pm_result read_gguf(pm_imatrix *m, const pm_gguf *g)
{
    const uint64_t count = pm_gguf_tensor_count(g);
    PM_TRY(read_about(m, g));
    m->entries = pm_alloc(count, sizeof(*m->entries), "importance matrix");
    if (m->entries == NULL)
        return PM_ERR_NOMEM;
    for (uint64_t i = 0; i < count; i++)
        PM_TRY(read_tensor(m, g, pm_gguf_tensor_at(g, i)));
    return sort_entries(m);
}

/* ----------------------------------------------------------- older files */

typedef struct cursor {
    const uint8_t *data;
    uint64_t at, bytes;
} cursor;

static pm_result take(const pm_imatrix *m, cursor *c, const char *what, uint64_t bytes, const uint8_t **out)
{
    if (bytes > c->bytes - c->at)
        return pm_fail(PM_ERR_FORMAT, "%s: %s at byte %llu needs %llu bytes, the file has %llu left", m->path, what,
                       (unsigned long long)c->at, (unsigned long long)bytes, (unsigned long long)(c->bytes - c->at));
    *out = c->data + c->at;
    c->at += bytes;
    return PM_OK;
}

static pm_result take_i32(const pm_imatrix *m, cursor *c, const char *what, int32_t min, int32_t max, int32_t *out)
{
    const uint8_t *p;
    PM_TRY(take(m, c, what, 4, &p));
    memcpy(out, p, 4);
    if (*out < min || *out > max)
        return pm_fail(PM_ERR_FORMAT, "%s: %s at byte %llu is %d, expected %d to %d", m->path, what,
                       (unsigned long long)(c->at - 4), *out, min, max);
    return PM_OK;
}

static pm_result read_entry(pm_imatrix *m, cursor *c)
{
    int32_t len, calls, count;
    const uint8_t *text, *sums;
    entry *e;
    PM_TRY(take_i32(m, c, "the length of a name", 1, NAME_BYTES_MAX, &len));
    PM_TRY(take(m, c, "a name", (uint64_t)len, &text));
    if (memchr(text, 0, (size_t)len) != NULL)
        return pm_fail(PM_ERR_FORMAT, "%s: a name before byte %llu has a NUL in it", m->path, (unsigned long long)c->at);
    const char *name = copy_text(m, (const char *)text, (uint64_t)len);
    if (name == NULL)
        return PM_ERR_NOMEM;
    PM_TRY(take_i32(m, c, "the calls of a tensor", 0, INT32_MAX, &calls));
    PM_TRY(take_i32(m, c, "the number of values", 1, INT32_MAX, &count));
    PM_TRY(take(m, c, name, (uint64_t)count * 4, &sums));
    PM_TRY(add_entry(m, name, (uint64_t)count, &e));
    return put_means(m, name, sums, (uint64_t)count, (double)calls, e->values);
}

static pm_result read_older(pm_imatrix *m, const uint8_t *data, uint64_t bytes)
{
    enum { ENTRY_BYTES_MIN = 4 + 1 + 4 + 4 + 4 };
    cursor c = {.data = data, .bytes = bytes};
    int32_t count, len;
    PM_TRY(take_i32(m, &c, "the number of tensors", 1, INT32_MAX, &count));
    if ((uint64_t)count > (bytes - c.at) / ENTRY_BYTES_MIN)
        return pm_fail(PM_ERR_FORMAT, "%s: neither GGUF nor an older importance matrix: %d tensors do not fit %llu bytes",
                       m->path, count, (unsigned long long)bytes);
    m->entries = pm_alloc((size_t)count, sizeof(*m->entries), "importance matrix");
    if (m->entries == NULL)
        return PM_ERR_NOMEM;
    for (int32_t i = 0; i < count; i++)
        PM_TRY(read_entry(m, &c));
    if (c.at < c.bytes) {
        const uint8_t *text;
        int32_t chunks;
        PM_TRY(take_i32(m, &c, "the number of chunks", 0, INT32_MAX, &chunks));
        PM_TRY(take_i32(m, &c, "the length of the text's name", 0, NAME_BYTES_MAX, &len));
        PM_TRY(take(m, &c, "the text's name", (uint64_t)len, &text));
        m->chunks = (uint32_t)chunks;
        m->dataset = copy_text(m, (const char *)text, (uint64_t)len);
        if (m->dataset == NULL)
            return PM_ERR_NOMEM;
        if (c.at < c.bytes)
            return pm_fail(PM_ERR_FORMAT, "%s: %llu bytes after the end", m->path, (unsigned long long)(c.bytes - c.at));
    }
    return sort_entries(m);
}

/* ---------------------------------------------------------------- access */

static pm_result create(const char *name, pm_imatrix **out)
{
    pm_imatrix *m = pm_alloc(1, sizeof(*m), "importance matrix");
    if (m == NULL)
        return PM_ERR_NOMEM;
    pm_arena_init(&m->arena, 1u << 20);
    m->dataset = "";
    m->path = pm_strdup(name, "path");
    if (m->path == NULL) {
        pm_imatrix_close(m);
        return PM_ERR_NOMEM;
    }
    *out = m;
    return PM_OK;
}

pm_result pm_imatrix_open_memory(const void *data, uint64_t bytes, const char *name, pm_imatrix **out)
{
    pm_imatrix *m = NULL;
    pm_gguf *g = NULL;
    PM_TRY(create(name, &m));
    pm_result result;
    if (bytes >= 4 && memcmp(data, "GGUF", 4) == 0) {
        result = pm_gguf_open_memory(data, bytes, name, &g);
        if (result == PM_OK)
            result = read_gguf(m, g);
        pm_gguf_close(g);
    } else {
        result = read_older(m, data, bytes);
    }
    if (result != PM_OK) {
        pm_imatrix_close(m);
        return result;
    }
    *out = m;
    return PM_OK;
}

pm_result pm_imatrix_open(const char *path, pm_imatrix **out)
{
    pm_file_map map;
    PM_TRY(pm_file_map_open(path, &map));
    const pm_result result = pm_imatrix_open_memory(map.data, map.bytes, path, out);
    pm_file_map_close(&map);
    return result;
}

void pm_imatrix_close(pm_imatrix *m)
{
    if (m == NULL)
        return;
    pm_free(m->path);
    pm_free(m->entries);
    pm_arena_finish(&m->arena);
    pm_free(m);
}

uint64_t pm_imatrix_count(const pm_imatrix *m)
{
    return m->count;
}

uint32_t pm_imatrix_chunks(const pm_imatrix *m)
{
    return m->chunks;
}

const char *pm_imatrix_dataset(const pm_imatrix *m)
{
    return m->dataset;
}

pm_result pm_imatrix_find(const pm_imatrix *m, const char *tensor, uint64_t k, uint64_t experts, const float **importance)
{
    const entry wanted = {.name = tensor};
    const entry *e = m->count > 0 ? bsearch(&wanted, m->entries, m->count, sizeof(*m->entries), by_name) : NULL;
    *importance = NULL;
    if (e == NULL)
        return PM_OK;
    if (k > UINT64_MAX / experts || e->count != k * experts)
        return pm_fail(PM_ERR_FORMAT, "%s: %s has %llu values, the tensor needs %llu x %llu", m->path, tensor,
                       (unsigned long long)e->count, (unsigned long long)k, (unsigned long long)experts);
    *importance = e->values;
    return PM_OK;
}

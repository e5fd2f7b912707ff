/* gguf/gguf.c - reading and checking the directory of a GGUF file. */
#include "gguf/gguf.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT_DEFAULT 32u
#define ALIGNMENT_MAX (1u << 20)
#define NESTING_MAX 2              /* arrays in arrays that no reader needs */
#define PARTS_MAX 1024u
#define NAME_MAX_BYTES 65535u      /* of a key or tensor name */

typedef struct part {
    pm_file_map map;               /* data NULL for memory */
    const uint8_t *data;
    uint64_t bytes;
    uint64_t tensor_data;          /* offset of the data section */
} part;

/* Open addressing: name -> index + 1. */
typedef struct name_index {
    uint32_t *slots;
    uint64_t mask;
} name_index;

struct pm_gguf {
    char *path;
    part *parts;
    uint32_t part_count;
    uint32_t version, alignment;
    pm_gguf_value *values;
    uint64_t value_count;
    pm_gguf_tensor *tensors;
    uint64_t tensor_count;
    name_index value_index, tensor_index;
    pm_arena names;
};

/* ---------------------------------------------------------------- cursor */

/* Reads forward; never past the end. `what` names the field in messages. */
typedef struct cursor {
    const char *path;
    const uint8_t *data;
    uint64_t at, bytes;
} cursor;

static pm_result take(cursor *c, uint64_t bytes, const char *what, const uint8_t **out)
{
    if (bytes > c->bytes - c->at)
        return pm_fail(PM_ERR_FORMAT, "%s: %s at byte %llu needs %llu bytes, the file has %llu left", c->path, what,
                       (unsigned long long)c->at, (unsigned long long)bytes, (unsigned long long)(c->bytes - c->at));
    *out = c->data + c->at;
    c->at += bytes;
    return PM_OK;
}

static pm_result take_u32(cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *p;
    PM_TRY(take(c, 4, what, &p));
    memcpy(out, p, 4);
    return PM_OK;
}

static pm_result take_u64(cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *p;
    PM_TRY(take(c, 8, what, &p));
    memcpy(out, p, 8);
    return PM_OK;
}

static pm_result take_string(cursor *c, const char *what, pm_gguf_string *out)
{
    uint64_t len;
    const uint8_t *p;
    PM_TRY(take_u64(c, what, &len));
    PM_TRY(take(c, len, what, &p));
    *out = (pm_gguf_string){(const char *)p, len};
    return PM_OK;
}

/* A key or tensor name: an owned copy, without NUL bytes inside. */
static pm_result take_name(cursor *c, pm_gguf *g, const char *what, const char **out)
{
    pm_gguf_string s;
    PM_TRY(take_string(c, what, &s));
    if (s.len == 0 || s.len > NAME_MAX_BYTES || memchr(s.data, 0, s.len) != NULL)
        return pm_fail(PM_ERR_FORMAT, "%s: %s of %llu bytes before byte %llu, expected 1 to %u without NUL", c->path,
                       what, (unsigned long long)s.len, (unsigned long long)c->at, NAME_MAX_BYTES);
    char *copy = pm_arena_alloc(&g->names, s.len + 1, 1, what);
    if (copy == NULL)
        return PM_ERR_NOMEM;
    memcpy(copy, s.data, s.len);
    *out = copy;
    return PM_OK;
}

/* ----------------------------------------------------------------- index */

static pm_result index_create(name_index *index, uint64_t count)
{
    uint64_t slots = 16;
    while (slots < count * 2)
        slots *= 2;
    index->slots = pm_alloc(slots, sizeof(*index->slots), "GGUF index");
    index->mask = slots - 1;
    return index->slots != NULL ? PM_OK : PM_ERR_NOMEM;
}

static uint32_t *index_slot(const name_index *index, const char *name, const char *(*name_of)(const pm_gguf *, uint32_t),
                            const pm_gguf *g)
{
    uint64_t i = pm_hash64(name, strlen(name), PM_HASH_SEED) & index->mask;
    while (index->slots[i] != 0 && strcmp(name_of(g, index->slots[i] - 1), name) != 0)
        i = (i + 1) & index->mask;
    return &index->slots[i];
}

static const char *value_name(const pm_gguf *g, uint32_t i)
{
    return g->values[i].key;
}

static const char *tensor_name(const pm_gguf *g, uint32_t i)
{
    return g->tensors[i].name;
}

/* ---------------------------------------------------------------- values */

static const struct {
    const char *name;
    uint32_t bytes;                /* 0 = of variable size */
} type_infos[PM_GGUF_TYPES] = {
    [PM_GGUF_U8] = {"u8", 1},    [PM_GGUF_I8] = {"i8", 1},       [PM_GGUF_U16] = {"u16", 2},  [PM_GGUF_I16] = {"i16", 2},
    [PM_GGUF_U32] = {"u32", 4},  [PM_GGUF_I32] = {"i32", 4},     [PM_GGUF_F32] = {"f32", 4},  [PM_GGUF_BOOL] = {"bool", 1},
    [PM_GGUF_STRING] = {"str", 0}, [PM_GGUF_ARRAY] = {"arr", 0}, [PM_GGUF_U64] = {"u64", 8},  [PM_GGUF_I64] = {"i64", 8},
    [PM_GGUF_F64] = {"f64", 8},
};

const char *pm_gguf_type_name(pm_gguf_type type)
{
    return (unsigned)type < PM_GGUF_TYPES ? type_infos[type].name : "?";
}

static pm_result take_type(cursor *c, const char *key, pm_gguf_type *out)
{
    uint32_t type;
    PM_TRY(take_u32(c, key, &type));
    if (type >= PM_GGUF_TYPES)
        return pm_fail(PM_ERR_FORMAT, "%s: key %s has value type %u, expected 0 to %d", c->path, key, type,
                       PM_GGUF_TYPES - 1);
    *out = (pm_gguf_type)type;
    return PM_OK;
}

/* Moves past count items. */
static pm_result skip_items(cursor *c, const char *key, pm_gguf_type type, uint64_t count, int depth)
{
    const uint8_t *p;
    if (type_infos[type].bytes > 0) {
        if (count > UINT64_MAX / type_infos[type].bytes)
            return pm_fail(PM_ERR_FORMAT, "%s: key %s has %llu items, more than any file holds", c->path, key,
                           (unsigned long long)count);
        return take(c, count * type_infos[type].bytes, key, &p);
    }
    for (uint64_t i = 0; i < count; i++) {
        if (type == PM_GGUF_STRING) {
            pm_gguf_string s;
            PM_TRY(take_string(c, key, &s));
            continue;
        }
        pm_gguf_type item;
        uint64_t items;
        if (depth >= NESTING_MAX)
            return pm_fail(PM_ERR_FORMAT, "%s: key %s nests arrays deeper than %d", c->path, key, NESTING_MAX);
        PM_TRY(take_type(c, key, &item));
        PM_TRY(take_u64(c, key, &items));
        PM_TRY(skip_items(c, key, item, items, depth + 1));
    }
    return PM_OK;
}

static pm_result read_value(cursor *c, pm_gguf *g, pm_gguf_value *v)
{
    PM_TRY(take_name(c, g, "metadata key", &v->key));
    PM_TRY(take_type(c, v->key, &v->type));
    v->item_type = v->type;
    v->count = 1;
    if (v->type == PM_GGUF_ARRAY) {
        PM_TRY(take_type(c, v->key, &v->item_type));
        PM_TRY(take_u64(c, v->key, &v->count));
    }
    v->data = c->data + c->at;
    PM_TRY(skip_items(c, v->key, v->item_type, v->count, 1));
    v->bytes = (uint64_t)(c->data + c->at - v->data);
    return PM_OK;
}

static pm_result read_values(cursor *c, pm_gguf *g, uint64_t count)
{
    g->values = pm_alloc(count, sizeof(*g->values), "GGUF metadata");
    if (g->values == NULL)
        return PM_ERR_NOMEM;
    PM_TRY(index_create(&g->value_index, count));
    for (uint64_t i = 0; i < count; i++) {
        PM_TRY(read_value(c, g, &g->values[i]));
        uint32_t *slot = index_slot(&g->value_index, g->values[i].key, value_name, g);
        if (*slot != 0)
            return pm_fail(PM_ERR_FORMAT, "%s: key %s is there twice", c->path, g->values[i].key);
        *slot = (uint32_t)++g->value_count;
    }
    return PM_OK;
}

/* --------------------------------------------------------------- tensors */

static pm_result tensor_bytes(const char *path, pm_gguf_tensor *t)
{
    const pm_dtype_info *info = pm_dtype_get(t->type);
    if (t->shape[0] % info->block != 0)
        return pm_fail(PM_ERR_FORMAT, "%s: tensor %s has rows of %llu elements, %s needs a multiple of %u", path,
                       t->name, (unsigned long long)t->shape[0], info->name, info->block);
    uint64_t elements = t->shape[0] / info->block * info->bytes;
    bool fits = t->shape[0] / info->block <= INT64_MAX / info->bytes;
    for (int i = 1; i < 4 && fits; i++) {
        fits = elements == 0 || t->shape[i] <= INT64_MAX / elements;
        elements *= t->shape[i];
    }
    if (!fits)
        return pm_fail(PM_ERR_FORMAT, "%s: tensor %s: shape [%llu,%llu,%llu,%llu] overflows", path, t->name,
                       (unsigned long long)t->shape[0], (unsigned long long)t->shape[1],
                       (unsigned long long)t->shape[2], (unsigned long long)t->shape[3]);
    t->bytes = elements;
    return PM_OK;
}

static pm_result read_tensor(cursor *c, pm_gguf *g, pm_gguf_tensor *t)
{
    uint32_t type;
    PM_TRY(take_name(c, g, "tensor name", &t->name));
    PM_TRY(take_u32(c, t->name, &t->dims));
    if (t->dims < 1 || t->dims > 4)
        return pm_fail(PM_ERR_FORMAT, "%s: tensor %s has %u dimensions, expected 1 to 4", c->path, t->name, t->dims);
    for (uint32_t i = 0; i < 4; i++) {
        t->shape[i] = 1;
        if (i < t->dims)
            PM_TRY(take_u64(c, t->name, &t->shape[i]));
        if (t->shape[i] == 0)
            return pm_fail(PM_ERR_FORMAT, "%s: tensor %s has 0 elements in dimension %u", c->path, t->name, i);
    }
    PM_TRY(take_u32(c, t->name, &type));
    PM_TRY(take_u64(c, t->name, &t->offset));
    if (pm_dtype_get(type) == NULL)
        return pm_fail(PM_ERR_UNSUP, "%s: tensor %s has type %u, which this build does not know", c->path, t->name, type);
    t->type = (pm_dtype)type;
    return tensor_bytes(c->path, t);
}

static int by_offset(const void *a, const void *b)
{
    const pm_gguf_tensor *x = *(pm_gguf_tensor *const *)a, *y = *(pm_gguf_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static pm_result check_overlaps(const char *path, pm_gguf_tensor *tensors, uint64_t count)
{
    pm_gguf_tensor **sorted = pm_alloc(count, sizeof(*sorted), "GGUF tensors");
    if (sorted == NULL)
        return PM_ERR_NOMEM;
    for (uint64_t i = 0; i < count; i++)
        sorted[i] = &tensors[i];
    qsort(sorted, count, sizeof(*sorted), by_offset);
    pm_result result = PM_OK;
    for (uint64_t i = 1; i < count && result == PM_OK; i++)
        if (sorted[i]->offset - sorted[i - 1]->offset < sorted[i - 1]->bytes)
            result = pm_fail(PM_ERR_FORMAT, "%s: tensors %s and %s overlap at offset %llu", path, sorted[i - 1]->name,
                             sorted[i]->name, (unsigned long long)sorted[i]->offset);
    pm_free(sorted);
    return result;
}

/* Places this part's tensors, [first, tensor_count), in its data section. */
static pm_result place_tensors(cursor *c, pm_gguf *g, part *p, uint64_t first, uint32_t alignment)
{
    const uint64_t count = g->tensor_count - first;
    if (count == 0)
        return PM_OK;
    p->tensor_data = (c->at + alignment - 1) / alignment * alignment;
    const uint64_t room = p->tensor_data <= p->bytes ? p->bytes - p->tensor_data : 0;
    for (uint64_t i = first; i < g->tensor_count; i++) {
        pm_gguf_tensor *t = &g->tensors[i];
        if (t->offset % alignment != 0)
            return pm_fail(PM_ERR_FORMAT, "%s: tensor %s starts at %llu, expected a multiple of %u", c->path, t->name,
                           (unsigned long long)t->offset, alignment);
        if (t->offset > room || t->bytes > room - t->offset)
            return pm_fail(PM_ERR_FORMAT, "%s: tensor %s needs bytes %llu to %llu of the data, the file has %llu",
                           c->path, t->name, (unsigned long long)t->offset,
                           (unsigned long long)(t->offset + t->bytes), (unsigned long long)room);
        t->data = p->data + p->tensor_data + t->offset;
    }
    return check_overlaps(c->path, g->tensors + first, count);
}

/* ----------------------------------------------------------------- parts */

static pm_result read_magic(cursor *c, uint32_t *version)
{
    const uint8_t *magic;
    PM_TRY(take(c, 4, "the magic", &magic));
    if (memcmp(magic, "GGUF", 4) != 0)
        return pm_fail(PM_ERR_FORMAT, "%s: starts with %02x %02x %02x %02x, expected 'GGUF'", c->path, magic[0],
                       magic[1], magic[2], magic[3]);
    PM_TRY(take_u32(c, "the version", version));
    if (*version == 1)
        return pm_fail(PM_ERR_UNSUP, "%s: GGUF version 1, expected 2 or 3; convert the model again", c->path);
    if (*version != 0 && (*version & 0xffff) == 0)
        return pm_fail(PM_ERR_UNSUP, "%s: a big-endian GGUF file, expected little endian", c->path);
    if (*version != 2 && *version != 3)
        return pm_fail(PM_ERR_UNSUP, "%s: GGUF version %u, expected 2 or 3", c->path, *version);
    return PM_OK;
}

/* Counts that cannot be, by the bytes that are left, are refused before any memory is
 * asked for: an entry takes at least min_bytes. */
static pm_result take_count(cursor *c, const char *what, uint64_t min_bytes, uint64_t *out)
{
    PM_TRY(take_u64(c, what, out));
    if (*out > (c->bytes - c->at) / min_bytes || *out > UINT32_MAX - 1)
        return pm_fail(PM_ERR_FORMAT, "%s: %s is %llu, the file has only %llu bytes left", c->path, what,
                       (unsigned long long)*out, (unsigned long long)(c->bytes - c->at));
    return PM_OK;
}

static pm_result read_alignment(const pm_gguf *g, uint32_t *alignment)
{
    *alignment = ALIGNMENT_DEFAULT;
    PM_TRY(pm_gguf_get_u32(g, "general.alignment", 1, ALIGNMENT_MAX, alignment));
    if ((*alignment & (*alignment - 1)) != 0 || *alignment < 8)
        return pm_fail(PM_ERR_FORMAT, "%s: general.alignment is %u, expected a power of two from 8", g->path, *alignment);
    return PM_OK;
}

static pm_result append_tensors(cursor *c, pm_gguf *g, part *p, uint64_t count, uint32_t alignment)
{
    const uint64_t first = g->tensor_count;
    pm_gguf_tensor *grown = pm_realloc(g->tensors, first + count, sizeof(*grown), "GGUF tensors");
    if (grown == NULL)
        return PM_ERR_NOMEM;
    g->tensors = grown;
    memset(grown + first, 0, count * sizeof(*grown));
    for (uint64_t i = 0; i < count; i++, g->tensor_count++)
        PM_TRY(read_tensor(c, g, &g->tensors[first + i]));
    return place_tensors(c, g, p, first, alignment);
}

/* Reads a part. The first one's metadata is the model's; later ones' is only checked. */
static pm_result read_part(pm_gguf *g, const char *path, part *p, bool is_first, uint16_t *number, uint16_t *total)
{
    cursor c = {.path = path, .data = p->data, .bytes = p->bytes};
    uint64_t tensor_count, value_count;
    uint32_t version, alignment, split_no = 0, split_count = 0;
    PM_TRY(read_magic(&c, &version));
    PM_TRY(take_count(&c, "the tensor count", 8 + 1 + 4 + 8 + 4 + 8, &tensor_count));
    PM_TRY(take_count(&c, "the metadata count", 8 + 1 + 4 + 1, &value_count));
    pm_gguf other = {.path = g->path};
    pm_gguf *meta = is_first ? g : &other;
    if (is_first)
        g->version = version;
    else
        pm_arena_init(&other.names, 0);
    pm_result result = read_values(&c, meta, value_count);
    if (result == PM_OK)
        result = read_alignment(meta, &alignment);
    if (is_first && result == PM_OK)
        g->alignment = alignment;
    if (result == PM_OK)
        result = pm_gguf_get_u32(meta, "split.no", 0, PARTS_MAX, &split_no);
    if (result == PM_OK)
        result = pm_gguf_get_u32(meta, "split.count", 0, PARTS_MAX, &split_count);
    if (result == PM_OK)
        result = append_tensors(&c, g, p, tensor_count, alignment);
    if (!is_first) {
        pm_free(other.values);
        pm_free(other.value_index.slots);
        pm_arena_finish(&other.names);
    }
    *number = (uint16_t)split_no;
    *total = (uint16_t)split_count;
    return result;
}

static pm_result index_tensors(pm_gguf *g)
{
    PM_TRY(index_create(&g->tensor_index, g->tensor_count));
    for (uint64_t i = 0; i < g->tensor_count; i++) {
        uint32_t *slot = index_slot(&g->tensor_index, g->tensors[i].name, tensor_name, g);
        if (*slot != 0)
            return pm_fail(PM_ERR_FORMAT, "%s: tensor %s is there twice", g->path, g->tensors[i].name);
        *slot = (uint32_t)i + 1;
    }
    return PM_OK;
}

/* "<stem>-00002-of-00005.gguf" for part 1 of 5, from any part's name. */
static pm_result part_path(const char *path, uint32_t number, uint32_t total, char out[PATH_MAX])
{
    static const char example[] = "-00001-of-00001.gguf";
    const size_t len = strlen(path), tail = sizeof(example) - 1;
    char expected[sizeof(example)];
    snprintf(expected, sizeof(expected), "-of-%05u.gguf", total);
    if (len <= tail || strcmp(path + len - strlen(expected), expected) != 0)
        return pm_fail(PM_ERR_FORMAT, "%s: one of %u parts, expected a name that ends in -NNNNN%s", path, total, expected);
    const int n = snprintf(out, PATH_MAX, "%.*s-%05u%s", (int)(len - tail), path, number + 1, expected);
    if (n < 0 || n >= PATH_MAX)
        return pm_fail(PM_ERR_ARG, "%s: path is longer than %d bytes", path, PATH_MAX);
    return PM_OK;
}

static pm_result open_part(pm_gguf *g, const char *path, bool is_first, uint16_t *number, uint16_t *total)
{
    part *p = &g->parts[g->part_count];
    PM_TRY(pm_file_map_open(path, &p->map));
    g->part_count++;
    p->data = p->map.data;
    p->bytes = p->map.bytes;
    return read_part(g, path, p, is_first, number, total);
}

static pm_result open_others(pm_gguf *g, const char *path, uint16_t total)
{
    part *grown = pm_realloc(g->parts, total, sizeof(*grown), "GGUF parts");
    if (grown == NULL)
        return PM_ERR_NOMEM;
    g->parts = grown;
    memset(grown + 1, 0, (total - 1u) * sizeof(*grown));
    for (uint16_t i = 1; i < total; i++) {
        char name[PATH_MAX];
        uint16_t number, count;
        PM_TRY(part_path(path, i, total, name));
        PM_TRY(open_part(g, name, false, &number, &count));
        if (number != i || count != total)
            return pm_fail(PM_ERR_FORMAT, "%s: says it is part %u of %u, expected %u of %u", name, number + 1u, count,
                           i + 1u, total);
    }
    uint32_t tensors = (uint32_t)g->tensor_count;
    PM_TRY(pm_gguf_get_u32(g, "split.tensors.count", (uint32_t)g->tensor_count, (uint32_t)g->tensor_count, &tensors));
    return PM_OK;
}

static pm_result create(const char *name, pm_gguf **out)
{
    pm_gguf *g = pm_alloc(1, sizeof(*g), "GGUF");
    if (g == NULL)
        return PM_ERR_NOMEM;
    pm_arena_init(&g->names, 0);
    g->path = pm_strdup(name, "GGUF path");
    g->parts = pm_alloc(1, sizeof(*g->parts), "GGUF parts");
    if (g->path == NULL || g->parts == NULL) {
        pm_gguf_close(g);
        return PM_ERR_NOMEM;
    }
    *out = g;
    return PM_OK;
}

/* The first part first: the given one, when it is, else by its name. */
static pm_result open_all(pm_gguf *g, const char *path)
{
    uint16_t number, total;
    PM_TRY(open_part(g, path, true, &number, &total));
    if (number > 0) {
        char name[PATH_MAX];
        PM_TRY(part_path(path, 0, total, name));
        return pm_fail(PM_ERR_STATE, "%s", name);
    }
    if (total > 1)
        PM_TRY(open_others(g, path, total));
    return index_tensors(g);
}

pm_result pm_gguf_open(const char *path, pm_gguf **out)
{
    char first[PATH_MAX];
    for (int attempt = 0;; attempt++) {
        pm_gguf *g = NULL;
        PM_TRY(create(path, &g));
        const pm_result result = open_all(g, path);
        if (result == PM_OK) {
            *out = g;
            return PM_OK;
        }
        pm_gguf_close(g);
        if (result != PM_ERR_STATE || attempt > 0)
            return result == PM_ERR_STATE ? pm_fail(PM_ERR_FORMAT, "%s: is not the first part", path) : result;
        snprintf(first, sizeof(first), "%s", pm_error_message()); /* a later part: its first was named */
        path = first;
    }
}

pm_result pm_gguf_open_memory(const void *data, uint64_t bytes, const char *name, pm_gguf **out)
{
    pm_gguf *g = NULL;
    uint16_t number, total;
    PM_TRY(create(name, &g));
    g->part_count = 1;
    g->parts[0].data = data;
    g->parts[0].bytes = bytes;
    pm_result result = read_part(g, name, &g->parts[0], true, &number, &total);
    if (result == PM_OK)
        result = index_tensors(g);
    if (result != PM_OK) {
        pm_gguf_close(g);
        return result;
    }
    *out = g;
    return PM_OK;
}

void pm_gguf_close(pm_gguf *g)
{
    if (g == NULL)
        return;
    for (uint32_t i = 0; i < g->part_count; i++)
        pm_file_map_close(&g->parts[i].map);
    pm_free(g->parts);
    pm_free(g->values);
    pm_free(g->tensors);
    pm_free(g->value_index.slots);
    pm_free(g->tensor_index.slots);
    pm_arena_finish(&g->names);
    pm_free(g->path);
    pm_free(g);
}

/* ---------------------------------------------------------------- access */

const char *pm_gguf_path(const pm_gguf *g)
{
    return g->path;
}

uint32_t pm_gguf_version(const pm_gguf *g)
{
    return g->version;
}

uint32_t pm_gguf_parts(const pm_gguf *g)
{
    return g->part_count;
}

uint64_t pm_gguf_file_bytes(const pm_gguf *g)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < g->part_count; i++)
        bytes += g->parts[i].bytes;
    return bytes;
}

uint32_t pm_gguf_alignment(const pm_gguf *g)
{
    return g->alignment;
}

bool pm_gguf_is(const pm_gguf *g, const char *path)
{
    bool is = false;
    for (uint32_t i = 0; i < g->part_count; i++)
        is |= pm_file_map_is(&g->parts[i].map, path);
    return is;
}

uint64_t pm_gguf_value_count(const pm_gguf *g)
{
    return g->value_count;
}

const pm_gguf_value *pm_gguf_value_at(const pm_gguf *g, uint64_t index)
{
    pm_assert(index < g->value_count);
    return &g->values[index];
}

const pm_gguf_value *pm_gguf_find(const pm_gguf *g, const char *key)
{
    const uint32_t slot = *index_slot(&g->value_index, key, value_name, g);
    return slot != 0 ? &g->values[slot - 1] : NULL;
}

uint64_t pm_gguf_tensor_count(const pm_gguf *g)
{
    return g->tensor_count;
}

const pm_gguf_tensor *pm_gguf_tensor_at(const pm_gguf *g, uint64_t index)
{
    pm_assert(index < g->tensor_count);
    return &g->tensors[index];
}

const pm_gguf_tensor *pm_gguf_tensor_find(const pm_gguf *g, const char *name)
{
    const uint32_t slot = *index_slot(&g->tensor_index, name, tensor_name, g);
    return slot != 0 ? &g->tensors[slot - 1] : NULL;
}

/* gguf/gguf.h - the directory of a GGUF file, bounds-checked. Floor 1, host only.
 *
 * The file is mapped; nothing in it is trusted. Opening checks every count, string
 * length, dimension product, alignment, offset, overlap and nesting before use, so
 * that a pm_gguf that exists is safe to walk. Versions 2 and 3, little endian;
 * split files are opened whole, by the name of any part.
 * Source: the GGUF specification (ggml, docs/gguf.md).
 */
#ifndef PM_GGUF_GGUF_H
#define PM_GGUF_GGUF_H

#include "gguf/dtype.h"

typedef struct pm_gguf pm_gguf;

typedef enum pm_gguf_type {
    PM_GGUF_U8, PM_GGUF_I8, PM_GGUF_U16, PM_GGUF_I16, PM_GGUF_U32, PM_GGUF_I32, PM_GGUF_F32,
    PM_GGUF_BOOL, PM_GGUF_STRING, PM_GGUF_ARRAY, PM_GGUF_U64, PM_GGUF_I64, PM_GGUF_F64,
    PM_GGUF_TYPES
} pm_gguf_type;

/* Bytes in the mapped file, not NUL-terminated; may contain any byte. */
typedef struct pm_gguf_string {
    const char *data;
    uint64_t len;
} pm_gguf_string;

typedef struct pm_gguf_value {
    const char *key;               /* owned by the pm_gguf, NUL-terminated */
    pm_gguf_type type;
    pm_gguf_type item_type;        /* of an array; else == type */
    uint64_t count;                /* items of an array; else 1 */
    const uint8_t *data;           /* first item in the file, unaligned */
    uint64_t bytes;                /* of all items, as they lie in the file */
} pm_gguf_value;

typedef struct pm_gguf_tensor {
    const char *name;              /* owned by the pm_gguf */
    pm_dtype type;
    uint32_t dims;                 /* 1..4 */
    uint64_t shape[4];             /* innermost first; 1 beyond dims */
    uint64_t offset;               /* bytes from the start of its part's data */
    const void *data;              /* in the mapped file, aligned as the file says */
    uint64_t bytes;
} pm_gguf_tensor;

/* *out: owned, pm_gguf_close(). Errors: PM_ERR_IO; PM_ERR_FORMAT (path, field,
 * expected, actual); PM_ERR_UNSUP (version 1, big endian); PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_gguf_open(const char *path, pm_gguf **out);

/* The same over bytes in memory, which must outlive it; `name` is for messages.
 * For tests and fuzzing; never follows a split. */
PM_MUST_USE pm_result pm_gguf_open_memory(const void *data, uint64_t bytes, const char *name, pm_gguf **out);
void pm_gguf_close(pm_gguf *gguf); /* NULL is fine */

const char *pm_gguf_path(const pm_gguf *gguf);
uint32_t pm_gguf_version(const pm_gguf *gguf);
uint32_t pm_gguf_parts(const pm_gguf *gguf);
uint64_t pm_gguf_file_bytes(const pm_gguf *gguf);
uint32_t pm_gguf_alignment(const pm_gguf *gguf);    /* of the first part's tensors */

/* True when path names a file that it is read from. */
bool pm_gguf_is(const pm_gguf *gguf, const char *path);

uint64_t pm_gguf_value_count(const pm_gguf *gguf);
const pm_gguf_value *pm_gguf_value_at(const pm_gguf *gguf, uint64_t index);
const pm_gguf_value *pm_gguf_find(const pm_gguf *gguf, const char *key); /* NULL = absent */

uint64_t pm_gguf_tensor_count(const pm_gguf *gguf);
const pm_gguf_tensor *pm_gguf_tensor_at(const pm_gguf *gguf, uint64_t index);
const pm_gguf_tensor *pm_gguf_tensor_find(const pm_gguf *gguf, const char *name);

const char *pm_gguf_type_name(pm_gguf_type type);   /* "u32", "str", ... */

/* Typed reads. `get` functions leave *out alone and succeed when the key is
 * absent (the caller set the default); a key of another type is PM_ERR_FORMAT,
 * except that any integer type that holds the value is taken for an integer and
 * f64/f32 for a float. A value outside [min, max] is PM_ERR_FORMAT. */
PM_MUST_USE pm_result pm_gguf_get_u32(const pm_gguf *gguf, const char *key, uint32_t min, uint32_t max, uint32_t *out);
PM_MUST_USE pm_result pm_gguf_get_f32(const pm_gguf *gguf, const char *key, float min, float max, float *out);
PM_MUST_USE pm_result pm_gguf_get_bool(const pm_gguf *gguf, const char *key, bool *out);
PM_MUST_USE pm_result pm_gguf_get_string(const pm_gguf *gguf, const char *key, pm_gguf_string *out);

/* An array of `item_type` (or NULL in *out when absent). */
PM_MUST_USE pm_result pm_gguf_get_array(const pm_gguf *gguf, const char *key, pm_gguf_type item_type,
                                        const pm_gguf_value **out);

/* Strings of an array are read in order: start with *cursor = value->data, call at
 * most value->count times. */
pm_gguf_string pm_gguf_next_string(const uint8_t **cursor);

/* Item i of a numeric value or array, converted; i < count (asserted). */
double pm_gguf_number(const pm_gguf_value *value, uint64_t i);

#endif /* PM_GGUF_GGUF_H */

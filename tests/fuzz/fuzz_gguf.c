/* tests/fuzz/fuzz_gguf.c - any bytes as a GGUF file: the directory, every value read every
 * way, every tensor's bytes touched and its first block dequantised.
 *
 * Held: an opened file is safe to walk; names are found under their own name; a tensor's
 * bytes lie inside the input. */
#include "gguf/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HOLDS(condition)                                                        \
    do {                                                                        \
        if (!(condition)) {                                                     \
            fprintf(stderr, "line %d: not so: %s\n", __LINE__, #condition);     \
            abort();                                                            \
        }                                                                       \
    } while (0)

static void walk_value(const pm_gguf *g, const pm_gguf_value *v)
{
    uint32_t u = 0;
    float f = 0.0f;
    bool b = false;
    pm_gguf_string s = {0};
    const pm_gguf_value *array = NULL;
    HOLDS(pm_gguf_find(g, v->key) == v);
    (void)!pm_gguf_get_u32(g, v->key, 1, 100, &u);
    (void)!pm_gguf_get_f32(g, v->key, -1.0f, 1.0f, &f);
    (void)!pm_gguf_get_bool(g, v->key, &b);
    (void)!pm_gguf_get_array(g, v->key, PM_GGUF_STRING, &array);
    HOLDS(u <= 100 && f >= -1.0f && f <= 1.0f);
    if (pm_gguf_get_string(g, v->key, &s) == PM_OK && s.len > 0) {
        volatile char last = s.data[s.len - 1];
        (void)last;
    }
    const uint8_t *cursor = v->data;
    for (uint64_t i = 0; i < v->count && v->item_type == PM_GGUF_STRING; i++) {
        s = pm_gguf_next_string(&cursor);
        volatile char last = s.len > 0 ? s.data[s.len - 1] : 0;
        (void)last;
    }
    for (uint64_t i = 0; i < v->count && v->item_type != PM_GGUF_STRING && v->item_type != PM_GGUF_ARRAY; i += 1 + i)
        (void)pm_gguf_number(v, i);
}

static void walk_tensor(const pm_gguf *g, const pm_gguf_tensor *t, const uint8_t *data, size_t size)
{
    static float values[256];
    const pm_dtype_info *info = pm_dtype_get(t->type);
    const uint8_t *bytes = t->data;
    HOLDS(info != NULL && t->dims >= 1 && t->dims <= 4 && t->shape[0] % info->block == 0);
    HOLDS(pm_gguf_tensor_find(g, t->name) == t);
    HOLDS(t->bytes > 0 && bytes >= data && t->bytes <= size && (size_t)(bytes - data) <= size - t->bytes);
    volatile uint8_t ends = (uint8_t)(bytes[0] ^ bytes[t->bytes - 1]);
    (void)ends;
    if (pm_dtype_can_dequant(t->type))
        pm_dequant_row(t->type, bytes, values, info->block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pm_gguf *g = NULL;
    if (pm_gguf_open_memory(data, size, "fuzz", &g) != PM_OK)
        return 0;
    for (uint64_t i = 0; i < pm_gguf_value_count(g); i++)
        walk_value(g, pm_gguf_value_at(g, i));
    for (uint64_t i = 0; i < pm_gguf_tensor_count(g); i++)
        walk_tensor(g, pm_gguf_tensor_at(g, i), data, size);
    pm_gguf_close(g);
    return 0;
}

/* gguf/value.c - typed, range-checked reads of metadata. */
#include "gguf/gguf.h"

#include <math.h>
#include <string.h>

static bool is_integer(pm_gguf_type type)
{
    switch (type) {
    case PM_GGUF_U8: case PM_GGUF_I8: case PM_GGUF_U16: case PM_GGUF_I16: case PM_GGUF_U32: case PM_GGUF_I32:
    case PM_GGUF_U64: case PM_GGUF_I64: return true;
    default: return false;
    }
}

/* Item i of integers as a number that fits int64; false when a u64 does not. */
static bool integer_at(const pm_gguf_value *v, uint64_t i, int64_t *out)
{
    const uint8_t *p = v->data;
#define CASE(tag, type)                                  \
    case tag: {                                          \
        type x;                                          \
        memcpy(&x, p + i * sizeof(x), sizeof(x));        \
        *out = (int64_t)x;                               \
        return true;                                     \
    }
    switch (v->item_type) {
        CASE(PM_GGUF_U8, uint8_t) CASE(PM_GGUF_I8, int8_t) CASE(PM_GGUF_U16, uint16_t) CASE(PM_GGUF_I16, int16_t)
        CASE(PM_GGUF_U32, uint32_t) CASE(PM_GGUF_I32, int32_t) CASE(PM_GGUF_I64, int64_t) CASE(PM_GGUF_BOOL, uint8_t)
    case PM_GGUF_U64: {
        uint64_t x;
        memcpy(&x, p + i * sizeof(x), sizeof(x));
        *out = (int64_t)x;
        return x <= INT64_MAX;
    }
    default: return false;
    }
#undef CASE
}

double pm_gguf_number(const pm_gguf_value *v, uint64_t i)
{
    pm_assert(i < v->count);
    int64_t integer;
    if (v->item_type == PM_GGUF_F32) {
        float x;
        memcpy(&x, v->data + i * 4, 4);
        return (double)x;
    }
    if (v->item_type == PM_GGUF_F64) {
        double x;
        memcpy(&x, v->data + i * 8, 8);
        return x;
    }
    if (integer_at(v, i, &integer))
        return (double)integer;
    if (v->item_type == PM_GGUF_U64) {
        uint64_t x;
        memcpy(&x, v->data + i * 8, 8);
        return (double)x;
    }
    return NAN;
}

static pm_result wrong_type(const pm_gguf *g, const pm_gguf_value *v, const char *expected)
{
    return pm_fail(PM_ERR_FORMAT, "%s: key %s has type %s%s, expected %s", pm_gguf_path(g), v->key,
                   pm_gguf_type_name(v->type), v->type == PM_GGUF_ARRAY ? " of values" : "", expected);
}

pm_result pm_gguf_get_u32(const pm_gguf *g, const char *key, uint32_t min, uint32_t max, uint32_t *out)
{
    const pm_gguf_value *v = pm_gguf_find(g, key);
    if (v == NULL)
        return PM_OK;
    if (!is_integer(v->type))
        return wrong_type(g, v, "an integer");
    int64_t value;
    if (!integer_at(v, 0, &value) || value < (int64_t)min || value > (int64_t)max)
        return pm_fail(PM_ERR_FORMAT, "%s: key %s is %.0f, expected %u to %u", pm_gguf_path(g), key,
                       pm_gguf_number(v, 0), min, max);
    *out = (uint32_t)value;
    return PM_OK;
}

pm_result pm_gguf_get_f32(const pm_gguf *g, const char *key, float min, float max, float *out)
{
    const pm_gguf_value *v = pm_gguf_find(g, key);
    if (v == NULL)
        return PM_OK;
    if (v->type != PM_GGUF_F32 && v->type != PM_GGUF_F64)
        return wrong_type(g, v, "f32");
    const double value = pm_gguf_number(v, 0);
    if (!(value >= (double)min && value <= (double)max))
        return pm_fail(PM_ERR_FORMAT, "%s: key %s is %g, expected %g to %g", pm_gguf_path(g), key, value, (double)min,
                       (double)max);
    *out = (float)value;
    return PM_OK;
}

pm_result pm_gguf_get_bool(const pm_gguf *g, const char *key, bool *out)
{
    const pm_gguf_value *v = pm_gguf_find(g, key);
    if (v == NULL)
        return PM_OK;
    if (v->type != PM_GGUF_BOOL)
        return wrong_type(g, v, "bool");
    if (v->data[0] > 1)
        return pm_fail(PM_ERR_FORMAT, "%s: key %s is %u, expected 0 or 1", pm_gguf_path(g), key, v->data[0]);
    *out = v->data[0] != 0;
    return PM_OK;
}

pm_gguf_string pm_gguf_next_string(const uint8_t **cursor)
{
    uint64_t len;
    memcpy(&len, *cursor, 8);
    const pm_gguf_string s = {(const char *)*cursor + 8, len};
    *cursor += 8 + len;
    return s;
}

pm_result pm_gguf_get_string(const pm_gguf *g, const char *key, pm_gguf_string *out)
{
    const pm_gguf_value *v = pm_gguf_find(g, key);
    if (v == NULL)
        return PM_OK;
    if (v->type != PM_GGUF_STRING)
        return wrong_type(g, v, "str");
    const uint8_t *cursor = v->data;
    *out = pm_gguf_next_string(&cursor);
    return PM_OK;
}

pm_result pm_gguf_get_array(const pm_gguf *g, const char *key, pm_gguf_type item_type, const pm_gguf_value **out)
{
    const pm_gguf_value *v = pm_gguf_find(g, key);
    *out = NULL;
    if (v == NULL)
        return PM_OK;
    if (v->type != PM_GGUF_ARRAY || v->item_type != item_type)
        return pm_fail(PM_ERR_FORMAT, "%s: key %s has type %s of %s, expected an array of %s", pm_gguf_path(g), key,
                       pm_gguf_type_name(v->type), pm_gguf_type_name(v->item_type), pm_gguf_type_name(item_type));
    *out = v;
    return PM_OK;
}

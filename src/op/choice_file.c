/* op/choice_file.c - a device's choices on disk. */
#include "op/choice_file.h"

#include "base/env.h"
#include "base/file.h"
#include "base/log.h"
#include "op/attention.h"
#include "op/matmul.h"
#include "op/preset.h"

#include <stdio.h>
#include <string.h>

#define HEAD "pumice tuning 1"
#define BYTES_MAX (1u << 20)
#define SIZE_MAX_ELEMENTS (1u << 24) /* of a row, a column or a head count */

/* ------------------------------------------------------------------ parse */

/* A line that is read from its start. */
typedef struct cursor {
    const char *at, *end;          /* the end is its newline */
    uint32_t line;                 /* from 1 */
} cursor;

static pm_result expected(const cursor *c, const char *what)
{
    const size_t left = (size_t)(c->end - c->at);
    char seen[33];
    size_t n = 0;
    for (; n < left && n < sizeof(seen) - 1; n++)
        seen[n] = c->at[n] >= ' ' && c->at[n] <= '~' ? c->at[n] : '?';
    seen[n] = '\0';
    return pm_fail(PM_ERR_FORMAT, "line %u: '%s', expected %s", c->line, seen, what);
}

static bool take(cursor *c, const char *text)
{
    const size_t n = strlen(text);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0)
        return false;
    c->at += n;
    return true;
}

static pm_result take_text(cursor *c, const char *text)
{
    char what[64];
    snprintf(what, sizeof(what), "'%s'", text);
    return take(c, text) ? PM_OK : expected(c, what);
}

/* A decimal number from `least` to `most`, without sign. */
static pm_result take_number(cursor *c, uint32_t least, uint32_t most, uint32_t *out)
{
    uint64_t n = 0;
    const cursor before = *c;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && n <= UINT32_MAX; c->at++)
        n = n * 10 + (uint64_t)(*c->at - '0');
    if (c->at == before.at || n < least || n > most) {
        char what[48];
        snprintf(what, sizeof(what), "a number from %u to %u", least, most);
        return expected(&before, what);
    }
    *out = (uint32_t)n;
    return PM_OK;
}

/* The index of the name, one of at(0), at(1) .. up to NULL ("" is no name), that stands before a space or colon. */
static pm_result take_name(cursor *c, const char *what, const char *(*at)(uint32_t), uint32_t *out)
{
    size_t n = 0;
    while (c->at + n < c->end && c->at[n] != ' ' && c->at[n] != ':')
        n++;
    for (uint32_t i = 0; at(i) != NULL; i++)
        if (n > 0 && strlen(at(i)) == n && memcmp(at(i), c->at, n) == 0) {
            *out = i;
            c->at += n;
            return PM_OK;
        }
    return expected(c, what);
}

static const char *weight_type(uint32_t i)
{
    return i >= PM_DTYPE_LIMIT ? NULL : pm_weight_supported((pm_dtype)i) ? pm_dtype_get(i)->stem : "";
}

static const char *page_type(uint32_t i)
{
    return pm_kv_type_name((pm_kv_type)i);
}

static pm_result take_rows(cursor *c, pm_choice *out)
{
    PM_TRY(take_text(c, " rows "));
    PM_TRY(take_number(c, 1, PM_CHOICE_ROWS_MAX, &out->rows_first));
    PM_TRY(take_text(c, "-"));
    PM_TRY(take_number(c, out->rows_first, PM_CHOICE_ROWS_MAX, &out->rows_last));
    return take_text(c, ": ");
}

/* " lanes 32": 0 or a power of two. */
static pm_result take_power(cursor *c, const char *word, uint32_t most, uint32_t *out)
{
    PM_TRY(take_text(c, word));
    const cursor before = *c;
    PM_TRY(take_number(c, 0, most, out));
    return (*out & (*out - 1)) == 0 ? PM_OK : expected(&before, "0 or a power of two");
}

static pm_result parse_matmul(cursor *c, pm_choice *out)
{
    out->op = PM_CHOICE_MATMUL;
    PM_TRY(take_name(c, "a type of weights", weight_type, &out->type));
    PM_TRY(take_text(c, " "));
    PM_TRY(take_number(c, 0, SIZE_MAX_ELEMENTS, &out->shape[0]));
    PM_TRY(take_text(c, "x"));
    PM_TRY(take_number(c, out->shape[0] > 0, out->shape[0] > 0 ? SIZE_MAX_ELEMENTS : 0, &out->shape[1]));
    PM_TRY(take_rows(c, out));
    PM_TRY(take_name(c, "a variant of matmul", pm_matmul_variant, &out->variant));
    PM_TRY(take_power(c, " lanes ", 128, &out->lanes));
    return take_power(c, " slices ", 8, &out->slices);
}

static pm_result parse_attention(cursor *c, pm_choice *out)
{
    out->op = PM_CHOICE_ATTENTION;
    PM_TRY(take_name(c, "a type of KV pages", page_type, &out->type));
    PM_TRY(take_text(c, " "));
    PM_TRY(take_number(c, 0, 65536, &out->shape[0]));
    const uint32_t least = out->shape[0] > 0, most = out->shape[0];
    PM_TRY(take_text(c, "/"));
    PM_TRY(take_number(c, least, most, &out->shape[1]));
    PM_TRY(take_text(c, "x"));
    PM_TRY(take_number(c, least, least * 256, &out->shape[2]));
    out->decode = take(c, " decode");
    if (!out->decode && !take(c, " prompt"))
        return expected(c, "' decode' or ' prompt'");
    PM_TRY(take_rows(c, out));
    PM_TRY(take_name(c, "a variant of attention", pm_attention_variant, &out->variant));
    PM_TRY(take_text(c, " splits "));
    return take_number(c, 0, 32, &out->splits);
}

static pm_result parse_step(cursor *c, pm_choice *out)
{
    out->op = PM_CHOICE_STEP;
    for (uint32_t i = 0; i < 3; i++) {
        if (i > 0)
            PM_TRY(take_text(c, "x"));
        PM_TRY(take_number(c, 1, SIZE_MAX_ELEMENTS, &out->shape[i]));
    }
    PM_TRY(take_text(c, " rows "));
    PM_TRY(take_number(c, 1, PM_CHOICE_ROWS_MAX, &out->rows_first));
    out->rows_last = out->rows_first;
    return PM_OK;
}

static pm_result parse_choice(cursor *c, pm_choice *out)
{
    *out = (pm_choice){0};
    if (take(c, "matmul "))
        PM_TRY(parse_matmul(c, out));
    else if (take(c, "attention "))
        PM_TRY(parse_attention(c, out));
    else if (take(c, "step "))
        PM_TRY(parse_step(c, out));
    else
        return expected(c, "matmul, attention or step");
    return c->at == c->end ? PM_OK : expected(c, "the end of the line");
}

/* The next line; false at the end. A line that no newline ends is none: the file was cut. */
static bool next_line(cursor *c, const char *text_end)
{
    c->at = c->line > 0 ? c->end + 1 : c->at;
    c->end = c->at < text_end ? memchr(c->at, '\n', (size_t)(text_end - c->at)) : NULL;
    c->line++;
    return c->end != NULL;
}

static pm_result parse_head(cursor *c, const char *text_end, const char *key)
{
    if (!next_line(c, text_end) || !take(c, HEAD) || c->at != c->end) {
        c->end = c->end != NULL ? c->end : text_end;
        return expected(c, "'" HEAD "'");
    }
    if (!next_line(c, text_end) || !take(c, "device ") || !take(c, key) || c->at != c->end) {
        char what[192];
        c->end = c->end != NULL ? c->end : text_end;
        snprintf(what, sizeof(what), "'device %s'", key);
        return expected(c, what);
    }
    return PM_OK;
}

static pm_result parse(const char *text, size_t bytes, const char *key, pm_choices *out)
{
    const char *end = text + bytes;
    cursor c = {.at = text, .end = text};
    if (bytes > BYTES_MAX)
        return pm_fail(PM_ERR_FORMAT, "%zu bytes, expected at most %u", bytes, BYTES_MAX);
    PM_TRY(parse_head(&c, end, key));
    while (next_line(&c, end)) {
        pm_choice choice;
        PM_TRY(parse_choice(&c, &choice));
        PM_TRY(pm_choices_add(out, &choice));
    }
    c.end = end;
    return c.at == end ? PM_OK : expected(&c, "a line that ends");
}

pm_result pm_choices_parse(const char *text, size_t bytes, const char *key, pm_choices *out)
{
    pm_choices choices = {0};
    pm_result result = parse(text, bytes, key, &choices);
    if (result == PM_ERR_FULL)
        result = pm_fail(PM_ERR_FORMAT, "expected at most %u choices", PM_CHOICES_MAX);
    if (result != PM_OK) {
        pm_choices_finish(&choices);
        return result;
    }
    *out = choices;
    return PM_OK;
}

/* ------------------------------------------------------------------ print */

pm_result pm_choice_print(const pm_choice *c, pm_str *out)
{
    switch (c->op) {
    case PM_CHOICE_MATMUL:
        return pm_str_append_format(out, "matmul %s %ux%u rows %u-%u: %s lanes %u slices %u\n",
                                    pm_dtype_get(c->type)->stem, c->shape[0], c->shape[1], c->rows_first, c->rows_last,
                                    pm_matmul_variant(c->variant), c->lanes, c->slices);
    case PM_CHOICE_ATTENTION:
        return pm_str_append_format(out, "attention %s %u/%ux%u %s rows %u-%u: %s splits %u\n",
                                    pm_kv_type_name((pm_kv_type)c->type), c->shape[0], c->shape[1], c->shape[2],
                                    c->decode ? "decode" : "prompt", c->rows_first, c->rows_last,
                                    pm_attention_variant(c->variant), c->splits);
    default:
        return pm_str_append_format(out, "step %ux%ux%u rows %u\n", c->shape[0], c->shape[1], c->shape[2],
                                    c->rows_last);
    }
}

pm_result pm_choices_print(const pm_choices *choices, const char *key, pm_str *out)
{
    PM_TRY(pm_str_append_format(out, "%s\ndevice %s\n", HEAD, key));
    for (uint32_t i = 0; i < choices->count; i++)
        PM_TRY(pm_choice_print(&choices->list[i], out));
    return PM_OK;
}

/* ------------------------------------------------------------------- disk */

/* The file's name, and in it what tells device, driver and shaders: "tuned-<key>.txt". */
static pm_result path_of(const pm_vk_device *device, char path[PATH_MAX], char *key, size_t capacity)
{
    static const char stem[] = "tuned";
    PM_TRY(pm_vk_device_cache_path(device, stem, "txt", path, PATH_MAX));
    const char *name = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    snprintf(key, capacity, "%.*s", (int)(strlen(name) - strlen(stem) - 1 - strlen(".txt")), name + strlen(stem) + 1);
    return PM_OK;
}

pm_result pm_choices_read(const pm_vk_device *device, pm_choices *out)
{
    char path[PATH_MAX], key[128];
    pm_file_map map = {0};
    *out = (pm_choices){0};
    if (path_of(device, path, key, sizeof(key)) != PM_OK || pm_file_map_open(path, &map) != PM_OK) /* never tuned */
        return PM_OK;
    const pm_result result = pm_choices_parse((const char *)map.data, map.bytes, key, out);
    pm_file_map_close(&map);
    if (result != PM_ERR_FORMAT)
        return result;
    pm_warn("%s: %s; ignored until `pumice tune` writes it anew", path, pm_error_message());
    return PM_OK;
}

static bool is_off(pm_env name)
{
    const char *value = pm_env_get(name);
    return value != NULL && strcmp(value, "0") == 0;
}

pm_result pm_choices_load(const pm_vk_device *device, pm_choices *out)
{
    *out = (pm_choices){0};
    const pm_device_info *info = pm_vk_device_info(device);
    const pm_vk_caps *caps = pm_vk_device_caps(device);
    pm_result result = is_off(PM_ENV_TUNE) ? PM_OK : pm_choices_read(device, out);
    const uint32_t tuned = out->count;
    if (result == PM_OK && !is_off(PM_ENV_PRESETS))
        result = pm_presets_append(info, caps, out);
    if (tuned > 0)
        pm_log(PM_LOG_ENGINE, "%u choices of pumice tune", tuned);
    if (out->count > tuned)
        pm_log(PM_LOG_ENGINE, "%u choices for %s", out->count - tuned, pm_preset_family(info, caps));
    if (result != PM_OK)
        pm_choices_finish(out);
    return result;
}

pm_result pm_choices_save(const pm_vk_device *device, const pm_choices *choices, char *path, size_t capacity)
{
    char full[PATH_MAX], key[128];
    pm_str text = {0};
    PM_TRY(path_of(device, full, key, sizeof(key)));
    pm_result result = pm_choices_print(choices, key, &text);
    if (result == PM_OK)
        result = pm_file_write_atomic(full, text.data, text.len);
    pm_str_finish(&text);
    snprintf(path, capacity, "%s", full);
    return result;
}

/* measure/list.c - which ops, types, variants and shapes a benchmark runs. */
#include "measure/list.h"

#include "base/alloc.h"
#include "op/attention.h"
#include "op/matmul.h"
#include "verify/check_impl.h"

#include <stdio.h>
#include <string.h>

/* Shapes of a layer of a 1B model for a CPU driver, of an 8B one for a GPU. */
typedef struct sizes {
    uint32_t rows[PM_BENCH_ROWS_MAX], row_count;
    uint32_t n, k, dim, hidden, vocab, heads, kv_heads, head_dim;
    uint32_t contexts[2];          /* keys before the row that decodes */
} sizes;

static const sizes cpu_sizes = {{1, 16, 128}, 3, 2048, 2048, 2048, 5632, 32000, 16, 4, 64, {512, 2048}};
static const sizes gpu_sizes = {{1, 16, 512}, 3, 4096, 4096, 4096, 14336, 128256, 32, 8, 128, {1024, 8192}};
static const pm_dtype common_types[] = {PM_DTYPE_F16, PM_DTYPE_Q8_0, PM_DTYPE_Q4_0, PM_DTYPE_Q4_K};

/* Whether the name is one of a list with commas. */
static bool is_listed(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *p = list; p != NULL; p = strchr(p, ',') != NULL ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, name, length) == 0 && (p[length] == ',' || p[length] == '\0'))
            return true;
    return false;
}

/* ------------------------------------------------------------------ names */

/* Name i of a kind of names, or NULL past the last; some may be "" (no name). */
typedef const char *name_at(uint32_t i);

static const char *op_at(uint32_t i)
{
    return i < PM_CHECK_OPS ? pm_check_op_name((pm_check_op)i) : NULL;
}

static const char *type_at(uint32_t i)
{
    if (i >= PM_DTYPE_LIMIT)
        return i == PM_DTYPE_LIMIT ? "f32" : NULL;
    return pm_weight_supported((pm_dtype)i) ? pm_dtype_get(i)->stem : "";
}

static const char *variant_at(uint32_t i)
{
    uint32_t count = 0;
    while (pm_matmul_variant(count) != NULL)
        count++;
    return i < count ? pm_matmul_variant(i) : pm_attention_variant(i - count);
}

/* Every item of the list is a name. */
static pm_result check_names(const char *what, const char *list, name_at *at)
{
    for (const char *p = list; p != NULL; p = strchr(p, ',') != NULL ? strchr(p, ',') + 1 : NULL) {
        char item[32], names[512] = "";
        bool known = false;
        snprintf(item, sizeof(item), "%.*s", (int)(strcspn(p, ",") < 31 ? strcspn(p, ",") : 31), p);
        for (uint32_t i = 0; at(i) != NULL; i++) {
            const size_t used = strlen(names);
            known |= item[0] != '\0' && strcmp(at(i), item) == 0;
            if (at(i)[0] != '\0')
                snprintf(names + used, sizeof(names) - used, " %s", at(i));
        }
        if (!known)
            return pm_fail(PM_ERR_ARG, "no %s '%s', there are%s", what, item, names);
    }
    return PM_OK;
}

/* -------------------------------------------------------------------- list */

static pm_result add(pm_check_list *list, const pm_vk_caps *caps, pm_check check)
{
    check.seed = 1;
    if (pm_check_lacks(&check, caps) != NULL)
        return PM_OK;
    return pm_check_list_add(list, &check);
}

static bool pick(const pm_check *check, const pm_vk_caps *caps, uint32_t *variant)
{
    *variant = 0;
    if (check->op == PM_CHECK_MATMUL) {
        const pm_matmul m = pm_check_matmul_shape(check);
        return pm_matmul_pick(caps, &m, variant) == PM_OK;
    }
    if (check->op == PM_CHECK_ATTENTION) {
        const pm_attention a = pm_check_attention_shape(check);
        return pm_attention_pick(caps, &a, variant) == PM_OK;
    }
    return true;
}

bool pm_bench_picked(const pm_check *check, const pm_vk_caps *caps)
{
    uint32_t variant;
    return pick(check, caps, &variant) && check->variant == variant;
}

/* The variants that were named, all of them, or the one that is picked. */
static pm_result add_variants(pm_check_list *list, const pm_bench_params *p, const pm_vk_caps *caps, pm_check check)
{
    const bool matmul = check.op == PM_CHECK_MATMUL;
    uint32_t picked;
    if ((!matmul && check.op != PM_CHECK_ATTENTION) || (p->variants == NULL && !p->full)) {
        if (!pick(&check, caps, &picked))
            return PM_OK;
        check.variant = picked;
        return add(list, caps, check);
    }
    for (;; check.variant++) {
        const char *name = matmul ? pm_matmul_variant(check.variant) : pm_attention_variant(check.variant);
        if (name == NULL)
            return PM_OK;
        if (p->variants == NULL || is_listed(p->variants, name))
            PM_TRY(add(list, caps, check));
    }
}

static bool wants_op(const pm_bench_params *p, pm_check_op op)
{
    return p->ops == NULL || is_listed(p->ops, pm_check_op_name(op));
}

static bool wants_type(const pm_bench_params *p, pm_dtype type)
{
    bool common = false;
    for (size_t i = 0; i < sizeof(common_types) / sizeof(common_types[0]); i++)
        common |= common_types[i] == type;
    return p->types != NULL ? is_listed(p->types, pm_dtype_get(type)->stem) : p->full || common;
}

/* Without named types F16 pages, and all types of them in a full run. */
static bool wants_pages(const pm_bench_params *p, pm_kv_type type)
{
    return p->types != NULL ? is_listed(p->types, pm_kv_type_name(type)) : p->full || type == PM_KV_F16;
}

static pm_result add_weights(pm_check_list *list, const pm_bench_params *p, const pm_vk_caps *caps, const sizes *s)
{
    for (uint32_t type = 0; type < PM_DTYPE_LIMIT; type++) {
        if (!pm_weight_supported((pm_dtype)type) || !wants_type(p, (pm_dtype)type))
            continue;
        for (uint32_t r = 0; r < s->row_count; r++) {
            pm_check check = {.op = PM_CHECK_MATMUL, .type = type, .rows = s->rows[r], .n = s->n, .k = s->k};
            if (wants_op(p, PM_CHECK_MATMUL))
                PM_TRY(add_variants(list, p, caps, check));
            check.op = PM_CHECK_EMBEDDING;
            if (wants_op(p, PM_CHECK_EMBEDDING))
                PM_TRY(add(list, caps, check));
        }
    }
    return PM_OK;
}

/* One row decodes after each context; a prompt has none before it. */
static pm_result add_pages(pm_check_list *list, const pm_bench_params *p, const pm_vk_caps *caps, const sizes *s)
{
    for (uint32_t type = PM_KV_F16; type <= PM_KV_Q4_0; type++) {
        if (!wants_pages(p, (pm_kv_type)type))
            continue;
        pm_check check = {.type = type, .heads = s->heads, .kv_heads = s->kv_heads, .head_dim = s->head_dim,
                          .page_tokens = 16};
        for (uint32_t r = 0; r < s->row_count && wants_op(p, PM_CHECK_ROPE); r++) {
            check.op = PM_CHECK_ROPE;
            check.rows = s->rows[r];
            PM_TRY(add(list, caps, check));
        }
        check.op = PM_CHECK_ATTENTION;
        for (uint32_t c = 0; c < 2 && wants_op(p, PM_CHECK_ATTENTION); c++) {
            check.rows = 1;
            check.past = s->contexts[c];
            PM_TRY(add_variants(list, p, caps, check));
        }
        for (uint32_t r = 0; r < s->row_count && wants_op(p, PM_CHECK_ATTENTION); r++) {
            check.rows = s->rows[r];
            check.past = 0;
            if (check.rows > 1)
                PM_TRY(add_variants(list, p, caps, check));
        }
    }
    return PM_OK;
}

static pm_result add_rows(pm_check_list *list, const pm_bench_params *p, const pm_vk_caps *caps, const sizes *s)
{
    const struct { pm_check_op op; uint32_t k; } ops[] = {
        {PM_CHECK_RMSNORM, s->dim}, {PM_CHECK_SWIGLU, s->hidden}, {PM_CHECK_ARGMAX, s->vocab}};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        for (uint32_t r = 0; r < s->row_count && wants_op(p, ops[i].op); r++) {
            const pm_check check = {.op = ops[i].op, .rows = s->rows[r], .k = ops[i].k};
            if ((p->types == NULL || is_listed(p->types, "f32")) && (check.op != PM_CHECK_ARGMAX || check.rows <= 64))
                PM_TRY(add(list, caps, check));
        }
    return PM_OK;
}

pm_result pm_bench_list_make(const pm_bench_params *p, const pm_vk_caps *caps, pm_check_list *out)
{
    sizes s = caps->is_cpu ? cpu_sizes : gpu_sizes;
    PM_TRY(check_names("op", p->ops, op_at));
    PM_TRY(check_names("type", p->types, type_at));
    PM_TRY(check_names("variant", p->variants, variant_at));
    if (p->row_count > PM_BENCH_ROWS_MAX || p->n > 1u << 20 || p->k > 1u << 20 || p->k % 256 != 0)
        return pm_fail(PM_ERR_ARG, "%u row counts and a matrix of %u x %u, expected at most %d counts and up to 2^20 x "
                       "2^20, k a multiple of 256", p->row_count, p->n, p->k, PM_BENCH_ROWS_MAX);
    for (uint32_t i = 0; i < p->row_count; i++)
        if (p->rows[i] < 1 || p->rows[i] > 2048)
            return pm_fail(PM_ERR_ARG, "%u rows, expected 1 to 2048", p->rows[i]);
    if (p->row_count > 0) {
        memcpy(s.rows, p->rows, p->row_count * sizeof(*s.rows));
        s.row_count = p->row_count;
    }
    s.n = p->n != 0 ? p->n : s.n;
    s.k = p->k != 0 ? p->k : s.k;
    *out = (pm_check_list){0};
    pm_result result = add_weights(out, p, caps, &s);
    if (result == PM_OK)
        result = add_rows(out, p, caps, &s);
    if (result == PM_OK)
        result = add_pages(out, p, caps, &s);
    if (result == PM_OK && out->count == 0)
        result = pm_fail(PM_ERR_UNSUP, "none of these ops with these types and variants runs on this device");
    if (result != PM_OK)
        pm_free(out->checks);
    return result;
}

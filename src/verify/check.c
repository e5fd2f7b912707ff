/* verify/check.c - what a check is called, its memory, and what it should give. */
#include "verify/check.h"

#include "base/alloc.h"
#include "op/attention.h"
#include "op/matmul.h"
#include "verify/check_impl.h"
#include "verify/vectors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    pm_result (*prepare)(pm_check_run *run);
} ops[PM_CHECK_OPS] = {
    [PM_CHECK_EMBEDDING] = {"embedding", pm_check_embedding}, [PM_CHECK_MATMUL] = {"matmul", pm_check_matmul},
    [PM_CHECK_RMSNORM] = {"rmsnorm", pm_check_rmsnorm},       [PM_CHECK_SWIGLU] = {"swiglu", pm_check_swiglu},
    [PM_CHECK_ROPE] = {"rope_kv", pm_check_rope},             [PM_CHECK_ATTENTION] = {"attention", pm_check_attention},
    [PM_CHECK_ARGMAX] = {"argmax", pm_check_argmax},
};

/* ----------------------------------------------------------------- names */

const char *pm_check_op_name(pm_check_op op)
{
    return ops[op].name;
}

static bool has_pages(const pm_check *check)
{
    return check->op == PM_CHECK_ROPE || check->op == PM_CHECK_ATTENTION;
}

const char *pm_check_type_name(const pm_check *check)
{
    if (has_pages(check))
        return pm_kv_type_name((pm_kv_type)check->type);
    if (check->op == PM_CHECK_MATMUL || check->op == PM_CHECK_EMBEDDING)
        return pm_dtype_get(check->type)->stem;
    return "f32";
}

const char *pm_check_variant_name(const pm_check *check)
{
    switch (check->op) {
    case PM_CHECK_MATMUL: return pm_matmul_variant(check->variant);
    case PM_CHECK_ATTENTION: return pm_attention_variant(check->variant);
    default: return "base";
    }
}

void pm_check_shape(const pm_check *c, char *text, size_t capacity)
{
    char more[48] = "";
    if (c->window > 0)
        snprintf(more, sizeof(more), " window %u", c->window);
    if (c->outliers > 0)
        snprintf(more, sizeof(more), " outliers %u", c->outliers);
    if (c->slices > 0 || c->lanes > 0)
        snprintf(more, sizeof(more), " lanes %u slices %u", c->lanes, c->slices);
    if (c->splits > 0)
        snprintf(more, sizeof(more), " splits %u", c->splits);
    if (c->pairs != PM_CHECK_PAIRS_ANY)
        strcat(more, c->pairs == PM_CHECK_PAIRS_HALVES ? " halves" : " neighbours");
    if (c->deterministic)
        strcat(more, " deterministic");
    if (has_pages(c))
        snprintf(text, capacity, "%u+%u x %u/%u heads of %u, pages of %u%s", c->past, c->rows, c->heads, c->kv_heads,
                 c->head_dim, c->page_tokens, more);
    else if (c->n > 0)
        snprintf(text, capacity, "%u x %u x %u%s", c->rows, c->n, c->k, more);
    else
        snprintf(text, capacity, "%u x %u%s", c->rows, c->k, more);
}

pm_result pm_check_list_add(pm_check_list *list, const pm_check *check)
{
    if (list->count == list->capacity) {
        const uint32_t capacity = list->capacity ? list->capacity * 2 : 64;
        pm_check *grown = pm_realloc(list->checks, capacity, sizeof(*grown), "checks");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        list->checks = grown;
        list->capacity = capacity;
    }
    list->checks[list->count++] = *check;
    return PM_OK;
}

const char *pm_check_lacks(const pm_check *c, const pm_vk_caps *caps)
{
    const bool weights = c->op == PM_CHECK_MATMUL || c->op == PM_CHECK_EMBEDDING;
    if (weights && !pm_weight_supported((pm_dtype)c->type))
        return "no kernel of this build reads the type";
    if (c->op == PM_CHECK_MATMUL) {
        const pm_matmul m = pm_check_matmul_shape(c);
        if (!pm_matmul_variant_fits(c->variant, caps, &m))
            return "the device or this build lacks what the variant needs";
    }
    if (c->op == PM_CHECK_ATTENTION) {
        const pm_attention a = pm_check_attention_shape(c);
        if (!pm_attention_variant_fits(c->variant, caps, &a))
            return "the device lacks what the variant needs";
    }
    return NULL;
}

/* ----------------------------------------------------------------- arena */

void *pm_check_take(pm_check_run *run, uint64_t bytes, pm_slice *slice)
{
    const uint64_t offset = run->used, padded = (bytes + CHECK_GAP + 255) / 256 * 256;
    run->used += padded;
    if (run->buffer != NULL)
        *slice = pm_vk_buffer_slice(run->buffer, offset, bytes);
    else
        *slice = (pm_slice){.offset = offset, .bytes = bytes};
    return run->host != NULL ? run->host + offset : NULL;
}

void pm_check_output(pm_check_run *run, pm_slice slice, uint32_t rows, uint32_t columns, uint32_t stride, bool words)
{
    pm_assert(run->output_count < CHECK_OUTPUTS);
    run->outputs[run->output_count++] = (check_output){slice.offset, rows, columns, stride, words};
    run->count += (uint64_t)rows * columns;
}

void pm_check_passing(pm_check_run *run, pm_slice slice)
{
    pm_assert(run->passing_count < CHECK_PASSING);
    run->passing[run->passing_count++] = slice;
}

pm_result pm_check_prepare(pm_check_run *run)
{
    run->used = run->count = 0;
    run->output_count = run->passing_count = 0;
    return ops[run->check->op].prepare(run);
}

pm_result pm_check_allocate(pm_check_run *run)
{
    run->want = pm_alloc(run->count, 2 * sizeof(*run->want), "references");
    run->size = run->want != NULL ? run->want + run->count : NULL;
    return run->want != NULL ? PM_OK : PM_ERR_NOMEM;
}

pm_result pm_check_reference(const pm_check *check, double **want, uint64_t *count)
{
    pm_check_run run = {.check = check};
    PM_TRY(pm_check_prepare(&run));
    run.host = pm_alloc(1, run.used, "check");
    pm_result result = run.host != NULL ? pm_check_allocate(&run) : PM_ERR_NOMEM;
    if (result == PM_OK)
        result = pm_check_prepare(&run);
    pm_free(run.host);
    if (result != PM_OK) {
        pm_free(run.want);
        return result;
    }
    *want = run.want;
    *count = run.count;
    return PM_OK;
}

/* --------------------------------------------------------------- compare */

static double element(const check_output *o, const uint8_t *memory, uint64_t i)
{
    const uint8_t *at = memory + o->offset + (i / o->columns * o->stride + i % o->columns) * 4;
    uint32_t word;
    float number;
    memcpy(&word, at, 4);
    memcpy(&number, at, 4);
    return o->words ? (double)word : (double)number;
}

static void got_elements(const pm_check_run *run, const uint8_t *memory, double *got)
{
    for (uint32_t o = 0; o < run->output_count; o++)
        for (uint64_t i = 0; i < (uint64_t)run->outputs[o].rows * run->outputs[o].columns; i++)
            *got++ = element(&run->outputs[o], memory, i);
}

/* Relative to the sum of |terms|; infinite for what is no number, and for anything but zero
 * where the terms are zero. */
static double error_of(double got, double want, double size)
{
    const double error = fabs(got - want);
    if (error == 0.0)
        return 0.0;
    return isfinite(got) && size > 0.0 ? error / size : INFINITY;
}

static void judge(pm_check_result *r, const char *what, uint64_t i, double got, double want, double size, double bound)
{
    const double error = error_of(got, want, size);
    r->error = error > r->error ? error : r->error;
    if (error <= bound || !r->right)
        return;
    r->right = false;
    snprintf(r->detail, sizeof(r->detail), "%s %llu is %.9g, expected %.9g", what, (unsigned long long)i, got, want);
}

static void compare_live(const pm_check_run *run, const double *got, pm_check_result *r)
{
    for (uint64_t i = 0; i < run->count; i++)
        judge(r, "element", i, got[i], run->want[i], run->size[i], run->bound);
}

static void compare_recorded(const pm_check_run *run, const pm_vector *v, const double *got, pm_check_result *r)
{
    double sum = 0.0;
    for (uint64_t i = 0; i < run->count; i++)
        sum += pm_vector_sign(i) * got[i];
    for (uint32_t j = 0; j < PM_VECTOR_SAMPLES; j++) {
        const uint64_t i = pm_vector_place(j, run->count);
        judge(r, "element", i, got[i], v->value[j], v->size[j], run->bound);
    }
    const double error = r->error; /* the sum's own rounding is no error of the device */
    judge(r, "the signed sum of elements 0 to", run->count - 1, sum, v->sum, v->sum_size, run->bound + 1e-13);
    r->error = run->bound > 0.0 || !r->right ? r->error : error;
}

/* All but the outputs is as it was. */
static void compare_rest(pm_check_run *run, const uint8_t *back, pm_check_result *r)
{
    for (uint32_t o = 0; o < run->output_count; o++)
        for (uint32_t row = 0; row < run->outputs[o].rows; row++) {
            const uint64_t at = run->outputs[o].offset + (uint64_t)row * run->outputs[o].stride * 4;
            memcpy(run->host + at, back + at, (uint64_t)run->outputs[o].columns * 4);
        }
    for (uint32_t p = 0; p < run->passing_count; p++)
        memcpy(run->host + run->passing[p].offset, back + run->passing[p].offset, run->passing[p].bytes);
    for (uint64_t i = 0; i < run->used && r->right; i++)
        if (run->host[i] != back[i]) {
            r->right = false;
            snprintf(r->detail, sizeof(r->detail), "byte %llu of the buffers changed, which the op may not write",
                     (unsigned long long)i);
        }
}

pm_result pm_check_compare(pm_check_run *run, const uint8_t *back, bool live, pm_check_result *r)
{
    const pm_vector *vector = live ? NULL : pm_vector_find(run->check);
    double *got = pm_alloc(run->count, sizeof(*got), "check");
    if (got == NULL)
        return PM_ERR_NOMEM;
    *r = (pm_check_result){.built = true, .right = true, .bound = run->bound, .elements = run->count,
                           .recorded = vector != NULL};
    got_elements(run, back, got);
    if (vector != NULL)
        compare_recorded(run, vector, got, r);
    else
        compare_live(run, got, r);
    compare_rest(run, back, r);
    pm_free(got);
    return PM_OK;
}

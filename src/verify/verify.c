/* verify/verify.c - pm_verify(): every op of the device, as a table. */
#include "verify/check.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "op/attention.h"
#include "op/matmul.h"
#include "verify/check_impl.h"
#include "verify/shapes.h"

#include <stdio.h>
#include <string.h>

const char *pm_verdict_name(pm_verdict verdict)
{
    static const char *const names[] = {"pass", "FAIL", "not supported"};
    return names[verdict];
}

/* ------------------------------------------------------------- the checks */

static const uint32_t kv_types[] = {PM_KV_F16, PM_KV_F32, PM_KV_Q8_0, PM_KV_Q4_0};

typedef struct check_list {
    pm_check_list all;
    uint64_t seed;                 /* of each */
} check_list;

static bool same_check(const pm_check *a, const pm_check *b)
{
    char x[64], y[64];
    pm_check_shape(a, x, sizeof(x));
    pm_check_shape(b, y, sizeof(y));
    return a->op == b->op && a->type == b->type && a->variant == b->variant && strcmp(x, y) == 0;
}

static pm_result add(check_list *list, pm_check check)
{
    check.seed = list->seed;
    for (uint32_t i = 0; i < list->all.count; i++)
        if (same_check(&list->all.checks[i], &check))
            return PM_OK;
    return pm_check_list_add(&list->all, &check);
}

/* In a quick run, types that are in most files have a shape more; compiling is what takes
 * the time on a CPU. */
static bool is_common(pm_dtype type)
{
    return type == PM_DTYPE_F16 || type == PM_DTYPE_Q8_0 || type == PM_DTYPE_Q4_K;
}

/* Full: every variant with every shape; else each shape with the variant that is picked. */
static pm_result add_matmul(check_list *list, const pm_vk_caps *caps, pm_dtype type, bool full)
{
    const uint32_t shapes = full ? pm_shape_matmul_count : is_common(type) ? pm_shape_matmul_quick : 1;
    for (uint32_t s = 0; s < shapes; s++) {
        pm_check check = pm_shape_matmul[s];
        check.type = type;
        const pm_matmul m = pm_check_matmul_shape(&check);
        if (!pm_weight_supported(type)) { /* listed once */
            PM_TRY(add(list, check));
        } else if (!full) {
            PM_TRY(pm_matmul_pick(caps, &m, &check.variant));
            PM_TRY(add(list, check));
        } else {
            for (check.variant = 0; pm_matmul_variant(check.variant) != NULL; check.variant++)
                PM_TRY(add(list, check));
        }
    }
    return PM_OK;
}

static pm_result add_types(check_list *list, const pm_vk_caps *caps, pm_check_op op, bool full)
{
    for (uint32_t type = 0; type < PM_DTYPE_LIMIT; type++) {
        if (!pm_dtype_can_dequant((pm_dtype)type))
            continue;
        if (op == PM_CHECK_MATMUL)
            PM_TRY(add_matmul(list, caps, (pm_dtype)type, full));
        for (uint32_t s = 0; op == PM_CHECK_EMBEDDING && s < (full ? pm_shape_embedding_count : 1); s++) {
            pm_check check = pm_shape_embedding[s];
            check.type = type;
            PM_TRY(add(list, check));
        }
    }
    return PM_OK;
}

/* Full: every variant with every shape for all types of pages; else for the first of them,
 * and one decoding row for the others. */
static pm_result add_pages(check_list *list, const pm_vk_caps *caps, bool full)
{
    for (size_t t = 0; t < sizeof(kv_types) / sizeof(kv_types[0]); t++) {
        for (uint32_t s = 0; s < pm_shape_rope_count; s++) {
            pm_check check = pm_shape_rope[s];
            check.type = kv_types[t];
            PM_TRY(add(list, check));
        }
        for (uint32_t s = 0; s < (full ? pm_shape_attention_count : pm_shape_attention_quick); s++) {
            pm_check check = pm_shape_attention[s];
            check.type = kv_types[t];
            const pm_attention a = pm_check_attention_shape(&check);
            if (!full && t > 0) {
                PM_TRY(pm_attention_pick(caps, &a, &check.variant));
                if (check.rows == 1)
                    PM_TRY(add(list, check));
                continue;
            }
            for (check.variant = 0; pm_attention_variant(check.variant) != NULL; check.variant++)
                PM_TRY(add(list, check));
        }
    }
    return PM_OK;
}

static pm_result add_all(check_list *list, const pm_vk_caps *caps, bool full)
{
    PM_TRY(add_types(list, caps, PM_CHECK_EMBEDDING, full));
    PM_TRY(add_types(list, caps, PM_CHECK_MATMUL, full));
    for (uint32_t s = 0; s < (full ? pm_shape_rows_count : pm_shape_rows_quick); s++)
        PM_TRY(add(list, pm_shape_rows[s]));
    return add_pages(list, caps, full);
}

/* -------------------------------------------------------------- the table */

static bool same_row(const pm_check *a, const pm_check *b)
{
    return a->op == b->op && a->type == b->type && a->variant == b->variant;
}

static void describe(pm_verify_row *row, const pm_check *check, const char *what)
{
    char shape[64];
    pm_check_shape(check, shape, sizeof(shape));
    if (row->detail[0] == '\0')
        snprintf(row->detail, sizeof(row->detail), "%s: %s", shape, what);
}

static void add_result(pm_verify_row *row, const pm_check *check, const pm_check_result *r)
{
    row->shapes++;
    row->elements += r->elements;
    row->error = r->error > row->error ? r->error : row->error;
    row->bound = r->bound;
    if (!r->right) {
        describe(row, check, r->detail);
        row->verdict = PM_VERDICT_FAIL;
    }
}

/* checks[0 .. count - 1] all belong to one row; results of those that ran. */
static void make_row(const pm_check *checks, const pm_check_result *results, const bool *ran, uint32_t count,
                     const pm_vk_caps *caps, pm_verify_row *row)
{
    uint64_t largest = 0;
    *row = (pm_verify_row){.op = pm_check_op_name(checks->op), .type = pm_check_type_name(checks),
                           .variant = pm_check_variant_name(checks), .verdict = PM_VERDICT_PASS};
    for (uint32_t i = 0; i < count; i++) {
        if (!ran[i])
            continue;
        add_result(row, &checks[i], &results[i]);
        if (results[i].ns > 0 && results[i].bytes > largest) {
            largest = results[i].bytes;
            row->gb_per_s = (double)results[i].bytes / (double)results[i].ns;
            row->gflop_per_s = (double)results[i].flops / (double)results[i].ns;
        }
    }
    if (row->shapes == 0) {
        row->verdict = PM_VERDICT_UNSUPPORTED;
        if (!pm_weight_supported((pm_dtype)checks->type) && checks->op == PM_CHECK_MATMUL)
            row->variant = "-";
        snprintf(row->detail, sizeof(row->detail), "%s", pm_check_lacks(checks, caps));
    }
}

static int by_row(const pm_check *a, const pm_check *b)
{
    if (a->op != b->op)
        return a->op < b->op ? -1 : 1;
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    return a->variant < b->variant ? -1 : a->variant > b->variant;
}

/* Insertion: stable, and the list is nearly in order. */
static void sort(pm_check_list *list)
{
    for (uint32_t i = 1; i < list->count; i++) {
        const pm_check check = list->checks[i];
        uint32_t at = i;
        for (; at > 0 && by_row(&list->checks[at - 1], &check) > 0; at--)
            list->checks[at] = list->checks[at - 1];
        list->checks[at] = check;
    }
}

static void emit(const pm_check_list *list, const pm_check_result *results, const bool *ran, const pm_vk_caps *caps,
                 pm_verify_sink *sink, void *context, pm_verify_summary *summary)
{
    for (uint32_t first = 0, end; first < list->count; first = end) {
        for (end = first + 1; end < list->count && same_row(&list->checks[first], &list->checks[end]);)
            end++;
        pm_verify_row row;
        make_row(&list->checks[first], results + first, ran + first, end - first, caps, &row);
        summary->passed += row.verdict == PM_VERDICT_PASS;
        summary->failed += row.verdict == PM_VERDICT_FAIL;
        summary->unsupported += row.verdict == PM_VERDICT_UNSUPPORTED;
        sink(context, &row);
    }
}

/* Checks that can run go to the front of `runnable`; their results come back in place. */
static pm_result run(pm_vk_device *device, const pm_check_list *list, bool full, pm_check *runnable,
                     pm_check_result *packed, pm_check_result *results, bool *ran)
{
    uint32_t count = 0, next = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        ran[i] = pm_check_lacks(&list->checks[i], pm_vk_device_caps(device)) == NULL;
        if (ran[i])
            runnable[count++] = list->checks[i];
    }
    PM_TRY(pm_checks_run(device, runnable, count, full, true, packed));
    for (uint32_t i = 0; i < list->count; i++)
        if (ran[i])
            results[i] = packed[next++];
    return PM_OK;
}

static pm_result verify_on(pm_vk_device *device, const pm_verify_params *p, pm_verify_sink *sink, void *context,
                           pm_verify_summary *summary)
{
    check_list list = {.seed = p->full ? (p->seed != 0 ? p->seed : 1) : 0};
    pm_result result = add_all(&list, pm_vk_device_caps(device), p->full);
    sort(&list.all);
    const size_t count = list.all.count > 0 ? list.all.count : 1;
    pm_check *runnable = pm_alloc(count, sizeof(*runnable), "checks");
    pm_check_result *results = pm_alloc(2 * count, sizeof(*results), "checks");
    bool *ran = pm_alloc(count, sizeof(*ran), "checks");
    if (result == PM_OK && (runnable == NULL || results == NULL || ran == NULL))
        result = PM_ERR_NOMEM;
    if (result == PM_OK)
        result = run(device, &list.all, p->full, runnable, results + count, results, ran);
    if (result == PM_OK)
        emit(&list.all, results, ran, pm_vk_device_caps(device), sink, context, summary);
    pm_free(list.all.checks);
    pm_free(runnable);
    pm_free(results);
    pm_free(ran);
    return result;
}

pm_result pm_verify(const pm_verify_params *params, pm_verify_sink *sink, void *context, pm_verify_summary *summary)
{
    const uint64_t start_ns = pm_clock_ns();
    pm_vk_device *device = NULL;
    pm_verify_summary s = {0};
    PM_TRY(pm_vk_device_open(params->device, true, &device));
    snprintf(s.device, sizeof(s.device), "%s", pm_vk_device_info(device)->name);
    snprintf(s.driver, sizeof(s.driver), "%s", pm_vk_device_info(device)->driver);
    const pm_result result = verify_on(device, params, sink, context, &s);
    pm_vk_device_close(device);
    PM_TRY(result);
    s.seconds = (double)(pm_clock_ns() - start_ns) * 1e-9;
    *summary = s;
    return PM_OK;
}

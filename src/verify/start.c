/* verify/start.c - the self-test when an engine starts. */
#include "verify/start.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/env.h"
#include "base/file.h"
#include "base/log.h"
#include "op/variant.h"
#include "verify/check_impl.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CHECKS_MAX 512u
#define LINE_MAX_BYTES 160u
#define ROWS_MAX 8u                /* pm_start.row_count */
#define FILE_HEAD "pumice self-test 1\n"

/* Small shapes, no multiples of what kernels work in; matmul's rows are the plan's, up to
 * this many. */
#define TEST_N 70u
#define TEST_K 512u
#define TEST_ROWS_MAX 64u
#define TEST_PAST 37u

typedef struct tested {
    pm_check check;
    bool known;                    /* by an earlier start or by this one */
    bool built, right;
    char detail[160];
} tested;

struct pm_start_test {
    pm_vk_device *device;          /* on which checks run, and are picked */
    pm_vk_device *engine;          /* of the caller */
    bool beside;                   /* the caller goes on meanwhile, and records with what it picks */
    pm_start start;
    pm_weight *weights;            /* of start; owned */
    uint32_t rows[ROWS_MAX];       /* of start */
    pthread_t thread;              /* runs the test */
    bool has_thread;
    pm_result result;              /* how it ended, with this message */
    char message[512];
    uint64_t run_ns;               /* the test took */
    char *file;                    /* lines of earlier starts; owned; NULL = none */
    uint32_t count, fresh;         /* fresh: run by this start */
    tested list[CHECKS_MAX];
};

static void line_of(const tested *t, char line[LINE_MAX_BYTES])
{
    char shape[64];
    pm_check_shape(&t->check, shape, sizeof(shape));
    snprintf(line, LINE_MAX_BYTES, "%s %s %s %s: ", pm_check_op_name(t->check.op), pm_check_type_name(&t->check),
             pm_check_variant_name(&t->check), shape);
}

/* ------------------------------------------------------------------ file */

static bool results_path(const pm_start_test *s, char path[PATH_MAX])
{
    return pm_vk_device_cache_path(s->engine, "verified", "txt", path, PATH_MAX) == PM_OK;
}

static void read_results(pm_start_test *s)
{
    char path[PATH_MAX];
    pm_file_map map = {0};
    if (!results_path(s, path) || pm_file_map_open(path, &map) != PM_OK) /* the first start here */
        return;
    if (map.bytes > strlen(FILE_HEAD) && memcmp(map.data, FILE_HEAD, strlen(FILE_HEAD)) == 0) {
        s->file = pm_alloc(1, map.bytes + 1, "self-test");
        if (s->file != NULL)
            memcpy(s->file, map.data, map.bytes);
    }
    pm_file_map_close(&map);
}

/* What an earlier start found. */
static void look_up(const pm_start_test *s, tested *t)
{
    char line[LINE_MAX_BYTES];
    line_of(t, line);
    const char *found = s->file != NULL ? strstr(s->file, line) : NULL;
    if (found == NULL || found[-1] != '\n')
        return;
    found += strlen(line);
    t->known = strncmp(found, "right\n", 6) == 0 || strncmp(found, "wrong ", 6) == 0;
    t->built = true;               /* what does not compile is not written: it is tried again */
    t->right = found[0] == 'r';
    if (t->known && !t->right)
        snprintf(t->detail, sizeof(t->detail), "%.*s", (int)strcspn(found + 6, "\n"), found + 6);
}

/* Old lines, then new ones. A failure is only logged: the next start tests again. */
static void write_results(const pm_start_test *s)
{
    char path[PATH_MAX];
    const size_t old_bytes = s->file != NULL ? strlen(s->file) : strlen(FILE_HEAD);
    const size_t capacity = old_bytes + s->count * (LINE_MAX_BYTES + sizeof(s->list->detail) + 16) + 1;
    if (s->fresh == 0 || !results_path(s, path))
        return;
    char *text = pm_alloc(1, capacity, "self-test");
    if (text == NULL)
        return;
    size_t used = (size_t)snprintf(text, capacity, "%s", s->file != NULL ? s->file : FILE_HEAD);
    for (uint32_t i = 0; i < s->count; i++) {
        const tested *t = &s->list[i];
        char line[LINE_MAX_BYTES];
        tested before = {.check = t->check};
        look_up(s, &before);
        line_of(t, line);
        if (!before.known && t->built)
            used += (size_t)snprintf(text + used, capacity - used, "%s%s%s\n", line, t->right ? "right" : "wrong ",
                                     t->right ? "" : t->detail);
    }
    if (pm_file_write_atomic(path, text, used) != PM_OK)
        pm_log(PM_LOG_ENGINE, "%s", pm_error_message());
    pm_free(text);
}

/* ------------------------------------------------------------- the checks */

/* Rows that the check's kernel is made for, where a variant has several kernels. */
static uint32_t made_for(const pm_check *check)
{
    if (check->op == PM_CHECK_MATMUL)
        return pm_matmul_variant_computes(check->variant, check->rows, 1);
    return check->op == PM_CHECK_ATTENTION && check->rows > 1 ? 2 : 1;
}

static bool has_check(const pm_start_test *s, const pm_check *check)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const pm_check *c = &s->list[i].check;
        if (c->op == check->op && c->type == check->type && c->variant == check->variant && c->k == check->k &&
            c->head_dim == check->head_dim && made_for(c) == made_for(check))
            return true;
    }
    return false;
}

static void add(pm_start_test *s, pm_check check)
{
    pm_assert(s->count < CHECKS_MAX);
    if (has_check(s, &check))
        return;
    s->list[s->count] = (tested){.check = check};
    look_up(s, &s->list[s->count++]);
}

static pm_result add_matmul(pm_start_test *s, const pm_weight *weight, uint32_t rows)
{
    const pm_vk_caps *caps = pm_vk_device_caps(s->device);
    pm_check check = {.op = PM_CHECK_MATMUL, .type = weight->type, .rows = rows, .n = weight->n, .k = weight->k,
                      .deterministic = s->start.deterministic, .as_loaded = true};
    const pm_matmul m = pm_check_matmul_shape(&check);
    PM_TRY(pm_matmul_pick(caps, &m, &check.variant));
    check.rows = rows < TEST_ROWS_MAX ? rows : TEST_ROWS_MAX;
    check.n = TEST_N;
    check.k = TEST_K;
    if (pm_check_lacks(&check, caps) != NULL) { /* a variant of some widths only: then its own */
        check.n = weight->n < 256 ? weight->n : 256;
        check.k = weight->k;
    }
    add(s, check);
    return PM_OK;
}

static pm_result add_matmuls(pm_start_test *s, uint32_t rows)
{
    for (uint32_t i = 0; i < s->start.weight_count; i++)
        PM_TRY(add_matmul(s, &s->start.weights[i], rows));
    return PM_OK;
}

/* Of the passes that are about to be made, or at the row counts at which a plan may pick another variant. */
static pm_result add_all_matmuls(pm_start_test *s)
{
    const uint32_t rows_max = s->start.rows_max;
    for (uint32_t i = 0; i < s->start.row_count; i++)
        PM_TRY(add_matmuls(s, s->start.rows[i]));
    for (uint32_t rows = 1; s->start.row_count == 0 && rows < rows_max; rows *= 2)
        PM_TRY(add_matmuls(s, rows));
    return s->start.row_count == 0 ? add_matmuls(s, rows_max) : PM_OK;
}

/* Whether some pass may have several rows of one sequence. */
static bool has_prompts(const pm_start *p)
{
    bool prompts = p->row_count == 0 && p->rows_max > 1;
    for (uint32_t i = 0; i < p->row_count; i++)
        prompts |= p->rows[i] > 1;
    return prompts;
}

static pm_result add_attention(pm_start_test *s)
{
    const pm_start *p = &s->start;
    for (uint32_t rows = 1; rows != 0; rows = rows == 1 && has_prompts(p) ? 6 : 0) {
        pm_check check = {.op = PM_CHECK_ROPE, .type = p->layout.type, .rows = rows, .heads = p->heads,
                          .kv_heads = p->layout.kv_heads, .head_dim = p->layout.head_dim,
                          .page_tokens = p->layout.page_tokens,
                          .pairs = p->neox ? PM_CHECK_PAIRS_HALVES : PM_CHECK_PAIRS_NEIGHBOURS};
        add(s, check);
        check.op = PM_CHECK_ATTENTION;
        check.pairs = PM_CHECK_PAIRS_ANY;
        check.past = TEST_PAST;
        check.window = p->window;
        check.deterministic = p->deterministic;
        const pm_attention a = pm_check_attention_shape(&check);
        PM_TRY(pm_attention_pick(pm_vk_device_caps(s->device), &a, &check.variant));
        add(s, check);
    }
    return PM_OK;
}

/* All that would be used now. */
static pm_result add_used(pm_start_test *s)
{
    const pm_start *p = &s->start;
    add(s, (pm_check){.op = PM_CHECK_EMBEDDING, .type = p->embedding, .rows = 5, .n = TEST_N, .k = TEST_K,
                        .as_loaded = true});
    add(s, (pm_check){.op = PM_CHECK_RMSNORM, .rows = 3, .k = p->dim});
    add(s, (pm_check){.op = PM_CHECK_SWIGLU, .rows = 2, .k = p->hidden});
    add(s, (pm_check){.op = PM_CHECK_ARGMAX, .rows = 3, .k = p->vocab});
    PM_TRY(add_all_matmuls(s));
    return add_attention(s);
}

/* -------------------------------------------------------------------- run */

/* Runs what is not known yet. */
static pm_result run_unknown(pm_start_test *s)
{
    uint32_t count = 0;
    pm_check *checks = pm_alloc(s->count, sizeof(*checks), "self-test");
    pm_check_result *results = pm_alloc(s->count, sizeof(*results), "self-test");
    pm_result result = checks != NULL && results != NULL ? PM_OK : PM_ERR_NOMEM;
    for (uint32_t i = 0; result == PM_OK && i < s->count; i++)
        if (!s->list[i].known)
            checks[count++] = s->list[i].check;
    if (result == PM_OK)
        result = pm_checks_run(s->device, checks, count, false, false, results);
    for (uint32_t i = 0, next = 0; result == PM_OK && i < s->count; i++) {
        tested *t = &s->list[i];
        if (t->known)
            continue;
        t->known = true;
        t->built = results[next].built;
        t->right = results[next].right;
        snprintf(t->detail, sizeof(t->detail), "%s", results[next++].detail);
    }
    s->fresh += count;
    pm_free(checks);
    pm_free(results);
    return result;
}

static pm_variant_table table_of(const pm_check *c)
{
    return c->op == PM_CHECK_MATMUL ? PM_VARIANTS_MATMUL : PM_VARIANTS_ATTENTION;
}

static bool has_variants(const pm_check *c)
{
    return c->op == PM_CHECK_MATMUL || c->op == PM_CHECK_ATTENTION;
}

/* From the caller's device to one of the test's own. */
static pm_result stand_apart(pm_start_test *s)
{
    char selector[16];
    snprintf(selector, sizeof(selector), "%u", pm_vk_device_info(s->engine)->index);
    PM_TRY(pm_vk_device_open(selector, false, &s->device));
    pm_vk_device_choose(s->device, pm_vk_device_caps(s->engine)->choices);
    return PM_OK;
}

/* Takes a wrong variant out of its table on the device that the test runs on; *changed where it was in. The caller's
 * tables are not touched while it may read them. */
static pm_result switch_off(pm_start_test *s, const tested *t, bool *changed)
{
    const pm_device_info *info = pm_vk_device_info(s->device);
    const pm_check *c = &t->check;
    if (!has_variants(c))
        return pm_fail(PM_ERR_UNSUP, "self-test: %s (%s) gets %s of type %s wrong, for which there is one way only: %s",
                       info->name, info->driver, pm_check_op_name(c->op), pm_check_type_name(c), t->detail);
    if (s->beside && s->device == s->engine)
        PM_TRY(stand_apart(s));
    *changed |= !pm_variant_is_off(pm_vk_device_caps(s->device), table_of(c), c->type, c->variant);
    pm_variant_switch_off(s->device, table_of(c), c->type, c->variant);
    return PM_OK;
}

/* Until all that is picked is known, and either right or forced by hand. */
static pm_result run(pm_start_test *s)
{
    for (bool changed = true; changed;) {
        changed = false;
        PM_TRY(add_used(s));
        PM_TRY(run_unknown(s));
        for (uint32_t i = 0; i < s->count; i++)
            if (!s->list[i].right)
                PM_TRY(switch_off(s, &s->list[i], &changed));
    }
    return PM_OK;
}

static void *run_to_end(void *argument)
{
    pm_start_test *s = argument;
    const uint64_t start_ns = pm_clock_ns();
    s->result = run(s);
    snprintf(s->message, sizeof(s->message), "%s", s->result != PM_OK ? pm_error_message() : "");
    s->run_ns = pm_clock_ns() - start_ns;
    if (s->device != s->engine)
        pm_vk_device_close(s->device);
    s->device = s->engine;
    return NULL;
}

/* ---------------------------------------------------------- begin and end */

static bool is_all_known(const pm_start_test *s)
{
    bool known = true;
    for (uint32_t i = 0; i < s->count; i++)
        known &= s->list[i].known;
    return known;
}

static pm_result begin(pm_start_test *s, const pm_start *start)
{
    pm_assert(start->row_count <= ROWS_MAX);
    s->start = *start;
    s->start.weights = s->weights = pm_alloc(start->weight_count, sizeof(*s->weights), "self-test");
    if (s->weights == NULL)
        return PM_ERR_NOMEM;
    memcpy(s->weights, start->weights, start->weight_count * sizeof(*s->weights));
    for (uint32_t i = 0; i < start->row_count; i++)
        s->rows[i] = start->rows[i];
    s->start.rows = s->rows;
    read_results(s);
    PM_TRY(add_used(s));
    s->beside = pm_vk_device_caps(s->engine)->is_cpu && !is_all_known(s);
    if (s->beside && pm_vk_device_is_profiled(s->engine)) /* whose times are the caller's alone */
        PM_TRY(stand_apart(s));
    s->has_thread = s->beside && pthread_create(&s->thread, NULL, run_to_end, s) == 0;
    if (!s->has_thread) {
        s->beside = false;
        run_to_end(s);
    }
    return PM_OK;
}

static void destroy(pm_start_test *s)
{
    pm_free(s->weights);
    pm_free(s->file);
    pm_free(s);
}

pm_result pm_start_test_begin(pm_vk_device *device, const pm_start *start, pm_start_test **out)
{
    const char *value = pm_env_get(PM_ENV_VERIFY);
    *out = NULL;
    if (value != NULL && strcmp(value, "0") == 0)
        return PM_OK;
    pm_start_test *s = pm_alloc(1, sizeof(*s), "self-test");
    if (s == NULL)
        return PM_ERR_NOMEM;
    s->device = s->engine = device;
    const pm_result result = begin(s, start);
    if (result != PM_OK) {
        destroy(s);
        return result;
    }
    *out = s;
    return PM_OK;
}

bool pm_start_test_is_beside(const pm_start_test *test)
{
    return test != NULL && test->has_thread;
}

static bool is_told(const pm_start_test *s, uint32_t index)
{
    const pm_check *c = &s->list[index].check;
    for (uint32_t i = 0; i < index; i++) {
        const pm_check *other = &s->list[i].check;
        if (!s->list[i].right && other->op == c->op && other->type == c->type && other->variant == c->variant)
            return true;
    }
    return false;
}

/* Switches off on the caller's device what is wrong, with a warning for each; true where its picks change. */
static bool apply(const pm_start_test *s)
{
    const pm_device_info *info = pm_vk_device_info(s->engine);
    bool changed = false;
    for (uint32_t i = 0; i < s->count; i++) {
        const tested *t = &s->list[i];
        const pm_check *c = &t->check;
        if (!t->known || t->right || is_told(s, i) || !has_variants(c))
            continue;
        pm_warn("self-test: %s (%s) gets variant %s of %s wrong for type %s: %s; it is off, another serves", info->name,
                info->driver, pm_check_variant_name(c), pm_check_op_name(c->op), pm_check_type_name(c), t->detail);
        changed |= !pm_variant_is_off(pm_vk_device_caps(s->engine), table_of(c), c->type, c->variant);
        pm_variant_switch_off(s->engine, table_of(c), c->type, c->variant);
    }
    return changed;
}

static bool end(pm_start_test *s)
{
    const bool changed = apply(s);
    if (s->result == PM_OK || s->result == PM_ERR_UNSUP)
        write_results(s);
    pm_log(PM_LOG_ENGINE, "self-test: %u kernels, %u run now: %.0f ms%s", s->count, s->fresh, (double)s->run_ns * 1e-6,
           s->has_thread ? " beside the engine's start" : "");
    return changed;
}

pm_result pm_start_test_end(pm_start_test *s, pm_result meanwhile, bool *changed)
{
    *changed = false;
    if (s == NULL)
        return meanwhile;
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    if (meanwhile == PM_OK)
        *changed = end(s);
    const pm_result result = meanwhile == PM_OK ? s->result : meanwhile;
    if (meanwhile == PM_OK && result != PM_OK)
        (void)pm_fail(result, "%s", s->message);
    destroy(s);
    return result;
}

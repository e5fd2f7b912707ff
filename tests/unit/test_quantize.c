/* test_quantize.c - whole files: the writer, the importance matrix, pm_quantize(). */
#include "gguf/imatrix.h"
#include "gguf/quant.h"
#include "gguf/writer.h"
#include "model/recipe.h"

#include "temporary.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[512], in_path[640], out_path[640], other_path[640], matrix_path[640];
static uint64_t rng_state;

static uint64_t rng(void)
{
    rng_state += UINT64_C(0x9e3779b97f4a7c15);
    return pm_mix64(rng_state);
}

static float small(void)
{
    return ((float)(rng() >> 40) / 16777216.0f - 0.5f) * 0.1f;
}

static void ok(pm_result result)
{
    if (result != PM_OK)
        fail_msg("%s: %s", pm_result_name(result), pm_error_message());
}

static void fails(pm_result result, pm_result expected, const char *part_of_message)
{
    if (result != expected || strstr(pm_error_message(), part_of_message) == NULL)
        fail_msg("%s: %s, expected %s with '%s'", pm_result_name(result), pm_error_message(), pm_result_name(expected),
                 part_of_message);
}

/* Files there are, temporary ones too. */
static int count_files(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* -------------------------------------------------------------- models */

typedef struct tensor {
    const char *name;
    uint64_t shape[4];
    uint32_t dims;
    pm_dtype type;
} tensor;

/* A layer of each kind that recipes tell apart; widths for 256, for 32, and for neither. */
static const tensor tensors[] = {
    {"token_embd.weight", {256, 40, 1, 1}, 2, PM_DTYPE_F32},
    {"blk.0.attn_norm.weight", {256, 1, 1, 1}, 1, PM_DTYPE_F32},
    {"blk.0.attn_q.weight", {256, 16, 1, 1}, 2, PM_DTYPE_F16},
    {"blk.0.attn_v.weight", {256, 3, 1, 1}, 2, PM_DTYPE_BF16},
    {"blk.0.ffn_down.weight", {96, 20, 1, 1}, 2, PM_DTYPE_F32},
    {"blk.0.ffn_up.weight", {33, 7, 1, 1}, 2, PM_DTYPE_F32},
    {"blk.0.ffn_gate_inp.weight", {256, 4, 1, 1}, 2, PM_DTYPE_F32},
    {"blk.0.ffn_gate_exps.weight", {256, 5, 3, 1}, 3, PM_DTYPE_F16},
    {"blk.0.attn_q.bias", {16, 1, 1, 1}, 1, PM_DTYPE_F16},
    {"counts.weight", {8, 2, 1, 1}, 2, PM_DTYPE_I32},
    {"output.weight", {512, 70, 1, 1}, 2, PM_DTYPE_F32},
};

#define TENSORS (sizeof(tensors) / sizeof(tensors[0]))

static uint64_t elements_of(const tensor *t)
{
    return t->shape[0] * t->shape[1] * t->shape[2] * t->shape[3];
}

static void put_values(pm_gguf_writer *w, int part, int parts)
{
    static const uint8_t strings[] = "\1\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0b\0c";
    static const float floats[] = {0.0f, -0.0f, INFINITY};
    const pm_gguf_value odd[] = {
        {"general.alignment", PM_GGUF_U32, PM_GGUF_U32, 1, (const uint8_t *)"\100\0\0\0", 4},
        {"a.strings", PM_GGUF_ARRAY, PM_GGUF_STRING, 3, strings, sizeof(strings) - 1},
        {"a.floats", PM_GGUF_ARRAY, PM_GGUF_F32, 3, (const uint8_t *)floats, sizeof(floats)},
        {"a.empty", PM_GGUF_ARRAY, PM_GGUF_U8, 0, (const uint8_t *)"", 0},
        {"a.bool", PM_GGUF_BOOL, PM_GGUF_BOOL, 1, (const uint8_t *)"\1", 1},
        {"a.double", PM_GGUF_F64, PM_GGUF_F64, 1, (const uint8_t *)"\1\2\3\4\5\6\7\100", 8},
    };
    ok(pm_gguf_writer_text(w, "general.architecture", "llama"));
    ok(pm_gguf_writer_u32(w, "llama.block_count", 1));
    ok(pm_gguf_writer_u32(w, "general.file_type", 0));
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        ok(pm_gguf_writer_copy(w, &odd[i]));
    if (parts > 1) {
        ok(pm_gguf_writer_u32(w, "split.no", (uint32_t)part));
        ok(pm_gguf_writer_u32(w, "split.count", (uint32_t)parts));
        ok(pm_gguf_writer_u32(w, "split.tensors.count", TENSORS));
    }
}

/* The row that starts at element e; value bad_at of the tensor is `bad`. */
static void put_row(pm_gguf_writer *w, const tensor *t, uint64_t e, uint64_t bad_at, float bad)
{
    static float x[2048];
    static int32_t integers[2048];
    static uint8_t row[sizeof(x)];
    for (uint64_t i = 0; i < t->shape[0]; i++) {
        x[i] = e + i == bad_at ? bad : small();
        integers[i] = (int32_t)(e + i);
    }
    if (t->type == PM_DTYPE_I32)
        memcpy(row, integers, t->shape[0] * 4);
    else
        pm_quant_row(t->type, x, NULL, row, t->shape[0]);
    ok(pm_gguf_writer_data(w, row, pm_dtype_row_bytes(t->type, t->shape[0])));
}

/* The tensors from `first` on; bad: the value at that place of the named tensor, or NULL. */
static void write_model(const char *path, size_t first, size_t count, int part, int parts, const char *bad_tensor,
                        uint64_t bad_at, float bad)
{
    pm_gguf_writer *w = NULL;
    uint64_t bytes;
    ok(pm_gguf_writer_open(path, 64, &w));
    put_values(w, part, parts);
    for (size_t i = first; i < first + count; i++)
        ok(pm_gguf_writer_tensor(w, tensors[i].name, tensors[i].dims, tensors[i].shape, tensors[i].type));
    for (size_t i = first; i < first + count; i++)
        for (uint64_t e = 0; e < elements_of(&tensors[i]); e += tensors[i].shape[0])
            put_row(w, &tensors[i], e, bad_tensor != NULL && strcmp(tensors[i].name, bad_tensor) == 0 ? bad_at : UINT64_MAX,
                    bad);
    ok(pm_gguf_writer_commit(w, &bytes));
    pm_gguf_writer_close(w);
}

static void write_whole(const char *bad_tensor, uint64_t bad_at, float bad)
{
    rng_state = 7;
    write_model(in_path, 0, TENSORS, 0, 1, bad_tensor, bad_at, bad);
}

static int setup(void **state)
{
    (void)state;
    temporary_template(folder, sizeof(folder), "quantize");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(in_path, sizeof(in_path), "%s/in.gguf", folder);
    snprintf(out_path, sizeof(out_path), "%s/out.gguf", folder);
    snprintf(other_path, sizeof(other_path), "%s/other.gguf", folder);
    snprintf(matrix_path, sizeof(matrix_path), "%s/matrix", folder);
    write_whole(NULL, 0, 0.0f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    char path[800];
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
            unlink(path);
        }
    if (dir != NULL)
        closedir(dir);
    return rmdir(folder);
}

static bool same_file(const char *a, const char *b)
{
    char *x, *y;
    size_t x_bytes, y_bytes;
    ok(pm_file_read(a, &x, &x_bytes));
    ok(pm_file_read(b, &y, &y_bytes));
    const bool same = x_bytes == y_bytes && memcmp(x, y, x_bytes) == 0;
    pm_free(x);
    pm_free(y);
    return same;
}

static pm_result quantize(const char *type, const char *out, uint32_t jobs)
{
    const pm_quantize_params p = {.in_path = in_path, .out_path = out, .type = type, .jobs = jobs};
    return pm_quantize(&p, NULL);
}

/* ------------------------------------------------------------- whole files */

static void check_values(const pm_gguf *a, const pm_gguf *b, uint32_t file_type)
{
    uint32_t found = UINT32_MAX;
    for (uint64_t i = 0; i < pm_gguf_value_count(a); i++) {
        const pm_gguf_value *v = pm_gguf_value_at(a, i), *w = pm_gguf_find(b, v->key);
        if (strncmp(v->key, "split.", 6) == 0) {
            assert_null(w);
            continue;
        }
        if (w == NULL || w->type != v->type || w->item_type != v->item_type || w->count != v->count)
            fail_msg("%s is not kept", v->key);
        if (strcmp(v->key, "general.file_type") != 0 && (w->bytes != v->bytes || memcmp(w->data, v->data, v->bytes) != 0))
            fail_msg("%s: other bytes", v->key);
    }
    ok(pm_gguf_get_u32(b, "general.file_type", 0, 100, &found));
    assert_int_equal(found, file_type);
    ok(pm_gguf_get_u32(b, "general.quantization_version", 0, 100, &found));
    assert_int_equal(found, 2);
    assert_int_equal(pm_gguf_alignment(b), 64);
}

static void check_tensor(const pm_gguf_tensor *from, const pm_gguf_tensor *to, const pm_recipe *recipe,
                         const pm_recipe_model *model)
{
    static float x[1 << 16];
    static uint8_t blocks[sizeof(x)];
    const pm_dtype_info *info = pm_dtype_get(from->type);
    const uint64_t count = from->bytes / info->bytes * info->block;
    pm_dtype expected = from->type;
    if (pm_recipe_applies(from) && from->type != PM_DTYPE_I32)
        expected = pm_recipe_fit(pm_recipe_pick(recipe, model, from->name, false), from->shape[0]);
    assert_string_equal(from->name, to->name);
    assert_int_equal(from->dims, to->dims);
    assert_memory_equal(from->shape, to->shape, sizeof(from->shape));
    assert_int_equal(to->type, expected);
    assert_int_equal(to->offset % 64, 0);
    if (from->type == PM_DTYPE_I32) {
        assert_memory_equal(from->data, to->data, from->bytes);
        return;
    }
    pm_dequant_row(from->type, from->data, x, count);
    pm_quant_row(to->type, x, NULL, blocks, count);
    assert_int_equal(to->bytes, pm_dtype_row_bytes(to->type, count));
    assert_memory_equal(to->data, blocks, to->bytes);
}

static void check_file(const char *in, const char *out, const pm_recipe *recipe)
{
    pm_gguf *a = NULL, *b = NULL;
    pm_recipe_model model;
    ok(pm_gguf_open(in, &a));
    ok(pm_gguf_open(out, &b));
    ok(pm_recipe_model_read(a, false, &model));
    check_values(a, b, recipe->file_type);
    assert_int_equal(pm_gguf_tensor_count(a), TENSORS);
    assert_int_equal(pm_gguf_tensor_count(b), TENSORS);
    for (uint64_t i = 0; i < TENSORS; i++)
        check_tensor(pm_gguf_tensor_at(a, i), pm_gguf_tensor_at(b, i), recipe, &model);
    pm_gguf_close(a);
    pm_gguf_close(b);
}

static void every_type_keeps_the_metadata_and_makes_the_tensors(void **state)
{
    (void)state;
    for (size_t i = 0; pm_recipe_at(i) != NULL; i++) {
        ok(quantize(pm_recipe_at(i)->name, out_path, 2));
        check_file(in_path, out_path, pm_recipe_at(i));
    }
    assert_int_equal(count_files(), 2);
    unlink(out_path);
}

static void small_tensors_and_those_that_do_not_fit_are_kept_or_fall_back(void **state)
{
    (void)state;
    static const struct { const char *name; pm_dtype type; } expected[] = {
        {"token_embd.weight", PM_DTYPE_Q4_K},    {"blk.0.attn_norm.weight", PM_DTYPE_F32},
        {"blk.0.attn_q.weight", PM_DTYPE_Q4_K},  {"blk.0.attn_v.weight", PM_DTYPE_Q6_K},
        {"blk.0.ffn_down.weight", PM_DTYPE_Q8_0}, {"blk.0.ffn_up.weight", PM_DTYPE_F16},
        {"blk.0.ffn_gate_inp.weight", PM_DTYPE_F32}, {"blk.0.ffn_gate_exps.weight", PM_DTYPE_Q4_K},
        {"blk.0.attn_q.bias", PM_DTYPE_F16},     {"counts.weight", PM_DTYPE_I32}, {"output.weight", PM_DTYPE_Q6_K},
    };
    pm_gguf *g = NULL;
    pm_quantize_summary summary;
    const pm_quantize_params p = {.in_path = in_path, .out_path = out_path, .type = "q4_k"};
    ok(pm_quantize(&p, &summary));
    ok(pm_gguf_open(out_path, &g));
    for (size_t i = 0; i < TENSORS; i++)
        assert_int_equal(pm_gguf_tensor_find(g, expected[i].name)->type, expected[i].type);
    assert_int_equal(summary.tensors, TENSORS);
    assert_int_equal(summary.changed, 7);
    assert_int_equal(summary.fallbacks, 2);
    assert_int_equal(summary.file_bytes_out, pm_gguf_file_bytes(g));
    pm_gguf_close(g);
    unlink(out_path);
}

/* What tests/oracle/recipe.py cannot ask: an importance matrix, experts, Falcon. */
static void recipes_know_importance_experts_and_falcon(void **state)
{
    (void)state;
    const pm_recipe_model plain = {.layers = 16, .group = 1, .has_output = true};
    pm_recipe_model with = plain, experts = plain, falcon = plain;
    with.has_importance = true;
    experts.experts = 8;
    falcon.is_falcon = true;
    const struct { const char *recipe; const pm_recipe_model *model; const char *tensor; pm_dtype type; } cases[] = {
        {"Q4_0", &plain, "blk.1.ffn_down.weight", PM_DTYPE_Q4_0},   {"Q4_0", &with, "blk.1.ffn_down.weight", PM_DTYPE_Q4_1},
        {"Q4_0", &with, "blk.2.ffn_down.weight", PM_DTYPE_Q4_0},    {"Q5_0", &with, "blk.0.ffn_down.weight", PM_DTYPE_Q5_1},
        {"IQ4_XS", &plain, "blk.1.ffn_down.weight", PM_DTYPE_Q5_K}, {"IQ4_XS", &with, "blk.1.ffn_down.weight", PM_DTYPE_IQ4_XS},
        {"Q4_K_M", &experts, "blk.9.attn_v.weight", PM_DTYPE_Q8_0}, {"Q4_K_M", &experts, "blk.9.attn_k.weight", PM_DTYPE_Q8_0},
        {"Q4_K_M", &experts, "blk.9.attn_output.weight", PM_DTYPE_Q5_K},
        {"Q4_K_M", &plain, "blk.9.attn_output.weight", PM_DTYPE_Q4_K},
        {"Q4_K_M", &plain, "blk.9.attn_qkv.weight", PM_DTYPE_Q5_K}, {"Q5_K_M", &plain, "blk.9.attn_qkv.weight", PM_DTYPE_Q6_K},
        {"Q4_K_M", &falcon, "output.weight", PM_DTYPE_Q8_0},        {"Q4_K_M", &falcon, "blk.0.ffn_down.weight", PM_DTYPE_Q6_K},
        {"Q4_K_M", &falcon, "blk.1.ffn_down.weight", PM_DTYPE_Q5_K}, {"Q3_K_L", &falcon, "blk.9.attn_output.weight", PM_DTYPE_Q4_K},
        {"MXFP4", &plain, "output.weight", PM_DTYPE_Q8_0},          {"MXFP4", &plain, "blk.9.attn_q.weight", PM_DTYPE_MXFP4},
        {"F16", &plain, "output.weight", PM_DTYPE_F16},             {"Q8_0", &plain, "output.weight", PM_DTYPE_Q8_0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const pm_dtype type = pm_recipe_pick(pm_recipe_find(cases[i].recipe), cases[i].model, cases[i].tensor, false);
        if (type != cases[i].type)
            fail_msg("%s of %s is %s, expected %s", cases[i].tensor, cases[i].recipe, pm_dtype_get(type)->name,
                     pm_dtype_get(cases[i].type)->name);
        assert_int_equal(pm_recipe_pick(pm_recipe_find(cases[i].recipe), cases[i].model, cases[i].tensor, true),
                         pm_recipe_find(cases[i].recipe)->type);
    }
}

static void the_number_of_jobs_changes_nothing(void **state)
{
    (void)state;
    ok(quantize("Q4_K_M", out_path, 1));
    for (uint32_t jobs = 2; jobs <= 32; jobs *= 4) {
        ok(quantize("Q4_K_M", other_path, jobs));
        assert_true(same_file(out_path, other_path));
    }
    fails(quantize("Q4_K_M", other_path, 33), PM_ERR_ARG, "33 jobs");
    unlink(out_path);
    unlink(other_path);
}

static void a_tensor_of_many_chunks_is_whole(void **state)
{
    (void)state;
    enum { K = 1056, ROWS = 4001 }; /* rows end at no limit of pieces, units and chunks */
    static const uint64_t shape[4] = {K, ROWS, 1, 1};
    char path[640];
    pm_gguf_writer *w = NULL;
    pm_gguf *a = NULL, *b = NULL;
    uint64_t total;
    float x[K];
    uint8_t row[K * 2], blocks[K / 32 * 18];
    snprintf(path, sizeof(path), "%s/big.gguf", folder);
    ok(pm_gguf_writer_open(path, 32, &w));
    ok(pm_gguf_writer_tensor(w, "blk.0.ffn_up.weight", 2, shape, PM_DTYPE_F16));
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < K; i++)
            x[i] = small();
        pm_quant_row(PM_DTYPE_F16, x, NULL, row, K);
        ok(pm_gguf_writer_data(w, row, sizeof(row)));
    }
    ok(pm_gguf_writer_commit(w, &total));
    pm_gguf_writer_close(w);
    for (uint32_t jobs = 1; jobs <= 7; jobs += 6) {
        const pm_quantize_params p = {.in_path = path, .out_path = out_path, .type = "Q4_0", .jobs = jobs};
        ok(pm_quantize(&p, NULL));
        ok(pm_gguf_open(path, &a));
        ok(pm_gguf_open(out_path, &b));
        for (uint64_t r = 0; r < ROWS; r++) {
            pm_dequant_row(PM_DTYPE_F16, (const uint8_t *)pm_gguf_tensor_at(a, 0)->data + r * sizeof(row), x, K);
            pm_quant_row(PM_DTYPE_Q4_0, x, NULL, blocks, K);
            assert_memory_equal(blocks, (const uint8_t *)pm_gguf_tensor_at(b, 0)->data + r * sizeof(blocks), sizeof(blocks));
        }
        pm_gguf_close(a);
        pm_gguf_close(b);
    }
    unlink(path);
    unlink(out_path);
}

static void split_files_become_one(void **state)
{
    (void)state;
    char first[640], second[640];
    snprintf(first, sizeof(first), "%s/m-00001-of-00002.gguf", folder);
    snprintf(second, sizeof(second), "%s/m-00002-of-00002.gguf", folder);
    rng_state = 7;
    write_model(first, 0, 4, 0, 2, NULL, 0, 0.0f);
    write_model(second, 4, TENSORS - 4, 1, 2, NULL, 0, 0.0f);
    const pm_quantize_params p = {.in_path = second, .out_path = out_path, .type = "Q8_0"};
    ok(pm_quantize(&p, NULL));
    check_file(first, out_path, pm_recipe_find("Q8_0"));
    const pm_quantize_params onto = {.in_path = first, .out_path = second, .type = "Q8_0"};
    fails(pm_quantize(&onto, NULL), PM_ERR_ARG, "the output is the input");
    unlink(first);
    unlink(second);
    unlink(out_path);
}

/* ---------------------------------------------------------------- refusals */

static void values_that_are_not_finite_name_the_tensor(void **state)
{
    (void)state;
    static const struct { const char *tensor; uint64_t at; float value; const char *said; } bad[] = {
        {"output.weight", 512 * 69 + 511, NAN, "tensor output.weight: value 511 of row 69 is"},
        {"blk.0.attn_v.weight", 256, INFINITY, "tensor blk.0.attn_v.weight: value 0 of row 1 is inf"},
        {"blk.0.attn_norm.weight", 3, -INFINITY, "tensor blk.0.attn_norm.weight: value 3 of row 0 is -inf"},
        {"blk.0.ffn_up.weight", 34, 1e6f, "tensor blk.0.ffn_up.weight: value 1 of row 1 is 1e+06, which F16 cannot hold"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_whole(bad[i].tensor, bad[i].at, bad[i].value);
        fails(quantize("Q4_0", out_path, 2), PM_ERR_FORMAT, bad[i].said);
        assert_int_equal(count_files(), 1);
    }
    write_whole(NULL, 0, 0.0f);
}

static void the_input_is_never_the_output(void **state)
{
    (void)state;
    fails(quantize("Q8_0", in_path, 1), PM_ERR_ARG, "the output is the input");
    assert_int_equal(link(in_path, out_path), 0);
    fails(quantize("Q8_0", out_path, 1), PM_ERR_ARG, "the output is the input");
    unlink(out_path);
    assert_int_equal(symlink(in_path, out_path), 0);
    fails(quantize("Q8_0", out_path, 1), PM_ERR_ARG, "the output is the input");
    unlink(out_path);
    fails(quantize("Q8_0", folder, 1), PM_ERR_IO, "not a regular file");
    fails(quantize("Q8_0", "/dev/full", 1), PM_ERR_IO, "not a regular file");
    fails(quantize("Q8_0", "/nonexistent/x", 1), PM_ERR_IO, "cannot create");
    assert_int_equal(count_files(), 1);
}

static void types_that_cannot_be_made_are_said(void **state)
{
    (void)state;
    fails(quantize("IQ2_XXS", out_path, 1), PM_ERR_UNSUP, "read, not made");
    fails(quantize("iq3_m", out_path, 1), PM_ERR_UNSUP, "Q4_K_M");
    fails(quantize("Q9_0", out_path, 1), PM_ERR_ARG, "expected one of");
    fails(quantize("", out_path, 1), PM_ERR_ARG, "expected one of");
    assert_int_equal(count_files(), 1);
}

static void quantised_tensors_are_refused_unless_asked_for(void **state)
{
    (void)state;
    ok(quantize("Q8_0", out_path, 1));
    pm_quantize_params p = {.in_path = out_path, .out_path = other_path, .type = "Q4_0"};
    fails(pm_quantize(&p, NULL), PM_ERR_UNSUP, "token_embd.weight is already quantised, to Q8_0");
    assert_int_equal(count_files(), 2);
    p.requantize = true;
    ok(pm_quantize(&p, NULL));
    p.type = "Q8_0"; /* what stays is no second quantisation */
    p.requantize = false;
    ok(pm_quantize(&p, NULL));
    assert_true(same_file(out_path, other_path));
    unlink(out_path);
    unlink(other_path);
}

/* ------------------------------------------------------------------ faults */

static bool stop_later(void *context, double fraction)
{
    return fraction < *(const double *)context;
}

static void a_stop_leaves_nothing(void **state)
{
    (void)state;
    double until[] = {0.0, 0.3, 0.99};
    for (size_t i = 0; i < sizeof(until) / sizeof(until[0]); i++) {
        const pm_quantize_params p = {.in_path = in_path, .out_path = out_path, .type = "Q8_0",
                                      .progress = stop_later, .context = &until[i]};
        fails(pm_quantize(&p, NULL), PM_ERR_STATE, "stopped");
        assert_int_equal(count_files(), 1);
    }
}

static void a_write_that_fails_leaves_the_old_file(void **state)
{
    (void)state;
    ok(quantize("Q8_0", out_path, 1));
    ok(quantize("Q8_0", other_path, 1));
    pm_quantize_summary summary;
    const pm_quantize_params p = {.in_path = in_path, .out_path = other_path, .type = "Q4_0"};
    ok(pm_quantize(&p, &summary));
    ok(quantize("Q8_0", other_path, 1));
    struct rlimit old, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (uint64_t bytes = 0; bytes < summary.file_bytes_out; bytes += 1 + summary.file_bytes_out / 23) {
        limit = (struct rlimit){bytes, old.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        const pm_result result = pm_quantize(&p, NULL);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        fails(result, PM_ERR_IO, "other.gguf: cannot write");
        assert_int_equal(count_files(), 3);
        assert_true(same_file(out_path, other_path));
    }
    unlink(out_path);
    unlink(other_path);
}

static void write_older_matrix(const char *path);

static void any_allocation_may_fail(void **state)
{
    (void)state;
    write_older_matrix(matrix_path);
    const pm_quantize_params p = {.in_path = in_path, .out_path = out_path, .type = "Q4_K_M", .jobs = 1,
                                  .imatrix_path = matrix_path};
    uint64_t before = pm_alloc_count();
    ok(pm_quantize(&p, NULL));
    const uint64_t count = pm_alloc_count() - before;
    unlink(out_path);
    assert_true(count > 20 && count < 1000);
    for (uint64_t n = 1; n <= count; n++) {
        pm_alloc_fail_at(pm_alloc_count() + n);
        fails(pm_quantize(&p, NULL), PM_ERR_NOMEM, "cannot");
        assert_int_equal(count_files(), 2);
    }
    pm_alloc_fail_at(0);
    unlink(matrix_path);
}

/* ------------------------------------------------------ importance matrices */

static float importance_of(const char *name, uint64_t i)
{
    return (float)((pm_hash64(name, strlen(name), i + 1) >> 40) + 1) / 65536.0f;
}

typedef struct bytes {
    uint8_t data[1 << 16];
    size_t len;
} bytes;

static void add(bytes *b, const void *data, size_t len)
{
    assert_true(b->len + len <= sizeof(b->data));
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void add_i32(bytes *b, int32_t x)
{
    add(b, &x, 4);
}

static void add_entry(bytes *b, const char *name, int32_t calls, uint64_t count)
{
    add_i32(b, (int32_t)strlen(name));
    add(b, name, strlen(name));
    add_i32(b, calls);
    add_i32(b, (int32_t)count);
    for (uint64_t i = 0; i < count; i++) {
        const float sum = importance_of(name, i) * (float)calls;
        add(b, &sum, 4);
    }
}

/* Everything but the output. */
static void fill_older_matrix(bytes *b)
{
    b->len = 0;
    add_i32(b, 3);
    add_entry(b, "blk.0.attn_q.weight", 4, 256);
    add_entry(b, "blk.0.ffn_gate_exps.weight", 4, 3 * 256);
    add_entry(b, "blk.0.ffn_down.weight", 4, 96);
    add_i32(b, 12);
    add_i32(b, 8);
    add(b, "calib.tx", 8);
}

static void write_older_matrix(const char *path)
{
    static bytes b;
    fill_older_matrix(&b);
    ok(pm_file_write_atomic(path, b.data, b.len));
}

static void write_gguf_matrix(const char *path, float rows, const char *type, uint64_t counts)
{
    static const struct { const char *name; uint64_t k, experts; } entries[] = {
        {"blk.0.attn_q.weight", 256, 1}, {"blk.0.ffn_gate_exps.weight", 256, 3}, {"blk.0.ffn_down.weight", 96, 1}};
    static const uint8_t dataset[] = "\10\0\0\0\0\0\0\0calib.tx";
    const pm_gguf_value datasets = {"imatrix.datasets", PM_GGUF_ARRAY, PM_GGUF_STRING, 1, dataset, 16};
    pm_gguf_writer *w = NULL;
    uint64_t total;
    ok(pm_gguf_writer_open(path, 32, &w));
    ok(pm_gguf_writer_text(w, "general.type", type));
    ok(pm_gguf_writer_u32(w, "imatrix.chunk_count", 12));
    ok(pm_gguf_writer_copy(w, &datasets));
    for (int i = 0; i < 3; i++) {
        char name[64];
        const uint64_t sums[4] = {entries[i].k, entries[i].experts, 1, 1}, rows_shape[4] = {counts, entries[i].experts, 1, 1};
        snprintf(name, sizeof(name), "%s.in_sum2", entries[i].name);
        ok(pm_gguf_writer_tensor(w, name, 2, sums, PM_DTYPE_F32));
        snprintf(name, sizeof(name), "%s.counts", entries[i].name);
        ok(pm_gguf_writer_tensor(w, name, 2, rows_shape, PM_DTYPE_F32));
    }
    for (int i = 0; i < 3; i++) {
        for (uint64_t e = 0; e < entries[i].k * entries[i].experts; e++) {
            const float sum = importance_of(entries[i].name, e) * rows;
            ok(pm_gguf_writer_data(w, &sum, 4));
        }
        for (uint64_t e = 0; e < entries[i].experts * counts; e++)
            ok(pm_gguf_writer_data(w, &rows, 4));
    }
    ok(pm_gguf_writer_commit(w, &total));
    pm_gguf_writer_close(w);
}

static void both_forms_say_the_same(void **state)
{
    (void)state;
    pm_quantize_summary summary;
    const pm_quantize_params p = {.in_path = in_path, .out_path = out_path, .type = "Q4_K", .imatrix_path = matrix_path};
    pm_quantize_params q = p;
    q.out_path = other_path;
    write_older_matrix(matrix_path);
    ok(pm_quantize(&p, &summary));
    assert_int_equal(summary.without_importance, 3); /* embedding, attn_v, output; ffn_up is F16 */
    write_gguf_matrix(matrix_path, 4.0f, "imatrix", 1);
    ok(pm_quantize(&q, NULL));
    assert_true(same_file(out_path, other_path));

    pm_gguf *g = NULL;
    pm_gguf_string dataset = {0};
    uint32_t entries = 0, chunks = 0;
    ok(pm_gguf_open(out_path, &g));
    ok(pm_gguf_get_string(g, "quantize.imatrix.dataset", &dataset));
    assert_true(dataset.len == 8 && memcmp(dataset.data, "calib.tx", 8) == 0);
    ok(pm_gguf_get_u32(g, "quantize.imatrix.entries_count", 0, 99, &entries));
    ok(pm_gguf_get_u32(g, "quantize.imatrix.chunks_count", 0, 99, &chunks));
    assert_true(entries == 3 && chunks == 12);
    /* Each row of each expert, with the importance of its own columns. */
    const pm_gguf_tensor *t = pm_gguf_tensor_find(g, "blk.0.ffn_gate_exps.weight");
    pm_gguf *from = NULL;
    ok(pm_gguf_open(in_path, &from));
    const pm_gguf_tensor *s = pm_gguf_tensor_find(from, t->name);
    for (uint64_t row = 0; row < 15; row++) {
        float x[256], importance[256];
        uint8_t block[144];
        pm_dequant_row(s->type, (const uint8_t *)s->data + row * 512, x, 256);
        for (uint64_t i = 0; i < 256; i++)
            importance[i] = importance_of(t->name, row / 5 * 256 + i);
        pm_quant_row(PM_DTYPE_Q4_K, x, importance, block, 256);
        assert_memory_equal(block, (const uint8_t *)t->data + row * 144, 144);
    }
    pm_gguf_close(from);
    pm_gguf_close(g);

    ok(quantize("Q4_K", other_path, 1));
    assert_false(same_file(out_path, other_path));
    q.out_path = matrix_path;
    fails(pm_quantize(&q, NULL), PM_ERR_ARG, "the output is the importance matrix");
    unlink(out_path);
    unlink(other_path);
    unlink(matrix_path);
}

static void refuses(const bytes *b, const char *part_of_message)
{
    uint8_t *exact = malloc(b->len > 0 ? b->len : 1);
    pm_imatrix *m = NULL;
    assert_non_null(exact);
    memcpy(exact, b->data, b->len);
    fails(pm_imatrix_open_memory(exact, b->len, "matrix", &m), PM_ERR_FORMAT, part_of_message);
    free(exact);
}

static void malformed_matrices_are_refused(void **state)
{
    (void)state;
    static bytes b;
    static const float bad[] = {NAN, INFINITY, -1.0f};
    const float *none;
    pm_imatrix *m = NULL;
    fill_older_matrix(&b);
    const size_t whole = b.len;
    for (size_t len = 0; len < whole; len++) {
        if (len == whole - 16)
            continue; /* the files of old end there */
        b.len = len;
        refuses(&b, "matrix: ");
    }
    b.len = whole - 16;
    ok(pm_imatrix_open_memory(b.data, b.len, "matrix", &m));
    assert_int_equal(pm_imatrix_count(m), 3);
    ok(pm_imatrix_find(m, "blk.0.attn_v.weight", 256, 1, &none));
    assert_null(none);
    fails(pm_imatrix_find(m, "blk.0.attn_q.weight", 128, 1, &none), PM_ERR_FORMAT, "has 256 values");
    fails(pm_imatrix_find(m, "blk.0.attn_q.weight", UINT64_MAX / 2, 3, &none), PM_ERR_FORMAT, "has 256 values");
    pm_imatrix_close(m);
    b.len = whole;
    add(&b, "", 1);
    refuses(&b, "1 bytes after the end");
    for (size_t i = 0; i < 3; i++) {
        fill_older_matrix(&b);
        memcpy(b.data + 4 + 4 + 19 + 8 + 4 * 17, &bad[i], 4);
        refuses(&b, "blk.0.attn_q.weight: value 17 is");
    }
    static const struct { size_t at; int32_t value; const char *said; } fields[] = {
        {0, 0, "the number of tensors"}, {0, -1, "the number of tensors"}, {0, INT32_MAX, "do not fit"},
        {4, 0, "the length of a name"}, {4, 1 << 20, "the length of a name"}, {27, -1, "the calls"},
        {31, 0, "the number of values"}, {31, INT32_MAX, "needs"}, {8, 0, "NUL"}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        fill_older_matrix(&b);
        memcpy(b.data + fields[i].at, &fields[i].value, 4);
        refuses(&b, fields[i].said);
    }
    b.len = 0;
    add_i32(&b, 2);
    add_entry(&b, "twice", 1, 4);
    add_entry(&b, "twice", 1, 4);
    refuses(&b, "twice is there twice");

    write_gguf_matrix(matrix_path, 4.0f, "model", 1);
    fails(pm_imatrix_open(matrix_path, &m), PM_ERR_FORMAT, "expected 'imatrix'");
    write_gguf_matrix(matrix_path, 4.0f, "imatrix", 2);
    fails(pm_imatrix_open(matrix_path, &m), PM_ERR_FORMAT, "has 2 counts, expected 1");
    write_gguf_matrix(matrix_path, -4.0f, "imatrix", 1);
    fails(pm_imatrix_open(matrix_path, &m), PM_ERR_FORMAT, "was counted -4 times");
    write_gguf_matrix(matrix_path, NAN, "imatrix", 1);
    fails(pm_imatrix_open(matrix_path, &m), PM_ERR_FORMAT, "was counted");
    write_gguf_matrix(matrix_path, 0.0f, "imatrix", 1);
    ok(pm_imatrix_open(matrix_path, &m));
    ok(pm_imatrix_find(m, "blk.0.ffn_down.weight", 96, 1, &none));
    assert_true(none[0] == 1.0f && none[95] == 1.0f); /* never seen: even */
    pm_imatrix_close(m);
    unlink(matrix_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_keeps_the_metadata_and_makes_the_tensors),
        cmocka_unit_test(small_tensors_and_those_that_do_not_fit_are_kept_or_fall_back),
        cmocka_unit_test(recipes_know_importance_experts_and_falcon),
        cmocka_unit_test(the_number_of_jobs_changes_nothing),
        cmocka_unit_test(a_tensor_of_many_chunks_is_whole),
        cmocka_unit_test(split_files_become_one),
        cmocka_unit_test(values_that_are_not_finite_name_the_tensor),
        cmocka_unit_test(the_input_is_never_the_output),
        cmocka_unit_test(types_that_cannot_be_made_are_said),
        cmocka_unit_test(quantised_tensors_are_refused_unless_asked_for),
        cmocka_unit_test(a_stop_leaves_nothing),
        cmocka_unit_test(a_write_that_fails_leaves_the_old_file),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(both_forms_say_the_same),
        cmocka_unit_test(malformed_matrices_are_refused),
    };
    return cmocka_run_group_tests_name("quantize", tests, setup, teardown);
}

/* model/quantize.c - pm_quantize() of pumice.h: a model file with its matrices in another type.
 *
 * Tensors go through in the order of the file, in chunks of elements that bound the memory; a
 * chunk is cut into units of a fixed size, which run on any thread. Blocks depend on nothing
 * outside them, and the units' sums of errors are added in order, so that the result does not
 * depend on the number of threads. */
#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"
#include "base/thread.h"
#include "gguf/imatrix.h"
#include "gguf/quant.h"
#include "gguf/writer.h"
#include "model/recipe.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum {
    PIECE = 2048,                  /* elements that are f32 at a time, a multiple of every block */
    UNIT = 8 * PIECE,
    CHUNK_UNITS = 128,             /* 2 Mi elements: enough for 32 threads to be worth making */
    COPY_BYTES = 4 << 20,
    QUANTIZATION_VERSION = 2,      /* of the block formats, a fact of the format */
};

/* What becomes of one tensor. */
typedef struct choice {
    const pm_gguf_tensor *tensor;
    pm_dtype type, wanted;         /* they differ where rows do not fit */
    const float *importance;       /* [experts][k], or NULL */
} choice;

typedef struct job {
    const pm_quantize_params *params;
    const pm_recipe *recipe;
    pm_gguf *gguf;
    pm_imatrix *imatrix;           /* NULL = none */
    pm_gguf_writer *writer;
    choice *choices;               /* [tensor count] */
    uint8_t *blocks;               /* of one chunk */
    uint64_t bytes_total, bytes_done;
    pm_quantize_summary summary;
} job;

bool pm_quantize_type(size_t index, const char **name, const char **text)
{
    const pm_recipe *r = pm_recipe_at(index);
    if (r == NULL)
        return false;
    *name = r->name;
    *text = r->text;
    return true;
}

/* ----------------------------------------------------------------- params */

static pm_result list_types(pm_str *list)
{
    for (size_t i = 0; pm_recipe_at(i) != NULL; i++)
        PM_TRY(pm_str_append_format(list, "%s%s", i > 0 ? ", " : "", pm_recipe_at(i)->name));
    return PM_OK;
}

static pm_result unknown_type(const char *type)
{
    const bool is_codebook = strncasecmp(type, "IQ1", 3) == 0 || strncasecmp(type, "IQ2", 3) == 0 ||
                             strncasecmp(type, "IQ3", 3) == 0 || strncasecmp(type, "TQ", 2) == 0;
    pm_str list = {0};
    pm_result result = list_types(&list);
    if (result == PM_OK && is_codebook)
        result = pm_fail(PM_ERR_UNSUP, "type %s: codebook types are read, not made; expected one of %s", type, list.data);
    else if (result == PM_OK)
        result = pm_fail(PM_ERR_ARG, "type '%s': expected one of %s", type, list.data);
    pm_str_finish(&list);
    return result;
}

static pm_result check_params(job *j)
{
    const pm_quantize_params *p = j->params;
    if (p->in_path == NULL || p->out_path == NULL || p->type == NULL)
        return pm_fail(PM_ERR_ARG, "in_path, out_path and type are required");
    if (p->jobs > 32)
        return pm_fail(PM_ERR_ARG, "%u jobs, expected 0 to 32", p->jobs);
    j->recipe = pm_recipe_find(p->type);
    return j->recipe != NULL ? PM_OK : unknown_type(p->type);
}

/* ---------------------------------------------------------------- choices */

static bool is_float(pm_dtype type)
{
    return type == PM_DTYPE_F32 || type == PM_DTYPE_F16 || type == PM_DTYPE_BF16;
}

static bool is_blocks(pm_dtype type)
{
    return pm_dtype_get(type)->block > 1;
}

static pm_result choose(job *j, const pm_recipe_model *model, const pm_gguf_tensor *t, choice *c)
{
    *c = (choice){.tensor = t, .type = t->type, .wanted = t->type};
    if (!pm_recipe_applies(t) || (!is_float(t->type) && !is_blocks(t->type)))
        return PM_OK;
    c->wanted = pm_recipe_pick(j->recipe, model, t->name, j->params->pure);
    c->type = pm_recipe_fit(c->wanted, t->shape[0]);
    if (c->type != t->type && !is_float(t->type)) {
        if (!pm_dtype_can_dequant(t->type))
            return pm_fail(PM_ERR_UNSUP, "%s: tensor %s has type %s, which this build cannot make values of",
                           j->params->in_path, t->name, pm_dtype_get(t->type)->name);
        if (!j->params->requantize)
            return pm_fail(PM_ERR_UNSUP, "%s: tensor %s is already quantised, to %s: start from F32, F16 or BF16, or "
                           "take the added error with --requantize", j->params->in_path, t->name,
                           pm_dtype_get(t->type)->name);
    }
    if (j->imatrix != NULL && is_blocks(c->type) && c->type != t->type) {
        PM_TRY(pm_imatrix_find(j->imatrix, t->name, t->shape[0], t->shape[2] * t->shape[3], &c->importance));
        j->summary.without_importance += c->importance == NULL;
    }
    j->summary.fallbacks += c->type != c->wanted;
    return PM_OK;
}

static pm_result choose_all(job *j)
{
    const uint64_t count = pm_gguf_tensor_count(j->gguf);
    pm_recipe_model model;
    PM_TRY(pm_recipe_model_read(j->gguf, j->imatrix != NULL, &model));
    j->choices = pm_alloc(count, sizeof(*j->choices), "quantisation");
    if (j->choices == NULL)
        return PM_ERR_NOMEM;
    for (uint64_t i = 0; i < count; i++) {
        choice *c = &j->choices[i];
        PM_TRY(choose(j, &model, pm_gguf_tensor_at(j->gguf, i), c));
        const pm_gguf_tensor *t = c->tensor;
        j->bytes_total += t->bytes;
        j->summary.parameters += t->bytes / pm_dtype_get(t->type)->bytes * pm_dtype_get(t->type)->block;
        j->summary.changed += c->type != t->type;
    }
    j->summary.tensors = count;
    j->summary.bytes_in = j->bytes_total;
    j->summary.file_bytes_in = pm_gguf_file_bytes(j->gguf);
    return PM_OK;
}

/* -------------------------------------------------------------- directory */

/* Keys that are written anew, or that make no sense in one whole file. */
static bool is_replaced(const job *j, const char *key)
{
    static const char *const always[] = {"general.file_type", "general.quantization_version", "split.no", "split.count",
                                         "split.tensors.count"};
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        if (strcmp(key, always[i]) == 0)
            return true;
    return j->imatrix != NULL && strncmp(key, "quantize.imatrix.", 17) == 0;
}

static pm_result write_values(job *j)
{
    for (uint64_t i = 0; i < pm_gguf_value_count(j->gguf); i++) {
        const pm_gguf_value *v = pm_gguf_value_at(j->gguf, i);
        if (!is_replaced(j, v->key))
            PM_TRY(pm_gguf_writer_copy(j->writer, v));
    }
    PM_TRY(pm_gguf_writer_u32(j->writer, "general.file_type", j->recipe->file_type));
    PM_TRY(pm_gguf_writer_u32(j->writer, "general.quantization_version", QUANTIZATION_VERSION));
    if (j->imatrix == NULL)
        return PM_OK;
    const char *slash = strrchr(j->params->imatrix_path, '/');
    PM_TRY(pm_gguf_writer_text(j->writer, "quantize.imatrix.file", slash != NULL ? slash + 1 : j->params->imatrix_path));
    if (pm_imatrix_dataset(j->imatrix)[0] != '\0')
        PM_TRY(pm_gguf_writer_text(j->writer, "quantize.imatrix.dataset", pm_imatrix_dataset(j->imatrix)));
    PM_TRY(pm_gguf_writer_u32(j->writer, "quantize.imatrix.entries_count", (uint32_t)pm_imatrix_count(j->imatrix)));
    return pm_gguf_writer_u32(j->writer, "quantize.imatrix.chunks_count", pm_imatrix_chunks(j->imatrix));
}

/* Checked here, since a wider type may make of a shape that fits 63 bits one that does not. */
static pm_result write_directory(job *j)
{
    PM_TRY(write_values(j));
    for (uint64_t i = 0; i < j->summary.tensors; i++) {
        const choice *c = &j->choices[i];
        const pm_gguf_tensor *t = c->tensor;
        if (t->bytes / pm_dtype_get(t->type)->bytes * pm_dtype_get(t->type)->block > INT64_MAX / 8)
            return pm_fail(PM_ERR_UNSUP, "tensor %s has %llu bytes, more than can be written", t->name,
                           (unsigned long long)t->bytes);
        PM_TRY(pm_gguf_writer_tensor(j->writer, t->name, t->dims, t->shape, c->type));
    }
    return PM_OK;
}

/* ------------------------------------------------------------------- data */

/* Elements [first, first + count) of a tensor. */
typedef struct chunk {
    const choice *what;
    uint64_t first, count;
    uint8_t *blocks;
    double errors[CHUNK_UNITS], squares[CHUNK_UNITS]; /* of each unit */
} chunk;

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* One piece, inside one row: to values, checked, to blocks, and back for the error. */
static pm_result convert_piece(chunk *c, uint64_t at, uint64_t count, double *error, double *square)
{
    float x[PIECE], y[PIECE];
    const pm_gguf_tensor *t = c->what->tensor;
    const pm_dtype type = c->what->type;
    const uint64_t k = t->shape[0], expert = at / k / t->shape[1];
    const float *importance = c->what->importance;
    uint8_t *blocks = c->blocks + pm_dtype_row_bytes(type, at - c->first);
    pm_dequant_row(t->type, (const uint8_t *)t->data + pm_dtype_row_bytes(t->type, at), x, count);
    const uint64_t bad = pm_quant_bad_value(type, x, count);
    if (bad < count)
        return pm_fail(PM_ERR_FORMAT, "tensor %s: value %llu of row %llu is %g, which %s cannot hold", t->name,
                       (unsigned long long)(at % k + bad), (unsigned long long)(at / k), (double)x[bad],
                       pm_dtype_get(type)->name);
    pm_quant_row(type, x, importance != NULL ? importance + expert * k + at % k : NULL, blocks, count);
    pm_dequant_row(type, blocks, y, count);
    for (uint64_t i = 0; i < count; i++) {
        const double off = (double)x[i] - (double)y[i];
        *error += off * off;
        *square += (double)x[i] * (double)x[i];
    }
    return PM_OK;
}

static pm_result convert_unit(void *context, uint32_t index)
{
    chunk *c = context;
    const uint64_t k = c->what->tensor->shape[0], end = c->first + least(c->count, ((uint64_t)index + 1) * UNIT);
    double error = 0.0, square = 0.0;
    for (uint64_t at = c->first + (uint64_t)index * UNIT; at < end;) {
        const uint64_t count = least(least(PIECE, end - at), k - at % k);
        PM_TRY(convert_piece(c, at, count, &error, &square));
        at += count;
    }
    c->errors[index] = error;
    c->squares[index] = square;
    return PM_OK;
}

static pm_result progress(job *j, uint64_t bytes)
{
    j->bytes_done += bytes;
    const double fraction = (double)j->bytes_done / (double)j->bytes_total;
    if (j->params->progress != NULL && !j->params->progress(j->params->context, fraction))
        return pm_fail(PM_ERR_STATE, "%s: stopped before it was complete", j->params->out_path);
    return PM_OK;
}

static pm_result convert_tensor(job *j, const choice *what, double *error)
{
    const pm_gguf_tensor *t = what->tensor;
    const pm_dtype_info *from = pm_dtype_get(t->type);
    const uint64_t elements = t->bytes / from->bytes * from->block;
    double errors = 0.0, squares = 0.0;
    for (uint64_t at = 0; at < elements; at += (uint64_t)CHUNK_UNITS * UNIT) {
        chunk c = {.what = what, .first = at, .blocks = j->blocks};
        c.count = least((uint64_t)CHUNK_UNITS * UNIT, elements - at);
        const uint32_t units = (uint32_t)((c.count + UNIT - 1) / UNIT);
        PM_TRY(pm_thread_for(j->params->jobs, units, convert_unit, &c));
        for (uint32_t u = 0; u < units; u++) {
            errors += c.errors[u];
            squares += c.squares[u];
        }
        PM_TRY(pm_gguf_writer_data(j->writer, c.blocks, pm_dtype_row_bytes(what->type, c.count)));
        PM_TRY(progress(j, pm_dtype_row_bytes(t->type, c.count)));
    }
    *error = squares > 0.0 ? sqrt(errors / squares) : 0.0;
    return PM_OK;
}

static pm_result copy_tensor(job *j, const pm_gguf_tensor *t)
{
    for (uint64_t at = 0; at < t->bytes;) {
        const uint64_t bytes = least(COPY_BYTES, t->bytes - at);
        PM_TRY(pm_gguf_writer_data(j->writer, (const uint8_t *)t->data + at, bytes));
        PM_TRY(progress(j, bytes));
        at += bytes;
    }
    return PM_OK;
}

static pm_result write_tensor(job *j, const choice *c)
{
    const pm_gguf_tensor *t = c->tensor;
    const pm_dtype_info *from = pm_dtype_get(t->type), *to = pm_dtype_get(c->type);
    pm_quantize_tensor told = {.name = t->name, .from = from->name, .to = to->name, .dims = t->dims,
                               .bytes_in = t->bytes, .bytes_out = t->bytes / from->bytes * from->block / to->block * to->bytes,
                               .has_importance = c->importance != NULL};
    told.wanted = c->wanted != c->type ? pm_dtype_get(c->wanted)->name : NULL;
    memcpy(told.shape, t->shape, sizeof(told.shape));
    /* Numbers that stay as they are pass through all the same: what is not finite is found. */
    if (is_float(t->type) || c->type != t->type)
        PM_TRY(convert_tensor(j, c, &told.error));
    else
        PM_TRY(copy_tensor(j, t));
    j->summary.bytes_out += told.bytes_out;
    if (j->params->report != NULL)
        j->params->report(j->params->context, &told);
    return PM_OK;
}

/* Replacing a file that is being read would destroy the only good copy. */
static pm_result check_output(const job *j)
{
    const pm_quantize_params *p = j->params;
    pm_file_map map;
    if (pm_gguf_is(j->gguf, p->out_path))
        return pm_fail(PM_ERR_ARG, "%s: the output is the input", p->out_path);
    if (p->imatrix_path == NULL)
        return PM_OK;
    PM_TRY(pm_file_map_open(p->imatrix_path, &map));
    const bool same = pm_file_map_is(&map, p->out_path);
    pm_file_map_close(&map);
    return same ? pm_fail(PM_ERR_ARG, "%s: the output is the importance matrix", p->out_path) : PM_OK;
}

static pm_result run(job *j)
{
    PM_TRY(check_params(j));
    PM_TRY(pm_gguf_open(j->params->in_path, &j->gguf));
    if (j->params->imatrix_path != NULL)
        PM_TRY(pm_imatrix_open(j->params->imatrix_path, &j->imatrix));
    PM_TRY(check_output(j));
    PM_TRY(choose_all(j));
    j->blocks = pm_alloc((size_t)CHUNK_UNITS * UNIT, sizeof(float), "quantisation"); /* F32 is the widest */
    if (j->blocks == NULL)
        return PM_ERR_NOMEM;
    PM_TRY(pm_gguf_writer_open(j->params->out_path, pm_gguf_alignment(j->gguf), &j->writer));
    PM_TRY(write_directory(j));
    for (uint64_t i = 0; i < j->summary.tensors; i++)
        PM_TRY(write_tensor(j, &j->choices[i]));
    return pm_gguf_writer_commit(j->writer, &j->summary.file_bytes_out);
}

pm_result pm_quantize(const pm_quantize_params *params, pm_quantize_summary *out)
{
    job j = {.params = params};
    const pm_result result = run(&j);
    pm_gguf_writer_close(j.writer);
    pm_free(j.blocks);
    pm_free(j.choices);
    pm_imatrix_close(j.imatrix);
    pm_gguf_close(j.gguf);
    if (result == PM_OK && out != NULL) {
        *out = j.summary;
        if (out->parameters > 0)
            out->bits_per_weight = 8.0 * (double)out->bytes_out / (double)out->parameters;
    }
    return result;
}

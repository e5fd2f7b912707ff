/* model/weights.c - upload and repack.
 *
 * Three passes: describe (every tensor gets a place, every shape is checked), allocate
 * (places become slices of a few large buffers), fill (file bytes go through a staging
 * buffer on the device and a packing shader into their place; on a CPU driver, whose memory is the
 * host's own, the host packs them there).
 */
#include "model/weights.h"

#include "base/alloc.h"
#include "base/thread.h"
#include "model/rope.h"
#include "op/pack_host.h"
#include "vk/upload.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BUFFER_BYTES (UINT64_C(512) << 20) /* a buffer takes places until it is this full, or the device's limit */
#define STAGING_BYTES (UINT64_C(64) << 20)
#define PLACE_ALIGN 256u
#define PART_ROWS 512u             /* of a matrix, packed by one thread */

/* Device memory that something wants. */
typedef struct load_place {
    pm_slice *slot;
    uint64_t bytes;
} load_place;

/* A tensor and where its values go: rows of a packed matrix, or floats of a vector. */
typedef struct load_job {
    const pm_gguf_tensor *tensor;
    const pm_weight *weight;       /* NULL = a vector */
    uint32_t row_base;             /* of the matrix */
    const pm_slice *vector;
    uint64_t vector_offset;        /* bytes */
} load_job;

typedef struct loader {
    pm_vk_device *device;
    const pm_gguf *gguf;
    const pm_hparams *hparams;
    pm_weights *weights;
    load_place *places;
    uint32_t place_count, place_capacity;
    load_job *jobs;
    uint32_t job_count, job_capacity;
    pm_progress *progress;
    void *progress_context;
    bool give_way;
    uint64_t done_bytes, total_bytes; /* of tensor data */
} loader;

/* -------------------------------------------------------------- describe */

static pm_result add_place(loader *l, pm_slice *slot, uint64_t bytes)
{
    if (l->place_count == l->place_capacity) {
        const uint32_t capacity = l->place_capacity ? l->place_capacity * 2 : 256;
        load_place *grown = pm_realloc(l->places, capacity, sizeof(*grown), "weight places");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        l->places = grown;
        l->place_capacity = capacity;
    }
    l->places[l->place_count++] = (load_place){slot, (bytes + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN};
    return PM_OK;
}

static pm_result add_job(loader *l, load_job job)
{
    if (l->job_count == l->job_capacity) {
        const uint32_t capacity = l->job_capacity ? l->job_capacity * 2 : 256;
        load_job *grown = pm_realloc(l->jobs, capacity, sizeof(*grown), "weight jobs");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        l->jobs = grown;
        l->job_capacity = capacity;
    }
    l->jobs[l->job_count++] = job;
    l->total_bytes += job.tensor->bytes;
    return PM_OK;
}

/* "blk.3.attn_q.weight" for layer 3; layer < 0: the suffix alone. */
static const pm_gguf_tensor *find(const loader *l, int layer, const char *suffix, char name[128])
{
    if (layer < 0)
        snprintf(name, 128, "%s", suffix);
    else
        snprintf(name, 128, "blk.%d.%s", layer, suffix);
    return pm_gguf_tensor_find(l->gguf, name);
}

/* The tensor with shape [k, n] (innermost first), or [k] when n is 0. */
static pm_result need(const loader *l, int layer, const char *suffix, uint64_t k, uint64_t n,
                      const pm_gguf_tensor **out)
{
    char name[128];
    const pm_gguf_tensor *tensor = find(l, layer, suffix, name);
    if (tensor == NULL)
        return pm_fail(PM_ERR_FORMAT, "%s: tensor %s is missing", pm_gguf_path(l->gguf), name);
    if (tensor->shape[0] != k || tensor->shape[1] != (n == 0 ? 1 : n) || tensor->shape[2] != 1 || tensor->shape[3] != 1)
        return pm_fail(PM_ERR_FORMAT, "%s: tensor %s has shape [%llu,%llu,%llu,%llu], expected [%llu,%llu,1,1]",
                       pm_gguf_path(l->gguf), name, (unsigned long long)tensor->shape[0],
                       (unsigned long long)tensor->shape[1], (unsigned long long)tensor->shape[2],
                       (unsigned long long)tensor->shape[3], (unsigned long long)k,
                       (unsigned long long)(n == 0 ? 1 : n));
    *out = tensor;
    return PM_OK;
}

static pm_result add_vector(loader *l, int layer, const char *suffix, uint32_t count, pm_slice *slot)
{
    const pm_gguf_tensor *tensor = NULL;
    PM_TRY(need(l, layer, suffix, count, 0, &tensor));
    if (!pm_dtype_can_dequant(tensor->type))
        return pm_fail(PM_ERR_UNSUP, "%s: tensor %s has type %s", pm_gguf_path(l->gguf), tensor->name,
                       pm_dtype_get(tensor->type)->name);
    PM_TRY(add_place(l, slot, (uint64_t)count * 4));
    return add_job(l, (load_job){.tensor = tensor, .vector = slot});
}

/* One source of a fused map: "attn_q" with n outputs. */
typedef struct linear_source {
    const char *stem;
    uint32_t n;
} linear_source;

/* Stacks the sources' rows: neighbours of one type share a packed matrix. */
static pm_result add_linear(loader *l, int layer, const linear_source *sources, uint32_t count, uint32_t k,
                            pm_linear *linear)
{
    const pm_gguf_tensor *tensors[PM_LINEAR_PARTS] = {0}, *biases[PM_LINEAR_PARTS] = {0};
    bool has_bias = false;
    linear->k = k;
    for (uint32_t i = 0; i < count; i++) {
        char suffix[64], name[128];
        snprintf(suffix, sizeof(suffix), "%s.weight", sources[i].stem);
        PM_TRY(need(l, layer, suffix, k, sources[i].n, &tensors[i]));
        if (!pm_weight_supported(tensors[i]->type))
            return pm_fail(PM_ERR_UNSUP, "%s: tensor %s has type %s, which no kernel reads", pm_gguf_path(l->gguf),
                           tensors[i]->name, pm_dtype_get(tensors[i]->type)->name);
        snprintf(suffix, sizeof(suffix), "%s.bias", sources[i].stem);
        if (find(l, layer, suffix, name) != NULL) {
            PM_TRY(need(l, layer, suffix, sources[i].n, 0, &biases[i]));
            has_bias = true;
        }
    }
    if (has_bias) {
        uint32_t total = 0;
        for (uint32_t i = 0; i < count; i++)
            total += sources[i].n;
        PM_TRY(add_place(l, &linear->bias, (uint64_t)total * 4));
    }
    for (uint32_t i = 0; i < count; i++) {
        pm_weight *part = &linear->part[linear->part_count - (linear->part_count > 0)];
        if (linear->part_count == 0 || part->type != tensors[i]->type) {
            part = &linear->part[linear->part_count++];
            *part = (pm_weight){.type = tensors[i]->type, .k = k};
        }
        PM_TRY(add_job(l, (load_job){.tensor = tensors[i], .weight = part, .row_base = part->n}));
        if (biases[i] != NULL)
            PM_TRY(add_job(l, (load_job){.tensor = biases[i], .vector = &linear->bias,
                                         .vector_offset = (uint64_t)linear->n * 4}));
        part->n += sources[i].n;
        linear->n += sources[i].n;
    }
    for (uint32_t i = 0; i < linear->part_count; i++)
        PM_TRY(add_place(l, &linear->part[i].data,
                         pm_weight_bytes(linear->part[i].type, linear->part[i].n, linear->part[i].k)));
    return PM_OK;
}

static pm_result describe_layer(loader *l, int layer)
{
    const pm_hparams *h = l->hparams;
    pm_layer_weights *w = &l->weights->layers[layer];
    const uint32_t q = h->heads * h->head_dim, kv = h->kv_heads * h->head_dim;
    const linear_source qkv[] = {{"attn_q", q}, {"attn_k", kv}, {"attn_v", kv}};
    const linear_source out[] = {{"attn_output", h->dim}};
    const linear_source gate_up[] = {{"ffn_gate", h->hidden}, {"ffn_up", h->hidden}};
    const linear_source down[] = {{"ffn_down", h->dim}};
    PM_TRY(add_vector(l, layer, "attn_norm.weight", h->dim, &w->attention_norm));
    PM_TRY(add_linear(l, layer, qkv, 3, h->dim, &w->qkv));
    PM_TRY(add_linear(l, layer, out, 1, q, &w->attention_out));
    PM_TRY(add_vector(l, layer, "ffn_norm.weight", h->dim, &w->ffn_norm));
    PM_TRY(add_linear(l, layer, gate_up, 2, h->dim, &w->gate_up));
    return add_linear(l, layer, down, 1, h->hidden, &w->down);
}

static bool is_tied(const loader *l)
{
    return pm_gguf_tensor_find(l->gguf, "output.weight") == NULL;
}

static void tie(const loader *l)
{
    pm_weights *w = l->weights;
    if (is_tied(l))
        w->output = (pm_linear){.part = {w->embedding}, .part_count = 1, .n = w->embedding.n, .k = w->embedding.k};
}

static pm_result describe(loader *l, uint32_t context)
{
    const pm_hparams *h = l->hparams;
    pm_weights *w = l->weights;
    const pm_gguf_tensor *embedding = NULL;
    PM_TRY(need(l, -1, "token_embd.weight", h->dim, h->vocab, &embedding));
    if (!pm_weight_supported(embedding->type))
        return pm_fail(PM_ERR_UNSUP, "%s: tensor %s has type %s, which no kernel reads", pm_gguf_path(l->gguf),
                       embedding->name, pm_dtype_get(embedding->type)->name);
    w->embedding = (pm_weight){.type = embedding->type, .n = h->vocab, .k = h->dim};
    PM_TRY(add_place(l, &w->embedding.data, pm_weight_bytes(embedding->type, h->vocab, h->dim)));
    PM_TRY(add_job(l, (load_job){.tensor = embedding, .weight = &w->embedding}));
    if (!is_tied(l)) {
        const linear_source output[] = {{"output", h->vocab}};
        PM_TRY(add_linear(l, -1, output, 1, h->dim, &w->output));
    }
    PM_TRY(add_vector(l, -1, "output_norm.weight", h->dim, &w->output_norm));
    PM_TRY(add_place(l, &w->rope_table, pm_rope_table_bytes(h, context)));
    for (uint32_t i = 0; i < h->layers; i++)
        PM_TRY(describe_layer(l, (int)i));
    return PM_OK;
}

/* -------------------------------------------------------------- allocate */

static pm_result allocate(loader *l)
{
    pm_weights *w = l->weights;
    const uint64_t device_max = pm_vk_device_caps(l->device)->buffer_bytes_max;
    const uint64_t bytes_max = device_max < BUFFER_BYTES ? device_max : BUFFER_BYTES;
    w->buffers = pm_alloc(l->place_count, sizeof(*w->buffers), "weight buffers");
    if (w->buffers == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t first = 0, last; first < l->place_count; first = last) {
        uint64_t bytes = l->places[first].bytes;
        for (last = first + 1; last < l->place_count && bytes + l->places[last].bytes <= bytes_max; last++)
            bytes += l->places[last].bytes;
        pm_vk_buffer **buffer = &w->buffers[w->buffer_count];
        PM_TRY(pm_vk_buffer_create(l->device, bytes, PM_VK_DEVICE, "weights", buffer));
        pm_vk_buffer_use_all(*buffer);
        w->buffer_count++;
        w->bytes += bytes;
        uint64_t offset = 0;
        for (uint32_t i = first; i < last; i++) {
            *l->places[i].slot = pm_vk_buffer_slice(*buffer, offset, l->places[i].bytes);
            offset += l->places[i].bytes;
        }
    }
    tie(l);
    return PM_OK;
}

/* ------------------------------------------------------------------ fill */

static void report(loader *l, uint64_t bytes)
{
    l->done_bytes += bytes;
    if (l->progress != NULL)
        l->progress(l->progress_context, "weights", (double)l->done_bytes / (double)l->total_bytes);
}

static pm_result fill_vector(loader *l, const load_job *job)
{
    const uint64_t count = job->tensor->shape[0];
    float *values = pm_alloc(count, sizeof(*values), job->tensor->name);
    if (values == NULL)
        return PM_ERR_NOMEM;
    pm_dequant_row(job->tensor->type, job->tensor->data, values, count);
    const pm_result result =
        pm_vk_upload(l->device, pm_slice_part(*job->vector, job->vector_offset, count * 4), values, count * 4);
    pm_free(values);
    return result;
}

/* Packs what was recorded and empties the staging buffer. */
static pm_result flush(pm_vk_recorder *recorder, uint64_t *used)
{
    if (*used == 0)
        return PM_OK;
    pm_vk_commands *commands = NULL;
    PM_TRY(pm_vk_recorder_end(recorder, &commands));
    const pm_result result = pm_vk_commands_run(commands);
    pm_vk_commands_destroy(commands);
    *used = 0;
    return result;
}

static bool packs_on_host(const load_job *job)
{
    return job->weight != NULL && pm_slice_is_mapped(job->weight->data) && pm_weight_packs_on_host(job->weight->type);
}

/* Parts of PART_ROWS of a matrix that the host packs; 0 for the other jobs. */
static uint32_t parts_of(const load_job *job)
{
    return packs_on_host(job) ? (uint32_t)((job->tensor->shape[1] + PART_ROWS - 1) / PART_ROWS) : 0;
}

typedef struct pack_work {
    loader *loader;
    _Atomic uint64_t packed_bytes; /* that are not reported */
} pack_work;

static pm_result pack_part(void *context, uint32_t index)
{
    pack_work *work = context;
    const load_job *job = work->loader->jobs;
    for (uint32_t parts; index >= (parts = parts_of(job)); job++)
        index -= parts;
    const uint64_t row_bytes = pm_dtype_row_bytes(job->tensor->type, job->tensor->shape[0]);
    const uint32_t first = index * PART_ROWS, left = (uint32_t)job->tensor->shape[1] - first;
    const uint32_t rows = left < PART_ROWS ? left : PART_ROWS;
    pm_weight_pack_on_host(job->weight, pm_slice_host(job->weight->data), job->row_base + first, rows,
                           (const uint8_t *)job->tensor->data + first * row_bytes);
    atomic_fetch_add(&work->packed_bytes, rows * row_bytes);
    return PM_OK;
}

static void report_packed(void *context)
{
    pack_work *work = context;
    report(work->loader, atomic_exchange(&work->packed_bytes, 0));
}

/* The matrices whose memory is the host's own, on all cores. */
static pm_result pack_on_host(loader *l)
{
    pack_work work = {.loader = l};
    uint32_t count = 0;
    for (uint32_t i = 0; i < l->job_count; i++)
        count += parts_of(&l->jobs[i]);
    return count > 0 ? pm_thread_for_beside(count, pack_part, &work, report_packed, l->give_way) : PM_OK;
}

/* Sends a matrix through the staging buffer, as many rows at a time as fit. */
static pm_result fill_matrix(loader *l, const load_job *job, pm_vk_recorder *recorder, pm_slice staging, uint64_t *used)
{
    const pm_gguf_tensor *tensor = job->tensor;
    const uint64_t row_bytes = pm_dtype_row_bytes(tensor->type, tensor->shape[0]);
    const uint32_t rows = (uint32_t)tensor->shape[1];
    for (uint32_t row = 0; row < rows;) {
        uint64_t fit = (staging.bytes - *used) / row_bytes;
        if (fit == 0 || (fit < rows - row && *used > 0)) {
            PM_TRY(flush(recorder, used));
            fit = staging.bytes / row_bytes;
        }
        const uint32_t count = fit < rows - row ? (uint32_t)fit : rows - row;
        const uint64_t bytes = count * row_bytes;
        const pm_slice raw = pm_slice_part(staging, *used, (bytes + 3) / 4 * 4);
        PM_TRY(pm_vk_upload(l->device, raw, (const uint8_t *)tensor->data + row * row_bytes, bytes));
        PM_TRY(pm_weight_pack_record(recorder, job->weight, job->row_base + row, count, raw));
        *used += (bytes + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN;
        if (*used > staging.bytes)
            *used = staging.bytes;
        row += count;
        report(l, bytes);
    }
    return PM_OK;
}

/* The staging buffer: one row of the widest matrix at least, all matrices at most. */
static uint64_t staging_bytes(const loader *l)
{
    uint64_t row_max = PLACE_ALIGN, all = 0;
    for (uint32_t i = 0; i < l->job_count; i++) {
        const pm_gguf_tensor *tensor = l->jobs[i].tensor;
        if (l->jobs[i].weight == NULL || packs_on_host(&l->jobs[i]))
            continue;
        const uint64_t row = pm_dtype_row_bytes(tensor->type, tensor->shape[0]);
        row_max = row > row_max ? row : row_max;
        all += (tensor->bytes + PLACE_ALIGN - 1) / PLACE_ALIGN * PLACE_ALIGN;
    }
    const uint64_t wanted = all < STAGING_BYTES ? all : STAGING_BYTES;
    return ((wanted > row_max ? wanted : row_max) + 3) / 4 * 4;
}

static pm_result fill_jobs(loader *l, pm_vk_recorder *recorder, pm_slice staging)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < l->job_count; i++) {
        const load_job *job = &l->jobs[i];
        if (packs_on_host(job))
            continue;
        if (job->weight != NULL) {
            PM_TRY(fill_matrix(l, job, recorder, staging, &used));
        } else {
            PM_TRY(fill_vector(l, job));
            report(l, job->tensor->bytes);
        }
    }
    PM_TRY(flush(recorder, &used));
    return pack_on_host(l);
}

static pm_result fill(loader *l, uint32_t context)
{
    pm_vk_recorder *recorder = NULL;
    pm_vk_buffer *staging = NULL;
    pm_result result = pm_vk_buffer_create(l->device, staging_bytes(l), PM_VK_DEVICE, "weight staging", &staging);
    if (result == PM_OK)
        result = pm_vk_recorder_create(l->device, &recorder);
    if (result == PM_OK)
        result = fill_jobs(l, recorder, pm_vk_buffer_all(staging));
    if (result == PM_OK)
        result = pm_rope_table_upload(l->device, l->gguf, l->hparams, context, l->weights->rope_table);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(staging);
    return result;
}

/* ------------------------------------------------------------------ load */

static uint64_t linear_read_bytes(const pm_linear *linear)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < linear->part_count; i++)
        bytes += pm_weight_read_bytes(&linear->part[i]);
    return bytes;
}

static uint64_t step_bytes(const pm_weights *w, uint32_t layers)
{
    uint64_t bytes = linear_read_bytes(&w->output);
    for (uint32_t i = 0; i < layers; i++)
        bytes += linear_read_bytes(&w->layers[i].qkv) + linear_read_bytes(&w->layers[i].attention_out) +
                 linear_read_bytes(&w->layers[i].gate_up) + linear_read_bytes(&w->layers[i].down);
    return bytes;
}

static pm_result describe_all(loader *l, uint32_t context)
{
    *l->weights = (pm_weights){0};
    l->weights->layers = pm_alloc(l->hparams->layers, sizeof(*l->weights->layers), "layers");
    return l->weights->layers != NULL ? describe(l, context) : PM_ERR_NOMEM;
}

static pm_result finish_loader(loader *l, pm_result result)
{
    pm_free(l->places);
    pm_free(l->jobs);
    if (result != PM_OK)
        pm_weights_finish(l->weights);
    return result;
}

pm_result pm_weights_describe(const pm_gguf *gguf, const pm_hparams *hparams, uint32_t context, pm_weights *out)
{
    loader l = {.gguf = gguf, .hparams = hparams, .weights = out};
    const pm_result result = describe_all(&l, context);
    tie(&l);
    return finish_loader(&l, result);
}

pm_result pm_weights_load(pm_vk_device *device, const pm_gguf *gguf, const pm_hparams *hparams, uint32_t context,
                          pm_progress *progress, void *progress_context, bool give_way, pm_weights *out)
{
    loader l = {.device = device, .gguf = gguf, .hparams = hparams, .weights = out,
                .progress = progress, .progress_context = progress_context, .give_way = give_way};
    pm_result result = describe_all(&l, context);
    if (result == PM_OK)
        result = allocate(&l);
    if (result == PM_OK)
        result = fill(&l, context);
    PM_TRY(finish_loader(&l, result));
    out->step_bytes = step_bytes(out, hparams->layers);
    return PM_OK;
}

void pm_weights_finish(pm_weights *weights)
{
    for (uint32_t i = 0; i < weights->buffer_count; i++)
        pm_vk_buffer_destroy(weights->buffers[i]);
    pm_free(weights->buffers);
    pm_free(weights->layers);
    *weights = (pm_weights){0};
}

/* engine/machine.c - the device side of an engine: weights, pages, plans. */
#include "engine/engine_impl.h"

#include "base/log.h"
#include "op/choice_file.h"
#include "op/sample.h"
#include "verify/start.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t page_bytes_of(const pm_model *model)
{
    return pm_kv_page_bytes(&model->layout) * model->hparams.layers;
}

/* One budget, fixed when the engine is created: kv_bytes, or a full context for every fourth
 * sequence, within 90 % of the memory that the weights left. A draft model has as many pages. */
static pm_result size_pool(pm_engine *e)
{
    const pm_engine_params *p = &e->params;
    const uint32_t page_tokens = e->model.layout.page_tokens;
    const uint64_t page_bytes = page_bytes_of(&e->model);
    const uint64_t both_bytes = page_bytes + (p->draft_path != NULL ? page_bytes_of(&e->draft.model) : 0);
    const uint64_t context_pages = (e->context + page_tokens - 1) / page_tokens;
    const uint64_t free_pages = pm_vk_device_free_bytes(e->device) / 10 * 9 / both_bytes;
    const uint64_t wanted = p->kv_bytes != 0 ? p->kv_bytes / page_bytes : context_pages * ((e->max_seqs + 3) / 4);
    uint64_t pages = p->kv_bytes != 0 ? wanted : min_u64(wanted, free_pages);
    if (pages < context_pages && (p->max_context_tokens != 0 || pages < 2))
        return pm_fail(p->kv_bytes != 0 ? PM_ERR_ARG : PM_ERR_DEVMEM,
                       "a context of %u tokens needs %llu bytes of KV pages, %s has %llu", e->context,
                       (unsigned long long)(context_pages * page_bytes), p->kv_bytes != 0 ? "the pool" : "the device",
                       (unsigned long long)(pages * page_bytes));
    if (pages < context_pages) {
        e->context = (uint32_t)pages * page_tokens;
        pm_warn("the KV pool has room for a context of %u tokens", e->context);
    }
    e->pages = (uint32_t)min_u64(pages, UINT32_MAX / 64);
    e->slots = (uint32_t)min_u64(p->swap_bytes / page_bytes, UINT16_MAX); /* of a grid's workgroups */
    return PM_OK;
}

/* The different matmuls of the model, by type and shape: at most so many. */
#define START_WEIGHTS_MAX 128u

static void add_weights(const pm_linear *linear, pm_weight *list, uint32_t *count)
{
    for (uint32_t p = 0; p < linear->part_count; p++) {
        const pm_weight *w = &linear->part[p];
        bool known = *count == START_WEIGHTS_MAX; /* the first ones are enough */
        for (uint32_t i = 0; i < *count; i++)
            known |= list[i].type == w->type && list[i].n == w->n && list[i].k == w->k;
        if (!known)
            list[(*count)++] = (pm_weight){.type = w->type, .n = w->n, .k = w->k};
    }
}

/* Begins to find out which kernels that the model's plans would pick are right on this device: for passes of
 * `rows` [count], or for all that there can be. */
static pm_result begin_self_test(pm_engine *e, const pm_model *model, const pm_weights *shapes, const uint32_t *rows,
                                 uint32_t count, pm_start_test **test)
{
    pm_weight weights[START_WEIGHTS_MAX];
    pm_start start = {
        .weights = weights,
        .embedding = shapes->embedding.type,
        .dim = model->hparams.dim,
        .hidden = model->hparams.hidden,
        .vocab = model->hparams.vocab,
        .rows_max = e->max_batch_tokens,
        .rows = rows,
        .row_count = count,
        .heads = model->hparams.heads,
        .window = model->hparams.window,
        .neox = model->hparams.arch->neox,
        .layout = model->layout,
        .deterministic = e->params.deterministic,
    };
    add_weights(&shapes->output, weights, &start.weight_count);
    for (uint32_t layer = 0; layer < model->hparams.layers; layer++) {
        const pm_layer_weights *w = &shapes->layers[layer];
        add_weights(&w->qkv, weights, &start.weight_count);
        add_weights(&w->attention_out, weights, &start.weight_count);
        add_weights(&w->gate_up, weights, &start.weight_count);
        add_weights(&w->down, weights, &start.weight_count);
    }
    return pm_start_test_begin(e->device, &start, test);
}

/* The same before the weights are there: of the passes that pm_engine_open_device() makes. */
static pm_result begin_first_test(pm_engine *e, const pm_model *model, const pm_gguf *gguf, pm_start_test **test)
{
    static const uint32_t one_row = 1;
    pm_weights shapes;
    PM_TRY(pm_weights_describe(gguf, &model->hparams, e->context, &shapes));
    const pm_result result =
        begin_self_test(e, model, &shapes, &one_row, e->params.warm_up == PM_WARM_UP_NOTHING ? 1 : 0, test);
    pm_weights_finish(&shapes);
    return result;
}

/* All passes, or the one without which nothing is generated. */
static pm_result make_first_passes(pm_engine *e, pm_plans *plans)
{
    static const pm_pass one_row = {.kind = PM_PASS_DECODE, .rows = 1};
    if (e->params.warm_up == PM_WARM_UP_NOTHING)
        return pm_plans_make(plans, &one_row, 1);
    return pm_plans_make_all(plans, e->params.progress, e->params.progress_context);
}

static pm_result create_plans(pm_engine *e, pm_model *model, uint32_t outs_max)
{
    const pm_plans_params plans = {
        .device = e->device,
        .hparams = &model->hparams,
        .weights = &model->weights,
        .kv = &model->kv,
        .rows_max = e->max_batch_tokens,
        .seqs_max = e->max_seqs,
        .outs_max = outs_max,
        .context = e->context,
        .sample = model->hparams.vocab <= PM_SAMPLE_VOCAB_MAX,
        .deterministic = e->params.deterministic,
    };
    PM_TRY(pm_plans_create(&plans, &model->plans));
    return make_first_passes(e, model->plans);
}

static pm_result load_weights(pm_engine *e, pm_model *model, const pm_gguf *gguf, bool give_way)
{
    const pm_engine_params *p = &e->params;
    return pm_weights_load(e->device, gguf, &model->hparams, e->context, p->progress, p->progress_context,
                           give_way, &model->weights);
}

static pm_result create_pages(pm_engine *e, pm_model *model, uint32_t slots)
{
    return pm_kv_store_init(&model->kv, e->device, &model->layout, model->hparams.layers, e->pages, slots);
}

/* Weights and pages, beside a test that runs; draft may be NULL. What the test compiles takes longest. */
static pm_result load(pm_engine *e, const pm_gguf *gguf, const pm_gguf *draft, const pm_start_test *test)
{
    const bool give_way = pm_start_test_is_beside(test);
    PM_TRY(load_weights(e, &e->model, gguf, give_way));
    if (draft != NULL)
        PM_TRY(load_weights(e, &e->draft.model, draft, give_way));
    if (e->pages == 0) /* else they are as they were before the device was lost */
        PM_TRY(size_pool(e));
    PM_TRY(create_pages(e, &e->model, e->slots));
    return draft != NULL ? create_pages(e, &e->draft.model, 0) : PM_OK;
}

static pm_result recreate_plans(pm_engine *e)
{
    pm_plans_destroy(e->model.plans);
    e->model.plans = NULL;
    return create_plans(e, &e->model, e->score_rows);
}

/* The plans of the draft model, whose kernels are tested first. */
static pm_result plan_draft(pm_engine *e, const pm_gguf *gguf)
{
    pm_start_test *test = NULL;
    const uint32_t off = pm_vk_device_caps(e->device)->off_count;
    bool changed;
    PM_TRY(begin_first_test(e, &e->draft.model, gguf, &test));
    PM_TRY(pm_start_test_end(test, PM_OK, &changed));
    if (pm_vk_device_caps(e->device)->off_count != off) /* of what the model's own plans picked, maybe */
        PM_TRY(recreate_plans(e));
    return create_plans(e, &e->draft.model, e->max_seqs);
}

static void close_model(pm_model *model)
{
    pm_plans_destroy(model->plans);
    pm_kv_store_finish(&model->kv);
    pm_weights_finish(&model->weights);
    model->plans = NULL;
}

/* What tuning found for this device: variants and cuts, and, where the caller did not say, the rows of a step. */
static pm_result use_choices(pm_engine *e)
{
    const pm_hparams *h = &e->model.hparams;
    const pm_choice key = {.op = PM_CHOICE_STEP, .shape = {h->dim, h->hidden, h->layers}};
    PM_TRY(pm_choices_load(e->device, &e->choices));
    pm_vk_device_choose(e->device, &e->choices);
    const pm_choice *step = pm_choices_find(&e->choices, &key);
    if (step != NULL && e->params.max_batch_tokens == 0 && e->pages == 0) /* else the scheduler has them */
        pm_engine_size_step(e, step->rows_last);
    return PM_OK;
}

static pm_result warm_up(pm_engine *e)
{
    const pm_engine_params *p = &e->params;
    if (p->warm_up != PM_WARM_UP_STEPS || !pm_vk_device_caps(e->device)->is_cpu)
        return PM_OK;
    PM_TRY(pm_plans_warm_up(e->model.plans, p->progress, p->progress_context));
    return e->draft.model.plans != NULL ? pm_plans_warm_up(e->draft.model.plans, p->progress, p->progress_context) : PM_OK;
}

pm_result pm_engine_open_device(pm_engine *e, const pm_gguf *gguf, const pm_gguf *draft)
{
    const pm_engine_params *p = &e->params;
    PM_TRY(pm_vk_device_open(p->device, p->profile, &e->device));
    pm_vk_device_limit_submissions(e->device, p->submit_ms);
    PM_TRY(use_choices(e));
    pm_start_test *test = NULL;
    PM_TRY(begin_first_test(e, &e->model, gguf, &test));
    const pm_result loaded = load(e, gguf, draft, test); /* meanwhile, with what the plans pick if all is right */
    const pm_result planned = loaded == PM_OK ? create_plans(e, &e->model, e->score_rows) : loaded;
    const bool in_vain = planned == PM_ERR_NOMEM; /* no other kernels would help */
    bool changed = false;
    PM_TRY(pm_start_test_end(test, in_vain ? planned : loaded, &changed));
    if (changed || planned != PM_OK)
        PM_TRY(recreate_plans(e));
    if (draft != NULL)
        PM_TRY(plan_draft(e, draft));
    return warm_up(e);
}

/* Those that were not made at the start. What the self-test finds wrong only now may be part of passes that are made,
 * whose memory is not enough for what serves instead: the device is opened again, with all tested before it goes on. */
static pm_result make_passes(pm_engine *e, pm_model *model, const pm_pass *passes, uint32_t count)
{
    uint32_t rows[PM_BATCH_PASSES], row_count = 0;
    pm_start_test *test = NULL;
    const uint32_t off = pm_vk_device_caps(e->device)->off_count;
    bool changed;
    for (uint32_t i = 0; i < count; i++)
        if (passes[i].kind != PM_PASS_PAGES && passes[i].kind != PM_PASS_COPY) /* in which nothing is computed */
            rows[row_count++] = passes[i].rows;
    if (row_count > 0)
        PM_TRY(begin_self_test(e, model, &model->weights, rows, row_count, &test));
    const pm_result made = pm_plans_make(model->plans, passes, count);
    PM_TRY(pm_start_test_end(test, made == PM_ERR_NOMEM ? made : PM_OK, &changed));
    if (pm_vk_device_caps(e->device)->off_count == off)
        return made == PM_OK ? PM_OK : pm_plans_make(model->plans, passes, count); /* with its message */
    e->params.warm_up = PM_WARM_UP_KERNELS;
    return pm_fail(PM_ERR_LOST, "the self-test found kernels wrong that were about to be used");
}

pm_result pm_engine_run_batch(pm_engine *e, pm_model *model, const pm_batch *batch, const pm_step_samples *samples,
                              bool logits, pm_run **out)
{
    pm_pass passes[PM_BATCH_PASSES];
    const uint32_t count = pm_plans_missing(model->plans, batch, samples != NULL, logits, passes);
    if (count > 0)
        PM_TRY(make_passes(e, model, passes, count));
    return pm_plans_submit(model->plans, batch, samples, logits, out);
}

void pm_engine_close_device(pm_engine *e)
{
    close_model(&e->draft.model);
    close_model(&e->model);
    pm_vk_device_close(e->device);
    pm_choices_finish(&e->choices);
    e->device = NULL;
}

/* engine/draft.c - guesses of what follows, from a smaller model. Start at pm_draft_guess(). */
#include "engine/draft.h"

#include "base/clock.h"
#include "engine/engine_impl.h"
#include "sched/depth.h"

#define FEW (PM_DRAFT_TOKENS_MAX + 1u) /* tokens to read that are no prompt: a step brings no more */

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t known(const pm_request *request)
{
    return request->sequence.token_count - request->sequence.drafts;
}

/* -------------------------------------------------------------------- pages */

static bool has_pages(const pm_request *request)
{
    return request->draft_table.capacity > 0;
}

void pm_draft_release(pm_draft *draft, pm_request *request)
{
    if (!has_pages(request))
        return;
    pm_kv_pages_release(draft->pages, &request->draft_table);
    request->draft_computed = 0;
}

void pm_draft_reset(pm_draft *draft, pm_request *requests)
{
    if (draft->pages == NULL)
        return;
    pm_pace_reopen(&draft->pace);
    for (pm_request *request = requests; request != NULL; request = request->next)
        pm_draft_release(draft, request);
    pm_kv_pages_forget(draft->pages);
}

static bool uses_cache(const pm_engine *e, const pm_request *request)
{
    return !e->params.no_prefix_cache && !request->sequence.no_cache;
}

static void name(const pm_engine *e, pm_request *request, uint32_t token_count)
{
    pm_block_table *table = &request->draft_table;
    const uint32_t page_tokens = e->draft.model.layout.page_tokens;
    for (; table->named < token_count / page_tokens; table->named++)
        table->names[table->named] = pm_prefix_next(
            e->draft.key, table->named == 0 ? request->sequence.root : table->names[table->named - 1],
            request->sequence.tokens + (size_t)table->named * page_tokens, page_tokens);
}

/* Pages that others have read, for all but the last token. */
static void adopt(pm_engine *e, pm_request *request)
{
    const uint32_t page_tokens = e->draft.model.layout.page_tokens, pages = (known(request) - 1) / page_tokens;
    uint32_t revived;
    name(e, request, known(request) - 1);
    const uint32_t count = pm_kv_pages_match(e->draft.pages, &request->draft_table, 0, pages, &revived);
    if (count > 0)
        pm_kv_pages_adopt(e->draft.pages, &request->draft_table, 0, count);
    request->draft_computed = count * page_tokens;
}

/* --------------------------------------------------------------------- pass */

static bool wants_more(const pm_request *request)
{
    return request->sequence.drafts < request->ask->draft_tokens && pm_sequence_may_draft(&request->sequence);
}

/* Rows and outputs that the next step has for guesses when `running` sequences have one each. */
static uint32_t room_beside(const pm_engine *e, uint32_t running)
{
    const uint32_t rows = pm_pace_rows(&e->pace), most = min_u32(rows, min_u32(e->max_batch_tokens, e->score_rows));
    return most > running ? most - running : 0;
}

/* Those that may guess now. One that does not run gives its pages to those that do. */
static void gather(pm_engine *e)
{
    pm_draft *draft = &e->draft;
    uint32_t running = 0;
    draft->asking_count = 0;
    for (pm_request *request = e->requests; request != NULL; request = request->next) {
        running += request->sequence.state == PM_SEQ_RUNNING;
        if (!has_pages(request))
            continue;
        if (request->sequence.state != PM_SEQ_RUNNING)
            pm_draft_release(draft, request);
        else if (request->sequence.drafts == 0 && wants_more(request)) {
            /* KV of guesses that were cut or wrong counts no longer. No step passes by unseen: the
             * sequence is not scheduled ahead, and so is here after each. */
            request->draft_computed = min_u32(request->draft_computed, known(request) - 1);
            if (request->draft_table.count == 0 && uses_cache(e, request))
                adopt(e, request);
            draft->asking[draft->asking_count++] = request;
        }
    }
    draft->room = room_beside(e, running);
    draft->asking_count = min_u32(draft->asking_count, draft->room);
}

static uint32_t lacking(const pm_request *request)
{
    return request->sequence.token_count - request->draft_computed;
}

/* The next rows of the request; none when no page is free. A token follows its last. */
static void add_rows(pm_draft *draft, pm_request *request, uint32_t rows)
{
    pm_batch *batch = &draft->batch;
    const pm_sequence *sequence = &request->sequence;
    const uint32_t begin = request->draft_computed, end = begin + rows, page_tokens = draft->model.layout.page_tokens;
    if (!pm_kv_pages_write(draft->pages, &request->draft_table, begin, end))
        return;
    const uint32_t index = batch->seqs++;
    batch->sequences[index] = &request->sequence;
    batch->tables[index] = &request->draft_table;
    for (uint32_t position = begin; position < end; position++) {
        const uint32_t row = batch->rows++;
        batch->tokens[row] = (uint32_t)sequence->tokens[position];
        batch->positions[row] = position;
        batch->slots[row] = pm_kv_slot(&request->draft_table, page_tokens, position);
        batch->row_seq[row] = index;
    }
    if (end == sequence->token_count) {
        batch->out_rows[batch->outs] = batch->rows - 1;
        batch->out_seq[batch->outs++] = index;
    }
    batch->row_start[index + 1] = batch->rows;
    batch->out_start[index + 1] = batch->outs;
    batch->kv_len[index] = end;
    if (rows > batch->rows_per_seq_max)
        batch->rows_per_seq_max = rows;
}

/* Prompts in order, as far as their rows count for no more than the pace has for them. */
static void add_prompts(pm_engine *e)
{
    pm_draft *draft = &e->draft;
    pm_batch *batch = &draft->batch;
    const uint32_t guesses = batch->rows, known = pm_pace_depth(&draft->pace);
    uint32_t left = pm_pace_draft_rows(&draft->pace, guesses, &e->pace, pm_sched_decoding(e->sched));
    for (uint32_t i = 0; i < draft->asking_count && left > 0; i++) {
        pm_request *request = draft->asking[i];
        const uint32_t lack = lacking(request), depth = request->draft_computed, before = batch->rows;
        uint32_t most = pm_depth_rows(left, depth, known);
        if (batch->rows == guesses && most < PM_PACE_DRAFT_LEAST)
            most = PM_PACE_DRAFT_LEAST;
        const uint32_t rows = min_u32(lack, min_u32(most, batch->rows_max - batch->rows));
        if (lack <= FEW || rows == 0)
            continue;
        add_rows(draft, request, rows);
        left -= min_u32(left, pm_depth_count(batch->rows - before, depth, known));
    }
    draft->prompt_rows += batch->rows - guesses;
}

/* First those that lack few tokens, then prompts, unless they had their turn and the model's own wait. */
static void fill(pm_engine *e)
{
    pm_draft *draft = &e->draft;
    pm_batch *batch = &draft->batch;
    batch->rows = batch->seqs = batch->outs = batch->rows_per_seq_max = 0;
    for (uint32_t i = 0; i < draft->asking_count; i++) {
        const uint32_t rows = lacking(draft->asking[i]);
        if (rows <= FEW && rows <= batch->rows_max - batch->rows)
            add_rows(draft, draft->asking[i], rows);
    }
    if (!draft->had_turn || !pm_sched_has_prompts(e->sched))
        add_prompts(e);
}

/* What the pace learns from the pass. */
static pm_pace_step step_of(const pm_batch *batch)
{
    pm_pace_step step = {.rows = batch->rows, .end = batch->outs == batch->seqs};
    uint64_t prompts = 0, guesses = 0; /* tokens when they were read, summed over rows */
    for (uint32_t s = 0; s < batch->seqs; s++) {
        const uint32_t first = batch->row_start[s], rows = batch->row_start[s + 1] - first;
        const bool reads = rows > FEW || batch->out_start[s + 1] == batch->out_start[s];
        *(reads ? &prompts : &guesses) += (uint64_t)rows * (batch->positions[first] + rows);
        step.prompt_rows += reads ? rows : 0;
    }
    step.depth = (uint32_t)(step.prompt_rows > 0 ? prompts / step.prompt_rows : guesses / step.rows);
    return step;
}

static pm_result run(pm_engine *e)
{
    pm_draft *draft = &e->draft;
    pm_flight flight = {.batch = &draft->batch};
    pm_step_samples room;
    const pm_step_samples *samples = pm_sampling_prepare(&e->sampling, &flight, &room);
    PM_TRY(pm_engine_run_batch(e, &draft->model, &draft->batch, samples, flight.logits, &flight.run));
    PM_TRY(pm_run_wait(flight.run));
    pm_pace_note(&draft->pace, step_of(&draft->batch), (double)pm_run_ns(flight.run) * 1e-3);
    pm_sampling_pick(&e->sampling, &flight, draft->picked);
    e->counts.draft_steps++;
    return PM_OK;
}

/* What the pass brought: KV, and a guess for each whose tokens are all read. Those of them that
 * want another ask again. */
static void take(pm_engine *e)
{
    pm_draft *draft = &e->draft;
    const pm_batch *batch = &draft->batch;
    draft->asking_count = 0;
    for (uint32_t s = 0; s < batch->seqs; s++) {
        pm_request *request = pm_request_of(batch->sequences[s]);
        request->draft_computed = batch->kv_len[s];
        if (uses_cache(e, request)) {
            const uint32_t count = min_u32(request->draft_computed, known(request));
            name(e, request, count);
            pm_kv_pages_publish(draft->pages, &request->draft_table, count);
        }
        if (batch->out_start[s + 1] == batch->out_start[s])
            continue;
        const int32_t token = draft->picked[batch->out_start[s]];
        if (token < 0)
            continue;
        const uint32_t guessed = pm_sequence_draft(&request->sequence, &token, 1);
        e->counts.drafted_tokens += guessed;
        draft->room -= guessed;
        if (wants_more(request))
            draft->asking[draft->asking_count++] = request;
    }
    draft->asking_count = min_u32(draft->asking_count, draft->room);
}

pm_result pm_draft_guess(pm_engine *e)
{
    gather(e);
    e->draft.prompt_rows = 0;
    if (e->draft.asking_count == 0)
        return PM_OK;
    const uint64_t start_ns = pm_clock_ns();
    while (e->draft.asking_count > 0) {
        fill(e);
        if (e->draft.batch.rows == 0)
            break;
        if (e->flight.batch != NULL)
            PM_TRY(pm_run_wait(e->flight.run)); /* it is in front on the device; its time is its own */
        PM_TRY(run(e));
        take(e);
    }
    e->counts.device_wait_us += (double)(pm_clock_ns() - start_ns) * 1e-3;
    return PM_OK;
}

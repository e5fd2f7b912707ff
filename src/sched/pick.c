/* sched/pick.c - the rows of a step. */
#include "sched/depth.h"
#include "sched/scheduler_impl.h"

#define NOWHERE UINT32_MAX

/* ------------------------------------------------------------------- rows */

/* Tokens that lack their KV and can have it computed in this step. */
static uint32_t lacking(const pm_sequence *sequence)
{
    if (sequence->picked > 0 && (sequence->no_ahead || sequence->drafts > 0))
        return 0; /* what follows depends on what the host will see */
    const uint32_t count = sequence->token_count + sequence->picked;
    if (sequence->picked > 0 && count >= sequence->token_capacity)
        return 0; /* the token being picked is its last */
    return count - sequence->scheduled;
}

static bool decodes(const pm_sequence *sequence)
{
    return lacking(sequence) == 1 + sequence->drafts;
}

uint32_t pm_sched_decoding(const pm_sched *sched)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < sched->running_count; i++)
        rows += decodes(sched->running[i]) ? 1 + sched->running[i]->drafts : 0;
    return rows;
}

bool pm_sched_has_prompts(const pm_sched *sched)
{
    for (uint32_t i = 0; i < sched->running_count; i++)
        if (lacking(sched->running[i]) > 0 && !decodes(sched->running[i]))
            return true;
    return sched->waiting_count > 0;
}

static uint32_t first_logits(const pm_sequence *sequence)
{
    const uint32_t last = sequence->token_count + sequence->picked - 1 - sequence->drafts;
    return pm_sched_min(last, sequence->logits_from);
}

/* Of `rows` rows, those whose outputs fit into what is left of the batch. */
static uint32_t rows_with_outs(const pm_sched *sched, const pm_sequence *sequence, uint32_t rows)
{
    const uint32_t first = first_logits(sequence), left = sched->batch->outs_max - sched->batch->outs;
    return pm_sched_min(rows, (first > sequence->scheduled ? first - sequence->scheduled : 0) + left);
}

/* The output of the batch before that picks the sequence's last token. */
static uint32_t out_before(const pm_sched *sched, const pm_sequence *sequence)
{
    const pm_batch *before = &sched->batches[sched->step % 2];
    const uint32_t place = sequence->place[sched->step % 2];
    pm_assert(sched->in_flight == 1 && place < before->seqs && before->sequences[place] == sequence &&
              before->picks[place]);
    return before->out_start[place + 1] - 1;
}

/* The copy that the sequence's first write waits for. A page that this batch copies to is
 * not there before it: its source is. */
static void append_copy(pm_sched *sched, pm_block_table *table)
{
    pm_batch *batch = sched->batch;
    pm_page_copy copy = {.from = table->copy_from, .to = table->page_ids[table->copy_index]};
    table->copy_from = PM_PAGE_NONE;
    for (uint32_t i = 0; i < batch->copy_count; i++)
        if (batch->copies[i].to == copy.from) {
            pm_kv_pages_hold(sched->pages, batch->copies[i].from);
            pm_kv_pages_drop(sched->pages, copy.from);
            copy.from = batch->copies[i].from;
            break;
        }
    batch->copies[batch->copy_count++] = copy; /* with the reference, to the end of the pick */
    sched->stats.copies++;
}

/* Puts the next `rows` tokens of the sequence into the batch; its pages are there. */
static void append_rows(pm_sched *sched, pm_sequence *sequence, uint32_t rows)
{
    pm_batch *batch = sched->batch;
    const uint32_t index = batch->seqs++, logits_from = first_logits(sequence);
    if (sequence->table.copy_from != PM_PAGE_NONE)
        append_copy(sched, &sequence->table);
    batch->sequences[index] = sequence;
    batch->tables[index] = &sequence->table;
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t row = batch->rows++, position = sequence->scheduled + i;
        const bool known = position < sequence->token_count;
        batch->tokens[row] = known ? (uint32_t)sequence->tokens[position] : PM_TOKEN_PICKED;
        batch->token_from[row] = known ? 0 : out_before(sched, sequence);
        batch->picked_rows += !known;
        batch->positions[row] = position;
        batch->slots[row] = pm_kv_slot(&sequence->table, sched->params.page_tokens, position);
        batch->row_seq[row] = index;
        if (position >= logits_from) {
            batch->out_rows[batch->outs] = row;
            batch->out_seq[batch->outs++] = index;
        }
    }
    sequence->scheduled += rows;
    batch->row_start[index + 1] = batch->rows;
    batch->out_start[index + 1] = batch->outs;
    batch->kv_len[index] = sequence->scheduled;
    batch->epochs[index] = sequence->epoch;
    batch->picks[index] = sequence->scheduled == sequence->token_count + sequence->picked;
    batch->drafts[index] = batch->picks[index] ? sequence->drafts : 0;
    batch->accepted[index] = 0;
    sequence->picked += batch->picks[index];
    sequence->step = batch->step;
    sequence->place[batch->step % 2] = index;
    if (rows > batch->rows_per_seq_max)
        batch->rows_per_seq_max = rows;
}

/* ----------------------------------------------------------------- decode */

/* Drafts that cost nobody anything: `after` others have a row and an output each, and no
 * page is taken that is not free. */
static void fit_drafts(pm_sched *sched, pm_sequence *sequence, uint32_t after)
{
    const pm_batch *batch = sched->batch;
    const uint32_t rows = batch->rows + 1 + after, outs = batch->outs + 1 + after;
    uint32_t keep = sequence->drafts;
    keep = pm_sched_min(keep, sched->budget_rows > rows ? sched->budget_rows - rows : 0);
    keep = pm_sched_min(keep, batch->outs_max > outs ? batch->outs_max - outs : 0);
    const uint32_t begin = sequence->scheduled, have = sequence->table.count * sched->params.page_tokens;
    if (pm_kv_pages_write_cost(sched->pages, &sequence->table, begin, begin + 1 + keep) >
        pm_kv_pages_free_count(sched->pages))
        keep = pm_sched_min(keep, have > begin ? have - begin - 1 : 0);
    pm_sched_cut_drafts(sequence, keep);
}

/* Running sequences that lack one token, in order of rank. A preemption only ever takes
 * those after the one at hand, none of which is in the batch yet. */
static void pick_decoding(pm_sched *sched)
{
    for (uint32_t i = 0; i < sched->running_count;) {
        pm_sequence *sequence = sched->running[i];
        if (!decodes(sequence)) {
            i++;
            continue;
        }
        if (sequence->drafts > 0)
            fit_drafts(sched, sequence, sched->running_count - 1 - i);
        const uint32_t rows = rows_with_outs(sched, sequence, 1 + sequence->drafts);
        if (rows < 1 + sequence->drafts) {
            i++;
            continue;
        }
        if (!pm_sched_grow(sched, sequence, sequence->scheduled + rows)) {
            i += i < sched->running_count && sched->running[i] == sequence;
            continue;
        }
        append_rows(sched, sequence, rows);
        i++;
    }
}

/* ---------------------------------------------------------------- prompts */

/* Rows for prompts: what the budget leaves, while others decode not more than keeps their
 * steps short, and else never none. */
static uint32_t prompt_budget(const pm_sched *sched)
{
    const pm_batch *batch = sched->batch;
    if (batch->rows > 0 && sched->prompt_rows == 0)
        return 0;
    uint32_t left = sched->budget_rows > batch->rows ? sched->budget_rows - batch->rows : 0;
    if (batch->rows > 0)
        left = pm_sched_min(left, sched->prompt_rows);
    return pm_sched_min(left > 0 ? left : 1, batch->rows_max - batch->rows);
}

static bool reads_prompt(const pm_sched *sched, const pm_sequence *sequence)
{
    return !pm_sched_in_batch(sched, sequence) && lacking(sequence) > 0;
}

/* Rows of the sequence that `left` is enough for, and what it leaves when `more` are taken. */
static uint32_t rows_for(uint32_t left, const pm_sequence *sequence, uint32_t depth)
{
    return pm_depth_rows(left, sequence->scheduled, depth);
}

static uint32_t take_rows(uint32_t left, const pm_sequence *sequence, uint32_t depth, uint32_t more)
{
    return left - pm_sched_min(left, pm_depth_count(more, sequence->scheduled, depth));
}

/* In order of rank each has what it lacks, except that one which cannot end in this step
 * leaves half to those after it, so that a short prompt need not wait for a long one; what
 * they do not want goes back to it. Depth counts only beside others that decode. */
static void share_rows(pm_sched *sched)
{
    const uint32_t depth = sched->batch->rows > 0 ? sched->prompt_depth : UINT32_MAX;
    uint32_t left = prompt_budget(sched);
    bool first = true;
    for (uint32_t i = 0; i < sched->running_count; i++) {
        pm_sequence *sequence = sched->running[i];
        sched->shares[i] = 0;
        if (left == 0 || !reads_prompt(sched, sequence))
            continue;
        pm_sched_cut_drafts(sequence, 0); /* one that decodes and found no page for them */
        pm_sched_adopt_late(sched, sequence);
        const uint32_t lack = lacking(sequence), most = rows_for(left, sequence, depth);
        sched->shares[i] = lack <= most ? lack : rows_for(left - left / 2, sequence, depth);
        if (first && sched->shares[i] == 0)
            sched->shares[i] = 1;
        first = false;
        left = take_rows(left, sequence, depth, sched->shares[i]);
    }
    for (uint32_t i = 0; left > 0 && i < sched->running_count; i++) {
        if (sched->shares[i] == 0)
            continue;
        const pm_sequence *sequence = sched->running[i];
        const uint32_t more = pm_sched_min(rows_for(left, sequence, depth), lacking(sequence) - sched->shares[i]);
        sched->shares[i] += more;
        left = take_rows(left, sequence, depth, more);
    }
}

/* Those that were running before and those just admitted. They never preempt: the pages for
 * all they lack were there at admission, all but the copy of one that a fork shares since. */
static void pick_prompts(pm_sched *sched)
{
    share_rows(sched);
    for (uint32_t i = 0; i < sched->running_count; i++) {
        pm_sequence *sequence = sched->running[i];
        const uint32_t rows = sched->shares[i] > 0 ? rows_with_outs(sched, sequence, sched->shares[i]) : 0;
        const uint32_t begin = sequence->scheduled;
        if (rows > 0 && pm_kv_pages_write(sched->pages, &sequence->table, begin, begin + rows))
            append_rows(sched, sequence, rows);
    }
}

/* ------------------------------------------------------------------- pick */

static void begin(pm_sched *sched)
{
    const uint64_t step = sched->step + 1;
    pm_batch *batch = &sched->batches[step % 2];
    for (uint32_t s = 0; s < batch->seqs; s++)
        if (batch->sequences[s] != NULL)
            batch->sequences[s]->place[step % 2] = NOWHERE;
    batch->step = step;
    batch->rows = batch->seqs = batch->outs = batch->rows_per_seq_max = batch->picked_rows = 0;
    batch->copy_count = batch->swap_out_count = batch->swap_in_count = 0;
    batch->row_start[0] = batch->out_start[0] = 0;
    sched->batch = batch;
    sched->gave_way = false;
}

static void finish(pm_sched *sched)
{
    pm_batch *batch = sched->batch;
    for (uint32_t i = 0; i < batch->copy_count; i++)
        pm_kv_pages_drop(sched->pages, batch->copies[i].from);
    if (batch->rows == 0) {
        pm_assert(batch->copy_count == 0 && batch->swap_in_count == 0);
        if (batch->swap_out_count > 0)
            pm_sched_undo_swaps(sched);
    } else {
        sched->step++;
        sched->in_flight++;
        sched->stats.steps++;
        sched->stats.rows += batch->rows;
    }
    sched->batch = NULL;
}

/* One that decodes waits for the host, and no other has a row. */
static bool waits_for_host(const pm_sched *sched)
{
    bool waits = false;
    for (uint32_t i = 0; i < sched->running_count; i++) {
        const pm_sequence *sequence = sched->running[i];
        if (decodes(sequence))
            return false;
        waits |= sequence->picked > 0 && (sequence->no_ahead || sequence->drafts > 0) &&
                 sequence->token_count - sequence->drafts + 1 < sequence->token_capacity;
    }
    return waits;
}

static void pick(pm_sched *sched)
{
    while (sched->deadline_head != NULL && sched->deadline_head->deadline_ns <= sched->now_ns)
        pm_sched_end(sched, sched->deadline_head, PM_SEQ_EXPIRED);
    if (waits_for_host(sched))
        return;
    pm_sched_make_room(sched);
    pick_decoding(sched);
    if (!sched->gave_way)
        pm_sched_admit(sched);
    pick_prompts(sched);
}

const pm_batch *pm_sched_pick(pm_sched *sched)
{
    pm_assert(sched->in_flight <= 1);
    pm_sched_debug_check(sched);
    begin(sched);
    const pm_batch *batch = sched->batch;
    pick(sched);
    finish(sched);
    pm_sched_debug_check(sched);
    return batch;
}

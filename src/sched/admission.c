/* sched/admission.c - who may start, and on which pages. */
#include "sched/scheduler_impl.h"

/* Waiting sequences looked at in one pick while the first does not fit. */
#define LOOK_AHEAD 8

void pm_sched_name(const pm_sched *sched, pm_sequence *sequence, uint32_t token_count)
{
    pm_block_table *table = &sequence->table;
    const uint32_t page_tokens = sched->params.page_tokens;
    for (; table->named < token_count / page_tokens; table->named++)
        table->names[table->named] = pm_prefix_next(
            sched->params.key, table->named == 0 ? sequence->root : table->names[table->named - 1],
            sequence->tokens + (size_t)table->named * page_tokens, page_tokens);
}

static bool uses_cache(const pm_sched *sched, const pm_sequence *sequence)
{
    return !sched->params.no_cache && !sequence->no_cache;
}

/* Tokens that need not be computed even if all are known: those before the first whose
 * logits are wanted, which is the last at the latest. */
static uint32_t cacheable(const pm_sequence *sequence)
{
    return pm_sched_min(sequence->token_count - 1, sequence->logits_from);
}

/* Pages that may come from the cache. The last may be taken though its last token is to be
 * computed again, for that is less than computing the page. */
static uint32_t cacheable_pages(const pm_sched *sched, const pm_sequence *sequence)
{
    const uint32_t tokens = cacheable(sequence), page_tokens = sched->params.page_tokens;
    return (tokens == sequence->token_count - 1 ? tokens + 1 : tokens) / page_tokens;
}

static pm_sched_start plan_with(pm_sched *sched, pm_sequence *sequence, uint32_t target)
{
    const uint32_t need = pm_sched_pages_of(sched, target), page_tokens = sched->params.page_tokens;
    pm_sched_start start = {.target = target};
    if (sequence->state == PM_SEQ_SWAPPED) {
        const uint32_t have = sequence->table.count;
        start.cached = sequence->scheduled;
        start.cost = pm_kv_swap_in_cost(sched->pages, &sequence->table) + (need > have ? need - have : 0);
        return start;
    }
    const pm_sequence *parent = sequence->parent;
    start.cached = cacheable(sequence);
    if (parent != NULL && parent->state == PM_SEQ_RUNNING && start.cached > 0 && start.cached <= parent->computed) {
        start.from_parent = true;
        start.cost = need - start.cached / page_tokens; /* with the copy of a page that is shared in part */
        return start;
    }
    uint32_t revived = 0;
    if (uses_cache(sched, sequence))
        start.adopt = pm_kv_pages_match(sched->pages, &sequence->table, 0, cacheable_pages(sched, sequence), &revived);
    start.cached = pm_sched_min(start.adopt * page_tokens, start.cached);
    const bool copies = start.cached % page_tokens != 0 && revived < start.adopt;
    start.cost = need - start.adopt + revived + copies;
    return start;
}

/* Pages for all the sequence's tokens and one more, so that it does not give way at once;
 * just for its tokens when nothing runs, since then nobody else can use the page. */
pm_sched_start pm_sched_plan_start(pm_sched *sched, pm_sequence *sequence)
{
    const uint32_t count = sequence->token_count;
    pm_assert(sequence->drafts == 0 && sequence->picked == 0);
    if (uses_cache(sched, sequence))
        pm_sched_name(sched, sequence, count);
    const pm_sched_start start = plan_with(sched, sequence, pm_sched_min(count + 1, sequence->token_capacity));
    if (sched->running_count > 0 || start.cost <= pm_kv_pages_free_count(sched->pages))
        return start;
    return plan_with(sched, sequence, count);
}

bool pm_sched_start_fits(const pm_sched *sched, const pm_sched_start *start)
{
    const uint32_t reserve = sched->running_count > 0 ? sched->params.reserve_pages : 0;
    return (uint64_t)start->cost + reserve <= pm_kv_pages_free_count(sched->pages);
}

static void swap_in(pm_sched *sched, pm_sequence *sequence)
{
    pm_batch *batch = sched->batch;
    uint32_t count = 0;
    const bool done = pm_kv_swap_in(&sched->swap, sched->pages, &sequence->table,
                                    batch->swap_ins + batch->swap_in_count,
                                    batch->moves_max - batch->swap_in_count, &count);
    pm_assert(done);
    batch->swap_in_count += count;
    sched->stats.swapped_in += count;
}

void pm_sched_start_now(pm_sched *sched, pm_sequence *sequence, const pm_sched_start *start)
{
    pm_block_table *table = &sequence->table;
    const bool swapped = sequence->state == PM_SEQ_SWAPPED;
    pm_sched_unwait(sched, sequence);
    if (swapped)
        swap_in(sched, sequence);
    else if (start->from_parent)
        pm_kv_pages_share(sched->pages, table, &sequence->parent->table, start->cached);
    else
        pm_kv_pages_adopt(sched->pages, table, 0, start->adopt);
    const bool grown = pm_kv_pages_write(sched->pages, table, start->cached, start->target);
    pm_assert(grown);
    pm_sched_leave_parent(sched, sequence);
    pm_sched_run(sched, sequence);
    sequence->computed = sequence->scheduled = start->cached;
    if (!swapped) {
        sched->stats.prompt_tokens += sequence->token_count;
        sched->stats.cached_tokens += start->cached;
    }
    if (sequence->admitted_ns == 0) {
        sequence->cached_tokens = start->cached;
        sequence->admitted_ns = sched->now_ns > 0 ? sched->now_ns : 1;
        sched->stats.queue_ns += sched->now_ns - sequence->arrival_ns;
        sched->stats.admissions++;
    }
}

/* One that gave way, or has been passed often enough, is not passed again. */
static bool may_be_passed(const pm_sched *sched, const pm_sequence *sequence)
{
    return sequence->preemptions == 0 && sequence->passed < sched->params.pass_max;
}

static void count_passed(pm_sched *sched, const pm_sequence *sequence)
{
    for (pm_sequence *other = sched->waiting_head; other != sequence; other = other->next)
        other->passed++;
}

void pm_sched_admit(pm_sched *sched)
{
    uint32_t looked = 0;
    for (pm_sequence *sequence = sched->waiting_head, *next; sequence != NULL; sequence = next) {
        next = sequence->next;
        if (sched->running_count == sched->params.max_seqs || looked == LOOK_AHEAD)
            return;
        if (sequence->picked > 0) /* its last token comes with the batch in flight */
            return;
        const pm_sched_start start = pm_sched_plan_start(sched, sequence);
        if (pm_sched_start_fits(sched, &start)) {
            count_passed(sched, sequence);
            pm_sched_start_now(sched, sequence, &start);
        } else if (sched->running_count == 0) {
            pm_sched_end(sched, sequence, PM_SEQ_FULL);
        } else if (may_be_passed(sched, sequence)) {
            looked++;
        } else {
            return;
        }
    }
}

void pm_sched_adopt_late(pm_sched *sched, pm_sequence *sequence)
{
    pm_block_table *table = &sequence->table;
    const uint32_t page_tokens = sched->params.page_tokens, from = sequence->scheduled / page_tokens;
    if (!uses_cache(sched, sequence) || sequence->scheduled % page_tokens != 0 || sequence->picked > 0)
        return;
    uint32_t revived;
    const uint32_t to = pm_sched_min(cacheable(sequence) / page_tokens, table->named);
    const uint32_t found = pm_kv_pages_match(sched->pages, table, from, to, &revived);
    if (found == 0)
        return;
    pm_kv_pages_adopt(sched->pages, table, from, found);
    sched->stats.cached_tokens += found * page_tokens;
    if (sequence->preemptions == 0) /* else they may be what it has read itself */
        sequence->cached_tokens += found * page_tokens;
    if (sequence->computed == sequence->scheduled)
        sequence->computed += found * page_tokens;
    sequence->scheduled += found * page_tokens;
}

/* sched/sequence.c - one sequence of tokens on its way through the engine. */
#include "sched/sequence.h"

#include "base/alloc.h"

pm_result pm_sequence_init(pm_sequence *sequence, uint32_t token_capacity, uint32_t page_tokens)
{
    *sequence = (pm_sequence){.token_capacity = token_capacity, .logits_from = PM_LOGITS_LAST,
                              .place = {UINT32_MAX, UINT32_MAX}};
    const uint32_t pages = token_capacity / page_tokens + (token_capacity % page_tokens != 0);
    PM_TRY(pm_block_table_init(&sequence->table, pages));
    sequence->tokens = pm_alloc(token_capacity, sizeof(*sequence->tokens), "sequence tokens");
    if (sequence->tokens != NULL)
        return PM_OK;
    pm_block_table_finish(&sequence->table);
    return PM_ERR_NOMEM;
}

void pm_sequence_finish(pm_sequence *sequence)
{
    pm_block_table_finish(&sequence->table);
    pm_free(sequence->tokens);
    sequence->tokens = NULL;
}

void pm_sequence_append(pm_sequence *sequence, int32_t token)
{
    pm_assert(sequence->token_count < sequence->token_capacity && sequence->drafts == 0);
    sequence->tokens[sequence->token_count++] = token;
}

bool pm_sequence_may_draft(const pm_sequence *sequence)
{
    return sequence->state == PM_SEQ_RUNNING && sequence->picked == 0 && sequence->computed == sequence->scheduled &&
           sequence->scheduled + 1 == sequence->token_count - sequence->drafts &&
           sequence->token_count + 1 < sequence->token_capacity;
}

uint32_t pm_sequence_draft(pm_sequence *sequence, const int32_t *tokens, uint32_t count)
{
    uint32_t taken = 0;
    for (; taken < count && pm_sequence_may_draft(sequence); taken++, sequence->drafts++)
        sequence->tokens[sequence->token_count++] = tokens[taken];
    return taken;
}

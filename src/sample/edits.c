/* sample/edits.c - the edits of a step's rows. */
#include "sample/edits.h"

#include "base/alloc.h"
#include "sample/penalty.h"

#include <string.h>

pm_result pm_edits_init(pm_edits *e, uint32_t vocab)
{
    *e = (pm_edits){.vocab = vocab};
    e->place = pm_alloc(vocab, sizeof(*e->place), "edits");
    e->row = pm_alloc(vocab, sizeof(*e->row), "edits");
    if (e->place != NULL && e->row != NULL)
        return PM_OK;
    pm_edits_finish(e);
    return PM_ERR_NOMEM;
}

void pm_edits_finish(pm_edits *e)
{
    pm_free(e->place);
    pm_free(e->row);
    *e = (pm_edits){0};
}

void pm_edits_start(pm_edits *e, pm_sample_edit *pool, uint32_t pool_max)
{
    pm_assert(e->row_count == 0);
    e->pool = pool;
    e->pool_max = pool_max;
    e->pool_count = 0;
}

/* The token's edit, made when it is the first time; NULL outside the vocabulary. */
static pm_sample_edit *edit_of(pm_edits *e, int32_t token)
{
    if (token < 0 || (uint32_t)token >= e->vocab)
        return NULL;
    if (e->place[token] == 0) {
        e->row[e->row_count] = (pm_sample_edit){.token = (uint32_t)token};
        e->place[token] = ++e->row_count;
    }
    return &e->row[e->place[token] - 1];
}

void pm_edits_bias(pm_edits *e, int32_t token, float bias)
{
    pm_sample_edit *edit = edit_of(e, token);
    if (edit != NULL)
        edit->bias += bias;
}

void pm_edits_said(pm_edits *e, const int32_t *tokens, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        pm_sample_edit *edit = edit_of(e, tokens[i]);
        if (edit != NULL)
            edit->said++;
    }
}

void pm_edits_recent(pm_edits *e, const int32_t *tokens, uint32_t count, bool in_flight)
{
    const uint32_t most = PM_PENALTY_TOKENS - (in_flight ? 1 : 0);
    for (uint32_t i = count < most ? 0 : count - most; i < count; i++) {
        pm_sample_edit *edit = edit_of(e, tokens[i]);
        if (edit != NULL)
            edit->said |= PM_SAMPLE_RECENT;
    }
}

bool pm_edits_end(pm_edits *e, pm_sample_row *row)
{
    const uint32_t count = e->row_count;
    const bool fits = count <= e->pool_max - e->pool_count;
    for (uint32_t i = 0; i < count; i++)
        e->place[e->row[i].token] = 0;
    if (fits && count > 0)
        memcpy(&e->pool[e->pool_count], e->row, count * sizeof(*e->row));
    row->edit_start = fits ? e->pool_count : 0;
    row->edit_count = fits ? count : 0;
    e->pool_count += row->edit_count;
    e->row_count = 0;
    return fits;
}

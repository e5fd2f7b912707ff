/* sample/edits.h - the edits of a step's rows, made from what their requests ask for. Floor 1, host only.
 *
 * A row's edits are begun, filled in any order, and ended; a token has one, however often it is
 * named. All rows share one pool, which lies where the device reads it. Nothing is allocated
 * after init.
 */
#ifndef PM_SAMPLE_EDITS_H
#define PM_SAMPLE_EDITS_H

#include "base/error.h"
#include "sample_row.h"

#include <stdbool.h>

typedef struct pm_edits {
    uint32_t vocab;
    uint32_t *place;               /* [vocab] 1 + index of the token's edit in this row; 0 between two rows */
    pm_sample_edit *pool;          /* [pool_max] borrowed, may be write-combined: never read */
    pm_sample_edit *row;           /* [vocab] of the row that is being made */
    uint32_t pool_max, pool_count, row_count;
} pm_edits;

/* Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_edits_init(pm_edits *edits, uint32_t vocab);
void pm_edits_finish(pm_edits *edits);

/* A new step: rows are written to pool [pool_max]. */
void pm_edits_start(pm_edits *edits, pm_sample_edit *pool, uint32_t pool_max);

/* For the row that is being made; ids outside the vocabulary are passed over.
 * bias: added; -inf: never this token.
 * said: tokens [count] that were generated, each time counted.
 * recent: the tokens [count] that the repetition penalty looks at, of which the newest
 * PM_PENALTY_TOKENS are taken, or one fewer when a token in flight is to join them. */
void pm_edits_bias(pm_edits *edits, int32_t token, float bias);
void pm_edits_said(pm_edits *edits, const int32_t *tokens, uint32_t count);
void pm_edits_recent(pm_edits *edits, const int32_t *tokens, uint32_t count, bool in_flight);

/* Ends the row: its edits go to the pool, and row says where. False, and the row has none, when
 * the pool has no room for them: its token must be picked on the host. */
bool pm_edits_end(pm_edits *edits, pm_sample_row *row);

#endif /* PM_SAMPLE_EDITS_H */

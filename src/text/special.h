/* text/special.h - finds tokens that stand in a text as they are. Floor 1.
 *
 * A tree over the pieces of control, unknown and user-defined tokens. The leftmost
 * one counts, and of those that begin there the longest. Immutable after init.
 */
#ifndef PM_TEXT_SPECIAL_H
#define PM_TEXT_SPECIAL_H

#include "text/vocab.h"

typedef struct pm_special {
    struct pm_special_node *nodes; /* owned; node 0 is the root */
    uint32_t node_count;
    uint32_t first[256];           /* the root's children by byte; 0 = none */
} pm_special;

/* Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_special_init(pm_special *special, const pm_vocab *vocab);
void pm_special_finish(pm_special *special);  /* fine on zeroed memory */

/* The first token in text[from .. len): its place in *at and *size, its id
 * returned; -1 and *at = len when there is none. Control and unknown tokens count
 * only when `control`. */
int32_t pm_special_find(const pm_special *special, const pm_vocab *vocab, const char *text, size_t len, size_t from,
                        bool control, size_t *at, size_t *size);

#endif /* PM_TEXT_SPECIAL_H */

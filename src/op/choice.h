/* op/choice.h - what is best on a device, by tuning or by its family's presets, where the ops' tables leave a choice.
 * Floor 2.
 *
 * A choice says, for one shape of an op and a range of rows, which row of that op's variant table serves, and
 * how it is cut: fields of pm_matmul and pm_attention. It goes before the op's own rule, and behind
 * PUMICE_VARIANT. It is not looked at for what is recorded as deterministic, since it is by rows, and a
 * sequence's bits may not depend on who shares its batch; and where the device lacks what the variant needs
 * (PUMICE_CAPS masks it, say), or the self-test switched it off, the op's own rule decides.
 *
 * A device has its choices by pointer (pm_vk_caps.choices); op/choice_file.h keeps them on disk. */
#ifndef PM_OP_CHOICE_H
#define PM_OP_CHOICE_H

#include "base/error.h"

#include <stdint.h>

typedef enum pm_choice_op { PM_CHOICE_MATMUL, PM_CHOICE_ATTENTION, PM_CHOICE_STEP, PM_CHOICE_OPS } pm_choice_op;

#define PM_CHOICES_MAX 4096u
#define PM_CHOICE_ROWS_MAX 2048u   /* of a step */

typedef struct pm_choice {
    pm_choice_op op;
    uint32_t type;                 /* pm_dtype of weights, pm_kv_type of pages; 0 for a step */
    uint32_t shape[3];             /* matmul: n, k, 0; attention: heads, kv_heads, head_dim; a step: dim, hidden,
                                      layers; all zero = every shape that has no choice of its own */
    bool decode;                   /* attention: sequences have one row each */
    uint32_t rows_first, rows_last; /* rows_max of the calls that it is for, 1 to PM_CHOICE_ROWS_MAX; a step: both
                                      are the most rows that it should have */
    uint32_t variant;              /* row of the op's table; a step: 0 */
    uint32_t lanes, slices;        /* matmul; 0 = as the op does it */
    uint32_t splits;               /* attention; likewise */
    bool is_preset;                /* ships with the program (op/preset.h); the other ones were tuned */
} pm_choice;

/* All zero has none. */
typedef struct pm_choices {
    pm_choice *list;               /* [count] owned */
    uint32_t count, capacity;
} pm_choices;

void pm_choices_finish(pm_choices *choices);

/* Takes out what is for key's op, type, shape and decode, and for some of its rows. */
void pm_choices_drop(pm_choices *choices, const pm_choice *key);

/* Takes the place of what pm_choices_drop() takes out. Errors: PM_ERR_NOMEM, PM_ERR_FULL (PM_CHOICES_MAX are
 * there). */
PM_MUST_USE pm_result pm_choices_add(pm_choices *choices, const pm_choice *choice);

/* Puts it behind all others, of which it replaces none: it serves where they do not. Errors: as above. */
PM_MUST_USE pm_result pm_choices_append(pm_choices *choices, const pm_choice *choice);

/* The first choice for key's op, type, shape and decode whose rows include rows_first, else that for every shape;
 * NULL = there is none. choices: NULL has none. Borrowed. */
const pm_choice *pm_choices_find(const pm_choices *choices, const pm_choice *key);

#endif /* PM_OP_CHOICE_H */

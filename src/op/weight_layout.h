/* op/weight_layout.h - the packed layout of each type, for the ops that read it. Floor 2,
 * inside op/ only. */
#ifndef PM_OP_WEIGHT_LAYOUT_H
#define PM_OP_WEIGHT_LAYOUT_H

#include "op/weight.h"

typedef struct pm_weight_layout {
    pm_dtype type;
    uint32_t unit;                 /* elements: the shortest run that fills whole pieces and words */
    uint32_t pieces;               /* of 16 bytes, in a unit */
    uint32_t scales;               /* words of 4 bytes, in a unit */
    const char *pack;              /* module that packs it */
} pm_weight_layout;

/* NULL when no kernel reads the type. */
const pm_weight_layout *pm_weight_layout_of(pm_dtype type);

/* What push constants say of a matrix. */
typedef struct pm_weight_view {
    uint64_t pieces, scales;       /* addresses */
    uint32_t group_pieces, group_scales; /* bytes of one group of PM_WEIGHT_GROUP rows */
    uint32_t blocks;               /* of 32 elements, in a row */
} pm_weight_view;
pm_weight_view pm_weight_view_of(const pm_weight *weight);

/* "<op>_<stem>". Errors: PM_ERR_UNSUP (no kernel reads the type). */
PM_MUST_USE pm_result pm_weight_module(const char *op, pm_dtype type, char *name, size_t capacity);

#endif /* PM_OP_WEIGHT_LAYOUT_H */

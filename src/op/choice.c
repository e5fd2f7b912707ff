/* op/choice.c - what is best on a device, where the ops' tables leave a choice. */
#include "op/choice.h"

#include "base/alloc.h"

#include <string.h>

void pm_choices_finish(pm_choices *choices)
{
    pm_free(choices->list);
    *choices = (pm_choices){0};
}

static bool same_kind(const pm_choice *a, const pm_choice *b)
{
    return a->op == b->op && a->type == b->type && a->decode == b->decode;
}

static bool same_shape(const pm_choice *a, const uint32_t shape[3])
{
    return memcmp(a->shape, shape, sizeof(a->shape)) == 0;
}

/* A model has one length of a step. */
static bool overlap(const pm_choice *a, const pm_choice *b)
{
    return a->op == PM_CHOICE_STEP || (a->rows_first <= b->rows_last && b->rows_first <= a->rows_last);
}

void pm_choices_drop(pm_choices *choices, const pm_choice *key)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < choices->count; i++) {
        const pm_choice *c = &choices->list[i];
        if (!same_kind(c, key) || !same_shape(c, key->shape) || !overlap(c, key))
            choices->list[kept++] = *c;
    }
    choices->count = kept;
}

pm_result pm_choices_append(pm_choices *choices, const pm_choice *choice)
{
    if (choices->count == PM_CHOICES_MAX)
        return pm_fail(PM_ERR_FULL, "%u choices are kept for this device, the most there can be", PM_CHOICES_MAX);
    if (choices->count == choices->capacity) {
        const uint32_t capacity = choices->capacity ? choices->capacity * 2 : 32;
        pm_choice *grown = pm_realloc(choices->list, capacity, sizeof(*grown), "choices");
        if (grown == NULL)
            return PM_ERR_NOMEM;
        choices->list = grown;
        choices->capacity = capacity;
    }
    choices->list[choices->count++] = *choice;
    return PM_OK;
}

pm_result pm_choices_add(pm_choices *choices, const pm_choice *choice)
{
    pm_choices_drop(choices, choice);
    return pm_choices_append(choices, choice);
}

static const pm_choice *find(const pm_choices *choices, const pm_choice *key, const uint32_t shape[3])
{
    for (uint32_t i = 0; i < choices->count; i++) {
        const pm_choice *c = &choices->list[i];
        const bool has_rows = c->rows_first <= key->rows_first && key->rows_first <= c->rows_last;
        if (same_kind(c, key) && same_shape(c, shape) && (has_rows || c->op == PM_CHOICE_STEP))
            return c;
    }
    return NULL;
}

const pm_choice *pm_choices_find(const pm_choices *choices, const pm_choice *key)
{
    static const uint32_t every[3];
    if (choices == NULL)
        return NULL;
    const pm_choice *own = find(choices, key, key->shape);
    return own != NULL ? own : find(choices, key, every);
}

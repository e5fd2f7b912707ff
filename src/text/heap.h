/* text/heap.h - the queue of merges that a piece of text still offers. Floor 1.
 *
 * A binary heap of fixed room: at most one entry per neighbouring pair at the
 * start and two per merge, so 3n for n symbols. The smallest key comes first; equal
 * keys by the leftmost place.
 */
#ifndef PM_TEXT_HEAP_H
#define PM_TEXT_HEAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct pm_merge {
    uint64_t key;                  /* rank or score, then the left symbol */
    uint32_t right;                /* the right symbol */
    uint32_t check;                /* what the pair was when it was queued */
} pm_merge;

typedef struct pm_heap {
    pm_merge *items;               /* [capacity], borrowed */
    size_t count;
} pm_heap;

static inline void pm_heap_push(pm_heap *heap, pm_merge item)
{
    size_t at = heap->count++;
    while (at > 0 && item.key < heap->items[(at - 1) / 2].key) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = item;
}

static inline uint32_t pm_merge_left(pm_merge merge)
{
    return (uint32_t)merge.key;
}

/* The heap must not be empty. */
static inline pm_merge pm_heap_pop(pm_heap *heap)
{
    const pm_merge top = heap->items[0], last = heap->items[--heap->count];
    size_t at = 0;
    for (size_t child = 1; child < heap->count; child = 2 * at + 1) {
        if (child + 1 < heap->count && heap->items[child + 1].key < heap->items[child].key)
            child++;
        if (last.key <= heap->items[child].key)
            break;
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return top;
}

#endif /* PM_TEXT_HEAP_H */

/* text/special.c - a byte tree of special pieces. */
#include "text/special.h"

#include "base/alloc.h"

typedef struct pm_special_node {
    int32_t id;                    /* of the piece that ends here, or -1 */
    uint32_t child, sibling;       /* 0 = none */
    unsigned char byte;
} node;

static bool is_split_out(const pm_vocab *vocab, uint32_t id)
{
    return pm_vocab_is_special(vocab, (int32_t)id) || vocab->types[id] == PM_TOKEN_USER_DEFINED;
}

static uint32_t child_of(const pm_special *special, uint32_t parent, unsigned char byte)
{
    if (parent == 0)
        return special->first[byte];
    uint32_t at = special->nodes[parent].child;
    while (at != 0 && special->nodes[at].byte != byte)
        at = special->nodes[at].sibling;
    return at;
}

static uint32_t add_child(pm_special *special, uint32_t parent, unsigned char byte)
{
    const uint32_t at = special->node_count++;
    special->nodes[at] = (node){.id = -1, .byte = byte};
    if (parent == 0) {
        special->first[byte] = at;
    } else {
        special->nodes[at].sibling = special->nodes[parent].child;
        special->nodes[parent].child = at;
    }
    return at;
}

static void add_piece(pm_special *special, const char *piece, uint32_t len, uint32_t id)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < len; i++) {
        const uint32_t child = child_of(special, at, (unsigned char)piece[i]);
        at = child != 0 ? child : add_child(special, at, (unsigned char)piece[i]);
    }
    if (at != 0)
        special->nodes[at].id = (int32_t)id;
}

pm_result pm_special_init(pm_special *special, const pm_vocab *vocab)
{
    *special = (pm_special){0};
    size_t bytes = 0;
    for (uint32_t id = 0; id < vocab->pieces.count; id++) {
        uint32_t len;
        (void)pm_pieces_get(&vocab->pieces, id, &len);
        bytes += is_split_out(vocab, id) ? len : 0;
    }
    special->nodes = pm_alloc(bytes + 1, sizeof(*special->nodes), "special tokens");
    if (special->nodes == NULL)
        return PM_ERR_NOMEM;
    special->nodes[0].id = -1;
    special->node_count = 1;
    for (uint32_t id = 0; id < vocab->pieces.count; id++) {
        uint32_t len;
        const char *piece = pm_pieces_get(&vocab->pieces, id, &len);
        if (is_split_out(vocab, id))
            add_piece(special, piece, len, id);
    }
    return PM_OK;
}

void pm_special_finish(pm_special *special)
{
    pm_free(special->nodes);
    *special = (pm_special){0};
}

int32_t pm_special_find(const pm_special *special, const pm_vocab *vocab, const char *text, size_t len, size_t from,
                        bool control, size_t *at, size_t *size)
{
    for (size_t start = from; start < len; start++) {
        int32_t found = -1;
        uint32_t place = special->first[(unsigned char)text[start]];
        for (size_t end = start + 1; place != 0; end++) {
            const int32_t id = special->nodes[place].id;
            if (id >= 0 && (control || !pm_vocab_is_special(vocab, id))) {
                found = id;
                *size = end - start;
            }
            place = end < len ? child_of(special, place, (unsigned char)text[end]) : 0;
        }
        if (found >= 0) {
            *at = start;
            return found;
        }
    }
    *at = len;
    *size = 0;
    return -1;
}

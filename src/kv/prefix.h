/* kv/prefix.h - what a page's content is called: a chained 128-bit hash. Floor 1, host only.
 *
 *   root    = H(key, adapter, salt)                what may be shared at all
 *   page[0] = H(key, root,     tokens of page 0)
 *   page[i] = H(key, page[i-1], tokens of page i)
 *
 * Two pages have the same name when every token up to their end is the same, under the
 * same adapter and the same salt (a tenant's), so that nothing is shared across either.
 * H is SipHash-2-4 with 128 bits of output under a secret key: whoever picks the tokens
 * cannot look for two prompts of one name. Names are all that is compared, not tokens: among
 * n pages two have one name by chance with a probability of n^2 / 2^129, for 2^40 pages (16
 * million tokens a second for 12 days, pages of 16) less than 10^-14, far below that of a bit
 * that flips in the pages themselves.
 *
 * Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT
 * 2012, and its authors' 128-bit variant; W. Kwon et al., SOSP 2023, arXiv:2309.06180.
 */
#ifndef PM_KV_PREFIX_H
#define PM_KV_PREFIX_H

#include "base/error.h"

typedef struct pm_prefix_hash {
    uint64_t word[2];
} pm_prefix_hash;

static inline bool pm_prefix_equal(pm_prefix_hash a, pm_prefix_hash b)
{
    return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

/* SipHash-2-4, 128 bits of output, of `bytes` bytes under `key`. */
pm_prefix_hash pm_prefix_siphash(pm_prefix_hash key, const void *data, size_t bytes);

/* A key from the operating system, so that names differ from run to run. */
pm_prefix_hash pm_prefix_key_draw(void);

/* salt: [bytes], NULL with 0 bytes for none. adapter: 0 = the model as it is. */
pm_prefix_hash pm_prefix_root(pm_prefix_hash key, uint32_t adapter, const void *salt, size_t bytes);

/* The name of the page that holds tokens[0..count) after the page called `parent`. */
pm_prefix_hash pm_prefix_next(pm_prefix_hash key, pm_prefix_hash parent, const int32_t *tokens, uint32_t count);

#endif /* PM_KV_PREFIX_H */

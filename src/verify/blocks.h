/* verify/blocks.h - random weights of any tensor type, as a file holds them. Floor 3.
 *
 * Any bits are a legal block, but for its scales: those are kept finite, between 2^-7 and
 * 2^-3 in size, and zero in one block of 17.
 */
#ifndef PM_VERIFY_BLOCKS_H
#define PM_VERIFY_BLOCKS_H

#include "gguf/dtype.h"

/* blocks: `bytes` bytes, whole blocks of `type`. */
void pm_verify_blocks(pm_dtype type, uint64_t seed, uint8_t *blocks, uint64_t bytes);

#endif /* PM_VERIFY_BLOCKS_H */

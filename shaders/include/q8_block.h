/* q8_block.h - activations in 8-bit blocks of 32, as quantise.comp writes them. */
#ifndef PM_Q8_BLOCK_H
#define PM_Q8_BLOCK_H

/* Rows lie in chunks of 4, and a chunk's blocks of 32 after each other, so that a kernel
 * has all of a chunk's block at one address: 8 words of int8 for each row, then 2 words
 * for each row. */
#define PM_Q8_CHUNK 4u             /* rows */
#define PM_Q8_WORDS 40u            /* of a block of a chunk */

#endif /* PM_Q8_BLOCK_H */

/* op/weight.h - a weight matrix on the device, in its packed layout. Floor 2.
 *
 * GGUF's own blocks never reach a hot kernel: at load, a shader (or the host: op/pack_host.h) repacks them into
 * pieces of 16 bytes (quants) and separate scales, with the rows of one group of
 * PM_WEIGHT_GROUP interleaved, so that neighbouring lanes, which own neighbouring
 * rows, read neighbouring bytes. The layout of each type is one row of
 * weight_layouts[] in weight.c and one file shaders/include/weight_<type>.glsl.
 *
 *   piece p of row r:  pieces + ((r / G * pieces_per_row + p) * G + r % G) * 16
 *   scale s of row r:  scales + ((r / G * scales_per_row + s) * G + r % G) * scale_bytes
 *
 * A type may do without pieces: 2 and 3 bits a weight are words of the scales, so that a lane
 * loads no byte that it does not use. A codebook type has its grid, as in gguf/codebook.h, before
 * the pieces: 1 to 8 KiB a matrix, which shaders find without an address of its own.
 *
 * Rows are padded to a multiple of G with zero weights; k is padded to a multiple
 * of 32 (F32, F16, BF16) or is a multiple of the type's block.
 * Values are those of pm_dequant_row(), exactly.
 */
#ifndef PM_OP_WEIGHT_H
#define PM_OP_WEIGHT_H

#include "gguf/dtype.h"
#include "vk/record.h"

#define PM_WEIGHT_GROUP 32u        /* G: rows interleaved */
#define PM_ROW_ALIGN 32u           /* activations: row strides are multiples of it */

/* dim rounded up to PM_ROW_ALIGN: the stride, in floats, of an activation row. */
static inline uint32_t pm_row_stride(uint32_t dim)
{
    return (dim + PM_ROW_ALIGN - 1) / PM_ROW_ALIGN * PM_ROW_ALIGN;
}

/* [n, k]: y = W x has n outputs and k inputs. */
typedef struct pm_weight {
    pm_dtype type;
    uint32_t n, k;                 /* elements; n < 2^31, k < 2^31 */
    pm_slice data;                 /* pm_weight_bytes() of device memory, 256-aligned */
} pm_weight;

/* True when matmul and embedding run this type. */
bool pm_weight_supported(pm_dtype type);

/* Device bytes of a packed [n, k] matrix. */
uint64_t pm_weight_bytes(pm_dtype type, uint32_t n, uint32_t k);

/* Bytes a kernel must read to use every weight once (no padding rows). */
uint64_t pm_weight_read_bytes(const pm_weight *weight);

/* Records: repack `rows` rows of the file's blocks (raw: rows * row bytes, offset a
 * multiple of 4) into weight rows row_base .. row_base + rows - 1. Concatenated
 * matrices (QKV, gate and up) are packed with one call per source tensor. With row 0 goes
 * the grid of a codebook type.
 * Errors: PM_ERR_UNSUP (names the type). */
PM_MUST_USE pm_result pm_weight_pack_record(pm_vk_recorder *recorder, const pm_weight *weight,
                                            uint32_t row_base, uint32_t rows, pm_slice raw);

#endif /* PM_OP_WEIGHT_H */

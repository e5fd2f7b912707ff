/* model/rope.h - the table of rotations, made on the host in double. Floor 3.
 *
 * Vulkan's sin and cos may err by 2^-11, so no shader calls them: entry [p, i] is
 * (cos a, sin a) with a = p / rope_factor * theta^(-2 i / rotary_dim) / f_i, and f_i
 * from the file's rope_freqs.weight (Llama 3 scaling), else 1.
 * Source: J. Su et al., "RoFormer", 2021, arXiv:2104.09864, section 3.4.2.
 */
#ifndef PM_MODEL_ROPE_H
#define PM_MODEL_ROPE_H

#include "model/hparams.h"
#include "vk/buffer.h"

/* Device bytes of the table for positions 0 .. context - 1. */
uint64_t pm_rope_table_bytes(const pm_hparams *hparams, uint32_t context);

/* Errors: PM_ERR_FORMAT (rope_freqs.weight has the wrong shape or a value that is not
 * a positive number), PM_ERR_NOMEM, PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_rope_table_upload(pm_vk_device *device, const pm_gguf *gguf, const pm_hparams *hparams,
                                           uint32_t context, pm_slice table);

#endif /* PM_MODEL_ROPE_H */

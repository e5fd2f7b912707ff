/* model/arch.h - THE table of architectures. Floor 3.
 *
 * All are decoders of one shape: RMS norm, attention with rotary positions, RMS norm,
 * SwiGLU. What differs is a column here.
 */
#ifndef PM_MODEL_ARCH_H
#define PM_MODEL_ARCH_H

#include "base/error.h"

typedef struct pm_arch {
    const char *name;              /* general.architecture, prefix of its keys */
    const char *models;            /* for README and messages */
    bool neox;                     /* rotary pairs (i, i + rotary_dim / 2), else (2i, 2i + 1) */
    bool window;                   /* <name>.attention.sliding_window is a mask of every layer */
} pm_arch;

/* NULL when unknown. */
const pm_arch *pm_arch_find(const char *name, size_t len);

/* "llama, qwen2", for messages. Static storage. */
const char *pm_arch_names(void);

#endif /* PM_MODEL_ARCH_H */

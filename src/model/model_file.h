/* model/model_file.h - the file behind pm_model_file of pumice.h. Floor 3. */
#ifndef PM_MODEL_MODEL_FILE_H
#define PM_MODEL_MODEL_FILE_H

#include "gguf/gguf.h"

/* Borrowed, until the file is closed. */
const pm_gguf *pm_model_file_gguf(const pm_model_file *file);

#endif /* PM_MODEL_MODEL_FILE_H */

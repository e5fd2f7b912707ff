/* op/choice_file.h - a device's choices on disk, beside its pipeline cache. Floor 2.
 *
 * Text, a line each:
 *
 *   pumice tuning 1
 *   device <key>
 *   matmul q8_0 2304x768 rows 1-1: rows8 lanes 32 slices 4
 *   attention f16 12/12x64 decode rows 1-2: split splits 8
 *   attention f16 12/12x64 prompt rows 9-16: prefill splits 0
 *   step 768x2048x12 rows 1024
 *
 * The first line numbers the format. The key is that of the file's own name: device, driver and shaders, so that
 * a copy under another name is found out. A shape of zeros, as 0x0, stands for every shape. Each number
 * is checked against its range, and each variant against the op's table; whether the device can run it
 * is checked where it is picked. */
#ifndef PM_OP_CHOICE_FILE_H
#define PM_OP_CHOICE_FILE_H

#include "base/str.h"
#include "op/choice.h"
#include "vk/device.h"

/* text: [bytes], any bytes. *out: pm_choices_finish(); untouched on failure. Errors: PM_ERR_FORMAT (the line, what
 * is there and what was expected), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_choices_parse(const char *text, size_t bytes, const char *key, pm_choices *out);

/* Appends what pm_choices_parse() reads. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_choices_print(const pm_choices *choices, const char *key, pm_str *out);

/* What is kept for this device, driver and build. A file that is bad or another's is left out, with a warning
 * that names it and what was expected; without a file, and with PUMICE_CACHE=0, there is none.
 * *out: pm_choices_finish(). Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_choices_read(const pm_vk_device *device, pm_choices *out);

/* One line of it. */
PM_MUST_USE pm_result pm_choice_print(const pm_choice *choice, pm_str *out);

/* What is to be used: of the file all, or with PUMICE_TUNE=0 nothing; behind it the presets of the device's family, or
 * with PUMICE_PRESETS=0 none. */
PM_MUST_USE pm_result pm_choices_load(const pm_vk_device *device, pm_choices *out);

/* Replaces the file, atomically. path: [capacity] gets its name. Errors: PM_ERR_STATE (PUMICE_CACHE=0), PM_ERR_IO,
 * PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_choices_save(const pm_vk_device *device, const pm_choices *choices, char *path,
                                      size_t capacity);

#endif /* PM_OP_CHOICE_FILE_H */

/* vk/record.h - a list of dispatches, recorded once, replayed many times. Floor 1.
 *
 * A recorder collects dispatches with the byte ranges each reads and writes, and
 * puts a barrier before a dispatch only when one of its ranges overlaps a range
 * that an earlier dispatch since the last barrier wrote (read after write, write
 * after write) or read (write after read). pm_vk_recorder_end() builds its missing
 * pipelines in parallel, then records command buffers. Replaying them allocates
 * nothing. Submissions are bounded: the commands are cut at segment marks, and as
 * many segments, of one list or of lists submitted together, go into one submission
 * as fit into pm_vk_device_limit_submissions() by the times of the run before (each by
 * itself in the first run; on a CPU driver always all at once).
 */
#ifndef PM_VK_RECORD_H
#define PM_VK_RECORD_H

#include "vk/pipeline.h"

typedef struct pm_vk_recorder pm_vk_recorder;
typedef struct pm_vk_commands pm_vk_commands;

#define PM_VK_ACCESS_MAX 16

typedef struct pm_vk_access {
    pm_slice slice;                /* no slice: ignored */
    bool write;                    /* else read; list both for in-place */
} pm_vk_access;

typedef struct pm_vk_dispatch {
    const char *op;                /* profile row, static storage: "matmul.q8_0" */
    const pm_vk_pipeline *pipeline;
    const void *push;              /* push_bytes of the pipeline's key; copied */
    pm_vk_texels texels[PM_VK_TEXELS_MAX]; /* as many as the pipeline's key says; their slices are listed under
                                      access, too */
    uint32_t groups[3];            /* each in [1, device limit] (else PM_ERR_UNSUP) */
    uint32_t access_count;
    pm_vk_access access[PM_VK_ACCESS_MAX];
    uint64_t bytes;                /* it must move at least; for the profile */
    uint64_t flops;
} pm_vk_dispatch;

PM_MUST_USE pm_result pm_vk_recorder_create(pm_vk_device *device, pm_vk_recorder **out);
void pm_vk_recorder_destroy(pm_vk_recorder *recorder);
pm_vk_device *pm_vk_recorder_device(const pm_vk_recorder *recorder);

PM_MUST_USE pm_result pm_vk_record(pm_vk_recorder *recorder, const pm_vk_dispatch *dispatch);

/* Copies src to dst, of equal size (any memory kinds; multiple of 4 bytes). */
PM_MUST_USE pm_result pm_vk_record_copy(pm_vk_recorder *recorder, pm_slice dst, pm_slice src);

/* Writes host bytes, at most 64 KiB and a multiple of 4, to dst. data is read in
 * pm_vk_recorder_end(). */
PM_MUST_USE pm_result pm_vk_record_write(pm_vk_recorder *recorder, pm_slice dst, const void *data);

/* A submission may end here (between layers, say). */
void pm_vk_record_segment(pm_vk_recorder *recorder);

/* Builds its pipelines, records, and empties the recorder. *out: owned. */
PM_MUST_USE pm_result pm_vk_recorder_end(pm_vk_recorder *recorder, pm_vk_commands **out);
void pm_vk_commands_destroy(pm_vk_commands *commands); /* NULL is fine; waits */

/* Submits the lists, each after the one before and after all that was submitted earlier;
 * returns while the device works. Host writes to UPLOAD memory made before are visible to
 * it. None of them is in flight already, and each is waited for, in the order of
 * submission. No allocation, no recording. Errors: PM_ERR_DEVICE, PM_ERR_LOST; then
 * nothing is in flight any more. */
PM_MUST_USE pm_result pm_vk_commands_submit(pm_vk_commands *const *list, uint32_t count);

/* Waits until the device has finished these, if they are in flight; its writes to READBACK
 * memory are then visible. Errors: as above. */
PM_MUST_USE pm_result pm_vk_commands_wait(pm_vk_commands *commands);

/* Submits and waits. */
PM_MUST_USE pm_result pm_vk_commands_run(pm_vk_commands *commands);

/* Dispatches recorded, for dumps and tests. */
uint32_t pm_vk_commands_dispatches(const pm_vk_commands *commands);
uint32_t pm_vk_commands_barriers(const pm_vk_commands *commands);

/* Submissions that the next run will make. */
uint32_t pm_vk_commands_submissions(const pm_vk_commands *commands);

/* Sums of the timestamps of all runs on this device, by op; see
 * pm_engine_profile(). Errors: PM_ERR_STATE (opened without profile, or no
 * timestamps on this device). */
PM_MUST_USE pm_result pm_vk_profile(pm_vk_device *device, pm_profile_row *rows, size_t capacity, size_t *count);

#endif /* PM_VK_RECORD_H */

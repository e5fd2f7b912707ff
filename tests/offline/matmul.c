/* offline/matmul.c - the matmul that Pumice would take, as AMD's compiler makes it, for bench/static_peer.py.
 *
 *     offline_matmul TYPE ROWS N K      y = x W^T: W [N, K] of the type, ROWS rows of x
 *
 * With RADV_DEBUG=shaders RADV prints the disassembly; this prints the driver, then "pipeline 0 MODULE lanes=L ID=VALUE
 * ...", with its specialization constants by id, and "statistic 0 VALUE WHAT" as the driver calls it. */
#include "op/choice_file.h"
#include "op/matmul.h"
#include "vk/buffer_impl.h"
#include "vk/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKIP 77

/* 2^60 bytes at an address that nobody follows. */
static pm_vk_buffer nowhere = {.address = UINT64_C(1) << 40, .bytes = UINT64_C(1) << 60};

static int fail(void)
{
    fprintf(stderr, "offline_matmul: %s\n", pm_error_message());
    return 1;
}

static int print(pm_vk_device *device)
{
    pm_vk_statistic list[PM_VK_STATISTICS_MAX];
    uint32_t count, lanes;
    const pm_vk_pipeline_key *key = pm_vk_pipeline_key_at(device, 0);
    if (pm_vk_pipeline_statistics(device, 0, list, &count, &lanes) != PM_OK)
        return fail();
    printf("device %s\npipeline 0 %s lanes=%u", pm_vk_device_info(device)->driver, key->module, lanes);
    for (uint32_t i = 0; i < key->spec_count; i++)
        printf(" %u=%u", key->spec[i].id, key->spec[i].value);
    printf("\n");
    for (uint32_t i = 0; i < count; i++)
        printf("statistic 0 %.0f %s\n", list[i].value, list[i].name);
    return 0;
}

int main(int argc, char **argv)
{
    pm_vk_device *device = NULL;
    pm_vk_recorder *recorder = NULL;
    uint32_t type = 0;
    if (argc != 5) {
        fprintf(stderr, "usage: offline_matmul TYPE ROWS N K\n");
        return 2;
    }
    while (type < PM_DTYPE_LIMIT && (pm_dtype_get(type) == NULL || strcmp(pm_dtype_get(type)->name, argv[1]) != 0))
        type++;
    if (type == PM_DTYPE_LIMIT) {
        fprintf(stderr, "offline_matmul: no type '%s'\n", argv[1]);
        return 2;
    }
    const uint32_t rows = (uint32_t)atoi(argv[2]), n = (uint32_t)atoi(argv[3]), k = (uint32_t)atoi(argv[4]);
    const pm_slice s = pm_vk_buffer_slice(&nowhere, 0, nowhere.bytes);
    const pm_matmul m = {.weight = {.type = (pm_dtype)type, .n = n, .k = k, .data = s}, .x = s, .x_q8 = s, .y = s, .rows = s,
                         .rows_max = rows, .x_stride = pm_row_stride(k), .y_stride = pm_row_stride(n)};
    if (pm_vk_device_open_measured(NULL, &device) != PM_OK) {
        printf("skipped: %s\n", pm_error_message());
        return SKIP;
    }
    pm_choices choices;            /* presets: nothing was tuned here */
    setenv("PUMICE_TUNE", "0", 1);
    if (pm_choices_load(device, &choices) != PM_OK)
        return fail();
    pm_vk_device_choose(device, &choices);
    if (pm_vk_recorder_create(device, &recorder) != PM_OK || pm_matmul_record(recorder, &m) != PM_OK ||
        pm_vk_pipelines_build(device, NULL, NULL) != PM_OK)
        return fail();
    const int result = print(device);
    pm_vk_recorder_destroy(recorder);
    pm_vk_device_close(device);
    pm_choices_finish(&choices);
    return result;
}

/* offline/attention.c - one pipeline of attention.comp as AMD's compiler makes it, for bench/static_attention.py.
 *
 *     offline_attention HEAD_DIM GROUP ROWS PAGES      heads of one KV head, rows of a sequence; pages: f16, q8_0
 *
 * With RADV_DEBUG=shaders RADV prints the pipeline's disassembly; this prints "lanes", "vgprs", "waves", "instructions",
 * "latency" and "inverse_throughput", the driver, and the rows of a workgroup. ROWS 1: a row that decodes. */
#include "op/attention.h"
#include "vk/buffer_impl.h"
#include "vk/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KV_HEADS 4u
#define SKIP 77

/* 2^60 bytes at an address that nobody follows. */
static pm_vk_buffer nowhere = {.address = UINT64_C(1) << 40, .bytes = UINT64_C(1) << 60};

static int fail(void)
{
    fprintf(stderr, "offline_attention: %s\n", pm_error_message());
    return 1;
}

static pm_attention attention_of(uint32_t head_dim, uint32_t group, uint32_t rows, pm_kv_type type)
{
    const pm_slice s = pm_vk_buffer_slice(&nowhere, 0, nowhere.bytes);
    return (pm_attention){
        .q = s, .out = s, .kv = s, .block_tables = s, .row_seq = s, .row_start = s, .kv_len = s, .rows = s, .scratch = s,
        .layout = {.type = type, .kv_heads = KV_HEADS, .head_dim = head_dim, .page_tokens = 16}, .rows_max = rows,
        .seqs_max = 1, .rows_per_seq_max = rows, .kv_len_max = 4096, .heads = KV_HEADS * group,
        .q_stride = (group + 2) * KV_HEADS * head_dim, .out_stride = group * KV_HEADS * head_dim, .table_stride = 256,
        .scale = 1.0f};
}

/* Without splits, which leave its code as it is. */
static uint32_t variant_of(const pm_vk_caps *caps, uint32_t rows)
{
    const char *name = caps->subgroup_min < 64 ? rows > 1 ? "prefill" : "decode" : rows > 1 ? "prefill64" : "decode64";
    uint32_t i = 0;
    while (strcmp(pm_attention_variant(i), name) != 0)
        i++;
    return i;
}

static int print(pm_vk_device *device)
{
    static const struct { const char *radv, *name; } wanted[] = {
        {"VGPRs", "vgprs"}, {"Subgroups per SIMD", "waves"}, {"Instructions", "instructions"}, {"Latency", "latency"},
        {"Inverse Throughput", "inverse_throughput"}};
    pm_vk_statistic list[PM_VK_STATISTICS_MAX];
    uint32_t count, lanes;
    if (pm_vk_pipeline_statistics(device, 0, list, &count, &lanes) != PM_OK)
        return fail();
    printf("lanes %u\nworkgroup %u\n", lanes, pm_vk_pipeline_key_at(device, 0)->spec[0].value); /* PM_SPEC_LOCAL_X */
    for (size_t w = 0; w < sizeof(wanted) / sizeof(wanted[0]); w++)
        for (uint32_t i = 0; i < count; i++)
            if (strcmp(list[i].name, wanted[w].radv) == 0)
                printf("%s %.0f\n", wanted[w].name, list[i].value);
    return 0;
}

int main(int argc, char **argv)
{
    pm_vk_device *device = NULL;
    pm_vk_recorder *recorder = NULL;
    if (argc != 5) {
        fprintf(stderr, "usage: offline_attention HEAD_DIM GROUP ROWS f16|q8_0\n");
        return 2;
    }
    const uint32_t rows = (uint32_t)atoi(argv[3]);
    const pm_attention a = attention_of((uint32_t)atoi(argv[1]), (uint32_t)atoi(argv[2]), rows,
                                        strcmp(argv[4], "f16") == 0 ? PM_KV_F16 : PM_KV_Q8_0);
    if (pm_vk_device_open_measured(NULL, &device) != PM_OK) {
        printf("skipped: %s\n", pm_error_message());
        return SKIP;
    }
    const uint32_t variant = variant_of(pm_vk_device_caps(device), rows);
    if (pm_vk_recorder_create(device, &recorder) != PM_OK || pm_attention_record_variant(recorder, &a, variant) != PM_OK ||
        pm_vk_pipelines_build(device, NULL, NULL) != PM_OK)
        return fail();
    printf("driver %s\nrows %u\n", pm_vk_device_info(device)->driver,
           pm_attention_variant_rows(variant, pm_vk_device_caps(device), &a));
    const int result = print(device);
    pm_vk_recorder_destroy(recorder);
    pm_vk_device_close(device);
    return result;
}

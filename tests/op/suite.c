/* op/suite.c - what the tests of single ops share beyond the harness. */
#include "op/suite.h"

#include "base/half.h"
#include "base/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ----------------------------------------------------------------- blocks */

/* Where a block keeps its f16 scales; facts of the formats. */
static const struct {
    pm_dtype type;
    uint32_t count, at[2];
} scale_places[] = {
    {PM_DTYPE_Q4_0, 1, {0}},      {PM_DTYPE_Q4_1, 2, {0, 2}},   {PM_DTYPE_Q5_0, 1, {0}},      {PM_DTYPE_Q5_1, 2, {0, 2}},
    {PM_DTYPE_Q8_0, 1, {0}},      {PM_DTYPE_Q2_K, 2, {80, 82}}, {PM_DTYPE_Q3_K, 1, {108}},    {PM_DTYPE_Q4_K, 2, {0, 2}},
    {PM_DTYPE_Q5_K, 2, {0, 2}},   {PM_DTYPE_Q6_K, 1, {208}},    {PM_DTYPE_IQ4_NL, 1, {0}},    {PM_DTYPE_IQ4_XS, 1, {0}},
    {PM_DTYPE_IQ1_S, 1, {0}},     {PM_DTYPE_IQ2_XXS, 1, {0}},   {PM_DTYPE_IQ2_XS, 1, {0}},    {PM_DTYPE_IQ2_S, 1, {0}},
    {PM_DTYPE_IQ3_XXS, 1, {0}},   {PM_DTYPE_IQ3_S, 1, {0}},
};

static float scale_value(block_kind kind, uint64_t seed, uint64_t i)
{
    static const float extremes[] = {0x1p-24f, -0x1p-15f, 0x1p-14f, 1.0f, -2048.0f, 65504.0f, -65504.0f, 0.0f};
    if (kind == BLOCKS_EXTREME)
        return extremes[input_index(seed, i, COUNT_OF(extremes))];
    if (input_index(seed + 1, i, kind == BLOCKS_ZERO ? 2 : 17) == 0)
        return 0.0f;
    return input_value(INPUT_NORMAL, seed, i) * 0.1f;
}

static void put_u16(uint8_t *at, uint16_t bits)
{
    memcpy(at, &bits, sizeof(bits));
}

static void put_scales(pm_dtype type, block_kind kind, uint8_t *block, uint64_t seed, uint64_t b)
{
    const float value = scale_value(kind, seed, b);
    const uint16_t half = pm_f16_from_f32(value);
    switch (type) {
    case PM_DTYPE_F32: memcpy(block, &value, 4); return;
    case PM_DTYPE_F16: put_u16(block, half); return;
    case PM_DTYPE_BF16: put_u16(block, pm_bf16_from_f32(value)); return;
    case PM_DTYPE_MXFP4: /* 2^(e - 128); none of them is zero */
        block[0] = (uint8_t)(kind == BLOCKS_EXTREME ? 100 + input_index(seed, b, 60) : 120 + input_index(seed, b, 8));
        return;
    case PM_DTYPE_IQ1_M: /* a nibble of the scale on top of each of the last four u16 */
        for (int i = 0; i < 4; i++) {
            uint16_t word;
            memcpy(&word, block + 48 + 2 * i, 2);
            put_u16(block + 48 + 2 * i, (uint16_t)((word & 0x0fffu) | (uint32_t)(half >> (4 * i) & 15) << 12));
        }
        return;
    default: break;
    }
    for (uint32_t i = 0; i < COUNT_OF(scale_places); i++)
        if (scale_places[i].type == type) {
            for (uint32_t j = 0; j < scale_places[i].count; j++)
                put_u16(block + scale_places[i].at[j], j == 0 ? half : pm_f16_from_f32(scale_value(kind, seed + 2, b) * 0.5f));
            return;
        }
    fail_msg("%s: scale_places[] of tests/op/suite.c does not say where a block keeps its scales", pm_dtype_get(type)->name);
}

uint8_t *blocks_random(pm_dtype type, block_kind kind, uint32_t rows, uint32_t k, uint64_t seed)
{
    const uint64_t bytes = rows * pm_dtype_row_bytes(type, k);
    const pm_dtype_info *info = pm_dtype_get(type);
    uint8_t *data = malloc(bytes + 8);
    assert_non_null(data);
    for (uint64_t i = 0; i < bytes; i += 8) {
        const uint64_t word = pm_mix64(pm_mix64(seed) ^ i);
        memcpy(data + i, &word, 8);
    }
    for (uint64_t b = 0; b < bytes / info->bytes; b++)
        put_scales(type, kind, data + b * info->bytes, seed, b);
    return data;
}

matrix matrix_make(pm_dtype type, block_kind kind, uint32_t n, uint32_t k, uint32_t pool_max, uint64_t seed)
{
    matrix m = {.weight = {.type = type, .n = n, .k = k}, .pool = n < pool_max ? n : pool_max, .kind = kind};
    const uint64_t row_bytes = pm_dtype_row_bytes(type, k);
    uint8_t *blocks = blocks_random(type, kind, m.pool, k, seed);
    m.values = malloc((uint64_t)m.pool * k * sizeof(*m.values));
    assert_non_null(m.values);
    pm_dequant_row(type, blocks, m.values, (uint64_t)m.pool * k);
    m.packed = buffer_make(pm_weight_bytes(type, n, k)); /* rows that are never packed hold NaN */
    m.weight.data = m.packed.slice;
    test_buffer raw = buffer_from(blocks, m.pool * row_bytes);
    pm_vk_recorder *recorder = make_recorder();
    const uint32_t half = m.pool / 2 / 4 * 4; /* two tensors stacked by rows; raw is 4-byte aligned */
    for (uint32_t base = 0; base < n; base += m.pool) {
        const uint32_t rows = n - base < m.pool ? n - base : m.pool, first = half < rows ? half : rows;
        if (first > 0)
            ok(pm_weight_pack_record(recorder, &m.weight, base, first, pm_slice_part(raw.slice, 0, first * row_bytes)));
        if (rows > first)
            ok(pm_weight_pack_record(recorder, &m.weight, base + first, rows - first,
                                     pm_slice_part(raw.slice, first * row_bytes, (rows - first) * row_bytes)));
    }
    run_recorder(recorder);
    buffer_free(&raw);
    free(blocks);
    return m;
}

void matrix_free(matrix *m)
{
    buffer_free(&m->packed);
    free(m->values);
    *m = (matrix){0};
}

/* ----------------------------------------------------- memory past 4 GiB */

bool far_make(far_memory *far, uint64_t bytes, const char *what)
{
    *far = (far_memory){0};
    if (pm_vk_device_caps(harness_device())->is_cpu) {
        void *host = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (host == MAP_FAILED) {
            print_message("skipped: %s: %llu bytes of addresses are not to be had\n", what, (unsigned long long)bytes);
            return false;
        }
        far->host = host;
        ok(pm_vk_buffer_create(harness_device(), 256, PM_VK_DEVICE, "anchor", &far->buffer));
        const uint64_t anchor = pm_slice_address(pm_vk_buffer_all(far->buffer));
        far->slice = (pm_slice){far->buffer, (uint64_t)(uintptr_t)host - anchor, bytes};
        return true;
    }
    if (pm_vk_buffer_create(harness_device(), bytes, PM_VK_DEVICE, what, &far->buffer) != PM_OK) {
        print_message("skipped: %s\n", pm_error_message());
        return false;
    }
    far->slice = pm_vk_buffer_all(far->buffer);
    return true;
}

void far_write(const far_memory *far, uint64_t at, const void *data, uint64_t bytes)
{
    if (far->host != NULL)
        memcpy(far->host + at, data, bytes);
    else
        ok(pm_vk_upload(harness_device(), pm_slice_part(far->slice, at, bytes), data, bytes));
}

void far_read(const far_memory *far, uint64_t at, void *data, uint64_t bytes)
{
    if (far->host != NULL)
        memcpy(data, far->host + at, bytes);
    else
        ok(pm_vk_download(harness_device(), data, pm_slice_part(far->slice, at, bytes), bytes));
}

void far_free(far_memory *far)
{
    if (far->host != NULL)
        munmap(far->host, far->slice.bytes);
    pm_vk_buffer_destroy(far->buffer);
    *far = (far_memory){0};
}

/* ------------------------------------------------------------------ count */

static struct {
    char name[48];
    const char *reason;            /* of the skips; NULL: cases that ran */
    uint64_t cases, elements;
    double worst;
} counts[256];
static uint32_t count_count;
static char device_name[256];

static void add(const char *op, const char *variant, const char *reason, uint64_t elements)
{
    char name[48];
    snprintf(device_name, sizeof(device_name), "%s", pm_vk_device_info(harness_device())->name);
    snprintf(name, sizeof(name), "%s%s%s", op, variant[0] != '\0' ? " " : "", variant);
    uint32_t i = 0;
    while (i < count_count && (strcmp(counts[i].name, name) != 0 || counts[i].reason != reason))
        i++;
    assert_true(i < COUNT_OF(counts));
    if (i == count_count) {
        snprintf(counts[i].name, sizeof(counts[i].name), "%s", name);
        counts[i].reason = reason;
        count_count++;
    }
    const double worst = compare_worst();
    counts[i].worst = worst > counts[i].worst ? worst : counts[i].worst;
    counts[i].cases++;
    counts[i].elements += elements;
}

void tally(const char *op, const char *variant, uint64_t elements)
{
    add(op, variant, NULL, elements);
}

void tally_skip(const char *op, const char *variant, const char *reason)
{
    add(op, variant, reason, 0);
}

void tally_print(void)
{
    print_message("ran on %s:\n", device_name);
    for (uint32_t i = 0; i < count_count; i++)
        if (counts[i].reason == NULL)
            print_message("  %-26s %6llu cases, %10llu elements, worst error %.1e\n", counts[i].name,
                          (unsigned long long)counts[i].cases, (unsigned long long)counts[i].elements, counts[i].worst);
    for (uint32_t i = 0; i < count_count; i++)
        if (counts[i].reason != NULL)
            print_message("skipped: %s: %s (%llu cases)\n", counts[i].name, counts[i].reason,
                          (unsigned long long)counts[i].cases);
    count_count = 0;
    memset(counts, 0, sizeof(counts));
}

/* ------------------------------------------------------------ determinism */

#define REPEATS 50

void check_repeats(pm_vk_commands *commands, pm_vk_commands *fresh, const test_buffer *out, const char *what)
{
    const uint64_t bytes = out->slice.bytes;
    uint8_t *first = malloc(bytes), *again = malloc(bytes);
    assert_true(first != NULL && again != NULL);
    for (int run = 0; run <= REPEATS; run++) {
        ok(pm_vk_commands_run(run < REPEATS ? commands : fresh));
        buffer_read(out, run == 0 ? first : again);
        for (uint64_t i = 0; run > 0 && i < bytes; i++)
            if (first[i] != again[i])
                fail_msg("%s: byte %llu of %s differs from the first run's", what, (unsigned long long)i,
                         run < REPEATS ? "a repeat" : "a fresh recording");
    }
    pm_vk_commands_destroy(commands);
    pm_vk_commands_destroy(fresh);
    free(first);
    free(again);
}

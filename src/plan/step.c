/* plan/step.c - what changes from step to step. */
#include "plan/step.h"

#include <string.h>

#define SECTION_ALIGN 64u

pm_result pm_step_init(pm_step *step, pm_vk_device *device, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max,
                       uint32_t table_stride)
{
    *step = (pm_step){.rows_max = rows_max, .seqs_max = seqs_max, .outs_max = outs_max, .table_stride = table_stride};
    const struct {
        pm_slice *slice;
        uint64_t count;
    } sections[] = {
        {&step->rows, 1},           {&step->outs, 1},           {&step->tokens, rows_max},
        {&step->positions, rows_max}, {&step->slots, rows_max}, {&step->row_seq, rows_max},
        {&step->row_start, (uint64_t)seqs_max + 1},             {&step->kv_len, seqs_max},
        {&step->out_rows, outs_max}, {&step->block_tables, (uint64_t)seqs_max * table_stride},
    };
    const size_t section_count = sizeof(sections) / sizeof(sections[0]);
    uint64_t offsets[sizeof(sections) / sizeof(sections[0])], bytes = 0;
    for (size_t i = 0; i < section_count; i++) {
        offsets[i] = bytes;
        bytes += (sections[i].count * sizeof(uint32_t) + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
    }
    PM_TRY(pm_vk_buffer_create(device, bytes, PM_VK_UPLOAD, "step", &step->buffer));
    for (size_t i = 0; i < section_count; i++)
        *sections[i].slice =
            pm_vk_buffer_slice(step->buffer, offsets[i], sections[i].count * sizeof(uint32_t));
    return PM_OK;
}

void pm_step_finish(pm_step *step)
{
    pm_vk_buffer_destroy(step->buffer);
    *step = (pm_step){0};
}

static void write_u32(pm_slice slice, const uint32_t *values, uint32_t count)
{
    pm_assert((uint64_t)count * sizeof(uint32_t) <= slice.bytes);
    memcpy(pm_slice_host(slice), values, count * sizeof(uint32_t));
}

void pm_step_write(const pm_step *step, const pm_batch *batch)
{
    write_u32(step->rows, &batch->rows, 1);
    write_u32(step->outs, &batch->outs, 1);
    write_u32(step->tokens, batch->tokens, batch->rows);
    write_u32(step->positions, batch->positions, batch->rows);
    write_u32(step->slots, batch->slots, batch->rows);
    write_u32(step->row_seq, batch->row_seq, batch->rows);
    write_u32(step->row_start, batch->row_start, batch->seqs + 1);
    write_u32(step->kv_len, batch->kv_len, batch->seqs);
    write_u32(step->out_rows, batch->out_rows, batch->outs);
    for (uint32_t s = 0; s < batch->seqs; s++) {
        const pm_block_table *table = &batch->sequences[s]->table;
        const uint64_t row_bytes = (uint64_t)step->table_stride * sizeof(uint32_t);
        write_u32(pm_slice_part(step->block_tables, s * row_bytes, row_bytes), table->page_ids, table->count);
    }
}

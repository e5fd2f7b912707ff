/* plan/step.c - what changes from step to step. */
#include "plan/step.h"

#include <string.h>

#define SECTION_ALIGN 64u

pm_result pm_step_init(pm_step *step, pm_vk_device *device, uint32_t rows_max, uint32_t seqs_max, uint32_t outs_max,
                       uint32_t moves_max, uint32_t table_stride, uint32_t vocab)
{
    *step = (pm_step){.rows_max = rows_max, .seqs_max = seqs_max, .outs_max = outs_max, .table_stride = table_stride,
                      .edits_max = seqs_max * PM_STEP_EDITS, .mask_words = (vocab + 31) / 32};
    const struct {
        pm_slice *slice;
        uint64_t count;
    } sections[] = {
        {&step->rows, 1},           {&step->outs, 1},           {&step->copy_count, 1},
        {&step->swap_out_count, 1}, {&step->swap_in_count, 1},
        {&step->swap_outs, (uint64_t)moves_max * 2}, {&step->swap_ins, (uint64_t)moves_max * 2},
        {&step->tokens, rows_max},  {&step->token_from, rows_max}, {&step->copies, (uint64_t)seqs_max * 2},
        {&step->positions, rows_max}, {&step->slots, rows_max}, {&step->row_seq, rows_max},
        {&step->row_start, (uint64_t)seqs_max + 1},             {&step->kv_len, seqs_max},
        {&step->samples, (uint64_t)outs_max * PM_SAMPLE_ROW_WORDS},
        {&step->edits, (uint64_t)step->edits_max * PM_SAMPLE_EDIT_WORDS},
        {&step->masks, (uint64_t)seqs_max * step->mask_words},
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

/* Pairs of where from and where to: page and slot, or, on the way back, slot and page. */
static void write_moves(pm_slice slice, pm_slice count_slice, const pm_kv_move *moves, uint32_t count, bool back)
{
    write_u32(count_slice, &count, 1);
    if (count == 0)
        return;
    uint32_t *pairs = pm_slice_host(slice);
    pm_assert((uint64_t)count * 8 <= slice.bytes);
    for (uint32_t i = 0; i < count; i++) {
        pairs[2 * i] = back ? moves[i].slot : moves[i].page;
        pairs[2 * i + 1] = back ? moves[i].page : moves[i].slot;
    }
}

_Static_assert(sizeof(pm_page_copy) == 8, "pairs of u32, as the device reads them");

void pm_step_write(const pm_step *step, const pm_batch *batch)
{
    write_u32(step->rows, &batch->rows, 1);
    write_u32(step->outs, &batch->outs, 1);
    write_u32(step->copy_count, &batch->copy_count, 1);
    write_u32(step->copies, &batch->copies[0].from, batch->copy_count * 2);
    write_moves(step->swap_outs, step->swap_out_count, batch->swap_outs, batch->swap_out_count, false);
    write_moves(step->swap_ins, step->swap_in_count, batch->swap_ins, batch->swap_in_count, true);
    write_u32(step->tokens, batch->tokens, batch->rows);
    write_u32(step->token_from, batch->token_from, batch->rows);
    write_u32(step->positions, batch->positions, batch->rows);
    write_u32(step->slots, batch->slots, batch->rows);
    write_u32(step->row_seq, batch->row_seq, batch->rows);
    write_u32(step->row_start, batch->row_start, batch->seqs + 1);
    write_u32(step->kv_len, batch->kv_len, batch->seqs);
    write_u32(step->out_rows, batch->out_rows, batch->outs);
    for (uint32_t s = 0; s < batch->seqs; s++) {
        const pm_block_table *table = batch->tables[s];
        const uint64_t row_bytes = (uint64_t)step->table_stride * sizeof(uint32_t);
        write_u32(pm_slice_part(step->block_tables, s * row_bytes, row_bytes), table->page_ids, table->count);
    }
}

_Static_assert(sizeof(pm_sample_row) == PM_SAMPLE_ROW_WORDS * 4 && sizeof(pm_sample_edit) == PM_SAMPLE_EDIT_WORDS * 4,
               "words, as the device reads them");

void pm_step_write_samples(const pm_step *step, const pm_batch *batch, const pm_step_samples *samples)
{
    const uint64_t mask_bytes = (uint64_t)step->mask_words * 4;
    pm_assert(batch->outs <= step->outs_max && samples->edit_count <= step->edits_max && samples->mask_count <= step->seqs_max);
    memcpy(pm_slice_host(step->samples), samples->rows, batch->outs * sizeof(*samples->rows));
    if (samples->edit_count > 0)
        memcpy(pm_slice_host(step->edits), samples->edits, samples->edit_count * sizeof(*samples->edits));
    for (uint32_t m = 0; m < samples->mask_count; m++)
        memcpy(pm_slice_host(pm_slice_part(step->masks, m * mask_bytes, mask_bytes)), samples->masks[m], mask_bytes);
}

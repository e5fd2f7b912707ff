// sample_edit.comp - logits[r, token] of a row's edits changed as src/sample/pick.h says, or put back
//
//   logits      [rows, stride]      f32, changed
//   params      [rows]              pm_sample_row
//   edits       [edits_max]         pm_sample_edit; a row's at edit_start .. + edit_count, tokens differ
//   inputs      u32 tokens of the step's rows; inputs[input_rows[r]] is the one in flight
//   saved       [edits_max + rows]  f32: logits before, of each edit and of each row's token in flight
//   rows        u32
//
// RESTORE: saved logits go back. Grid: one workgroup for each row; a lane takes an edit. The token in
// flight counts as said once more; when no edit has it, lane 0 makes one.
// Exact: each step is one rounded operation. Bytes moved: 20 an edit. Reference: src/sample/pick.c.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "sample.glsl"

layout(constant_id = PM_SPEC_OP) const bool RESTORE = false;

shared uint in_edits;

// Below the smallest normal number devices may take numbers for 0, so all do.
float normal(float x)
{
    return (floatBitsToUint(x) & 0x7f800000u) == 0u ? 0.0 : x;
}

float edited(pm_sample_row row, uint bits, uint said, float bias)
{
    if (floatBitsToUint(bias) == 0xff800000u)
        return bias;
    if ((bits & 0x7f800000u) == 0x7f800000u)
        return uintBitsToFloat(bits);
    precise float l = normal(uintBitsToFloat(bits)) + normal(bias);
    l = normal(l);
    if ((said & PM_SAMPLE_RECENT) != 0u) {
        l = l * (l > 0.0 ? row.repeat_inverse : row.repeat);
        l = normal(l);
    }
    const uint times = said & ~PM_SAMPLE_RECENT;
    if (times > 0u) {
        precise float penalty = row.frequency * float(times);
        penalty = normal(penalty) + row.presence;
        l = l - normal(penalty);
        l = normal(l);
    }
    return l;
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, r = gl_WorkGroupID.x;
    if (r >= U32In(p.rows).v[0])
        return;
    const pm_sample_row row = RowIn(p.params).v[r];
    const bool in_flight = (row.flags & PM_SAMPLE_IN_FLIGHT) != 0u;
    const uint newest = in_flight ? U32In(p.inputs).v[U32In(p.input_rows).v[r]] : PM_SAMPLE_NO_TOKEN;
    U32Out logits = U32Out(advance(p.logits, r, p.stride * 4u));
    U32Out saved = U32Out(p.saved);
    if (lane == 0)
        in_edits = 0;
    barrier();
    for (uint i = lane; i < row.edit_count; i += LOCAL_X) {
        const uint at = row.edit_start + i;
        const pm_sample_edit edit = EditIn(p.edits).v[at];
        const bool again = edit.token == newest;
        if (again)
            in_edits = 1;
        if (edit.token >= p.n)
            continue;
        if (RESTORE) {
            logits.v[edit.token] = saved.v[at];
            continue;
        }
        const uint bits = logits.v[edit.token];
        saved.v[at] = bits;
        logits.v[edit.token] = floatBitsToUint(edited(row, bits, again ? (edit.said | PM_SAMPLE_RECENT) + 1u : edit.said, edit.bias));
    }
    barrier();
    if (lane != 0 || newest >= p.n || in_edits == 1)
        return;
    const uint at = p.edits_max + r;
    if (RESTORE) {
        logits.v[newest] = saved.v[at];
    } else {
        const uint bits = logits.v[newest];
        saved.v[at] = bits;
        logits.v[newest] = floatBitsToUint(edited(row, bits, PM_SAMPLE_RECENT | 1u, 0.0));
    }
}

// sample_logprobs.comp - log softmax(logits)[r, .] of the token that was picked and of the likeliest
//
//   logits    [rows, stride]  f32, as the model gave them
//   params    [rows]          pm_sample_row; rows without PM_SAMPLE_LOGPROBS end at once
//   tokens    [rows]          u32
//   logprobs  [rows]          pm_sample_logprobs
//   rows      u32
//
// logprob = (l - max) - ln 2 log2(sum / 2^45), the sum that of the weights of sample.glsl at temperature 1.
// Grid: one workgroup for each row. Each lane has the best of its own tokens, every LOCAL_X-th four; the best of
// all comes out, its lane looks for its next. Order of additions: free, they are integers.
// Bytes moved: rows * n * 4 * (2 + top_logprobs / LOCAL_X). Tolerance: 1e-5 + 1e-6 |logprob|.
// Reference: src/sample/pick.c, in tests/op/test_sample.c.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "sample.glsl"

shared uint best_key[LOCAL_X], best_id[LOCAL_X];
shared uint sum_low[LOCAL_X], sum_high[LOCAL_X];

U32x4In logits;

// The best of a lane's tokens that come after (key, id).
uvec2 next_of(uint lane, uvec2 after, bool any)
{
    uvec2 best = uvec2(KEY_NONE, PM_SAMPLE_NO_TOKEN);
    bool nan = false;
    for (uint g = lane; 4u * g < p.n; g += LOCAL_X) {
        const uvec4 keys = keys_of(logits.v[g], 4u * g, p.n, nan);
        [[unroll]] for (uint c = 0; c < 4; c++)
            if (keys[c] < best.x && (any || better(after.x, after.y, keys[c], 4u * g + c)))
                best = uvec2(keys[c], 4u * g + c);
    }
    return best;
}

// The best of all lanes'.
uvec2 best_of(uint lane, uvec2 mine)
{
    barrier();
    best_key[lane] = mine.x;
    best_id[lane] = mine.y;
    barrier();
    for (uint half_count = LOCAL_X / 2; half_count > 0; half_count /= 2) {
        if (lane < half_count && better(best_key[lane + half_count], best_id[lane + half_count], best_key[lane], best_id[lane])) {
            best_key[lane] = best_key[lane + half_count];
            best_id[lane] = best_id[lane + half_count];
        }
        barrier();
    }
    return uvec2(best_key[0], best_id[0]);
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, r = gl_WorkGroupID.x;
    if (r >= U32In(p.rows).v[0])
        return;
    const uint flags = RowIn(p.params).v[r].flags, top = min(RowIn(p.params).v[r].top_logprobs, PM_SAMPLE_TOP_MAX);
    if ((flags & PM_SAMPLE_LOGPROBS) == 0u)
        return;
    logits = U32x4In(advance(p.logits, r, p.stride * 4u));
    uvec2 mine = next_of(lane, uvec2(0), true);
    uvec2 best = best_of(lane, mine);
    const float most = value_of(best.x);
    uvec2 sum = uvec2(0);
    bool nan = false;
    for (uint g = lane; 4u * g < p.n; g += LOCAL_X) {
        const uvec4 keys = keys_of(logits.v[g], 4u * g, p.n, nan);
        [[unroll]] for (uint c = 0; c < 4; c++)
            if (keys[c] != KEY_NONE)
                sum = add(sum, weight_of(value_of(keys[c]), most, 1.44269504));
    }
    sum_low[lane] = sum.x;
    sum_high[lane] = sum.y;
    barrier();
    for (uint half_count = LOCAL_X / 2; half_count > 0; half_count /= 2) {
        if (lane < half_count) {
            const uvec2 both = add(uvec2(sum_low[lane], sum_high[lane]), uvec2(sum_low[lane + half_count], sum_high[lane + half_count]));
            sum_low[lane] = both.x;
            sum_high[lane] = both.y;
        }
        barrier();
    }
    const float log_sum = log(float(sum_high[0]) * 1.220703125e-4 + float(sum_low[0]) * 2.8421709430404007e-14);
    LogprobsOut o = LogprobsOut(p.logprobs);
    const uint token = U32In(p.tokens).v[r];
    if (lane == 0)
        o.v[r].picked = token < p.n ? (uintBitsToFloat(logits.v[token / 4u][token % 4u]) - most) - log_sum : 0.0;
    uint count = 0;
    for (; count < top && best.x != KEY_NONE; count++) {
        if (lane == 0) {
            o.v[r].id[count] = best.y;
            o.v[r].logprob[count] = (value_of(best.x) - most) - log_sum;
        }
        if (mine == best)
            mine = next_of(lane, best, false);
        best = best_of(lane, mine);
    }
    if (lane == 0)
        o.v[r].count = count;
}

// sample.comp - the next token of each row, as src/sample/pick.h defines it
//
//   logits  [rows, stride]        f32, edited (sample_edit.comp)
//   params  [rows]                pm_sample_row
//   masks   [masks, ceil(n / 32)] u32; bit t % 32 of word t / 32 set = token t may come
//   tokens  [rows]                u32; PM_SAMPLE_NO_TOKEN where none can be picked
//   flags   [rows]                u32 PM_SAMPLE_NAN, PM_SAMPLE_NONE
//   rows    u32
//
// Grid: one workgroup of LOCAL_X lanes for each row; 12.6 KiB of shared memory. Nothing is sorted:
//   best      one pass finds the greatest logit, of all and of each lane's tokens. Greedy rows are done.
//   few       with top_k, or top_p: the lanes' tokens are 128 to 512 shares, and the k-th greatest of the shares' greatest
//             is a bound that k tokens reach, and not many more. Those are gathered, and all else happens among them.
//   select    where too many reach it, or the bound is too high for top_p: a histogram of 512 bins of
//             1/16 by the distance from the greatest has counts and weights, so the bin with the last
//             token is known. Its tokens are gathered, and each counts those before it. A bin that does
//             not fit is cut finer by the bits of its keys, 9 at a time; and if it is a single key, the
//             ids decide: descend.
//   descend   the smallest id whose running sum is above a limit: 32 parts of the row are summed, the
//             right one is cut into 32, and so on.
// Passes over the logits: 1 greedy; 2 with temperature or min_p alone; 2 with top_k up to 3/4 of the shares,
// with top_p or without; 3 with top_p alone; 5 where select runs, one more for the other of two, and
// up to 4 more for each on flat rows. Bytes moved: so many times rows * n * 4, the first from
// memory, the others from a cache.
//
// Short loops say dont_unroll: unrolled, the code is 2.5 times as long, and AMD's compiler spills.
//
// Sums are integers, so that their order is free. Exact: the same token as the host's, always.
// Reference: src/sample/sampler.c, in tests/op/test_sample.c.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "sample.glsl"

#define BINS 512u
#define PARTS 32u
#define GATHERED 512u

const uint SHARES = LOCAL_X > 128u ? 2u : 4u;

shared uint bin_count[BINS], bin_low[BINS], bin_high[BINS];
shared uint part_count[PARTS], part_low[PARTS], part_high[PARTS];
shared uint found_key[GATHERED], found_id[GATHERED]; // gathered; after find_best() the shares' greatest
shared uint found, some_nan;
shared uint at_bin, at_count, at_id;                 // what lane 0 found, for all
shared uvec2 at_weight;

// Uniform in the workgroup.
uint r;
U32x4In logits;
U32In mask;
bool has_mask;
float most;                        // the greatest logit
uint last_key, last_id;            // the last that top_k and top_p keep

#define row RowIn(p.params).v[r]

// Of the tokens 4 group .. 4 group + 3.
uvec4 keys_at(uint group, inout bool nan)
{
    const uint at = 4u * group;
    uvec4 keys = keys_of(logits.v[group], at, p.n, nan);
    if (has_mask) {
        const uint may = mask.v[at / 32u] >> (at % 32u);
        keys = mix(keys, uvec4(KEY_NONE), equal(may & uvec4(1u, 2u, 4u, 8u), uvec4(0u)));
    }
    return keys;
}

uvec4 keys_at(uint group)
{
    bool nan = false;
    return keys_at(group, nan);
}

uint groups()
{
    return (p.n + 3u) / 4u;
}

uint key_at(uint i)
{
    return keys_at(i / 4u)[i % 4u];
}

// Weights at temperature 1, which top_p sees.
uvec2 plain_weight(uint key)
{
    return weight_of(value_of(key), most, 1.44269504);
}

// ------------------------------------------------------------------ best

// Each lane has the greatest of SHARES shares of its tokens, so that even few lanes give many bounds.
#define BOUNDS (LOCAL_X * SHARES)

void find_best(uint lane, out uint best_key, out uint best_id)
{
    uvec4 key4 = uvec4(KEY_NONE), group4 = uvec4(0);
    bool nan = false;
    for (uint g = lane; g < groups(); g += LOCAL_X) {
        const uvec4 keys = keys_at(g, nan);
        group4 = mix(group4, uvec4(g), lessThan(keys, key4));
        key4 = min(key4, keys);
    }
    uint key = KEY_NONE, id = PM_SAMPLE_NO_TOKEN;
    [[unroll]] for (uint c = 0; c < 4; c++)
        if (key4[c] != KEY_NONE && better(key4[c], 4u * group4[c] + c, key, id)) {
            key = key4[c];
            id = 4u * group4[c] + c;
        }
    if (SHARES == 4u) {
        [[unroll]] for (uint c = 0; c < 4; c++)
            found_key[lane * 4u + c] = key4[c];
    } else {
        found_key[lane * 2u] = min(key4.x, key4.y);
        found_key[lane * 2u + 1u] = min(key4.z, key4.w);
    }
    bin_count[lane] = key;
    bin_low[lane] = id;
    if (lane == 0)
        some_nan = 0;
    barrier();
    if (nan)
        some_nan = PM_SAMPLE_NAN;
    [[dont_unroll]] for (uint half_count = LOCAL_X / 2; half_count > 0; half_count /= 2) {
        if (lane < half_count && better(bin_count[lane + half_count], bin_low[lane + half_count], bin_count[lane], bin_low[lane])) {
            bin_count[lane] = bin_count[lane + half_count];
            bin_low[lane] = bin_low[lane + half_count];
        }
        barrier();
    }
    best_key = bin_count[0];
    best_id = bin_low[0];
    barrier();
}

// ------------------------------------------------------------- histogram

// Level 0 bins by distance from the greatest; levels 1 to 4 take 9, 9, 9 and 5 bits of the key
// of the tokens in bin `first`, and of those whose higher bits are `prefix`.
uint first_bin(uint key)
{
    precise const float below = (most - value_of(key)) * 16.0;
    return uint(min(below, float(BINS - 1u)));
}

uint shift_of(uint level)
{
    return level == 4u ? 0u : 32u - 9u * level;
}

// The key's bin of a level, or BINS when it is not among those looked at.
uint bin_of(uint key, uint level, uint first, uint prefix)
{
    if (key == KEY_NONE)
        return BINS;
    const uint bin = first_bin(key);
    if (level == 0u)
        return bin;
    if (bin != first || (level > 1u && key >> shift_of(level - 1u) != prefix))
        return BINS;
    return level == 4u ? key & 31u : key >> shift_of(level) & 511u;
}

void add_to_bin(uint bin, uvec2 weight)
{
    atomicAdd(bin_count[bin], 1u);
    const uint before = atomicAdd(bin_low[bin], weight.x);
    const uint high = weight.y + uint(before > ~weight.x);
    if (high != 0u)
        atomicAdd(bin_high[bin], high);
}

void add_to_part(uint part, uvec2 value)
{
    if ((value.x | value.y) == 0u)
        return;
    const uint before = atomicAdd(part_low[part], value.x);
    atomicAdd(part_high[part], value.y + uint(before > ~value.x));
}

// Counts and weights of all bins, and of parts of 16 bins.
void histogram(uint lane, uint level, uint first, uint prefix)
{
    barrier();
    for (uint i = lane; i < BINS; i += LOCAL_X)
        bin_count[i] = bin_low[i] = bin_high[i] = 0u;
    barrier();
    for (uint g = lane; g < groups(); g += LOCAL_X) {
        const uvec4 keys = keys_at(g);
        [[dont_unroll]] for (uint c = 0; c < 4; c++) {
            const uint bin = bin_of(keys[c], level, first, prefix);
            if (bin < BINS)
                add_to_bin(bin, plain_weight(keys[c]));
        }
    }
    barrier();
    if (lane < PARTS) {
        uint count = 0u;
        uvec2 weight = uvec2(0);
        [[dont_unroll]] for (uint i = 0; i < BINS / PARTS; i++) {
            const uint bin = lane * (BINS / PARTS) + i;
            count += bin_count[bin];
            weight = add(weight, uvec2(bin_low[bin], bin_high[bin]));
        }
        part_count[lane] = count;
        part_low[lane] = weight.x;
        part_high[lane] = weight.y;
    }
    barrier();
}

uvec2 all_bins()
{
    uvec2 sum = uvec2(0);
    [[dont_unroll]] for (uint i = 0; i < PARTS; i++)
        sum = add(sum, uvec2(part_low[i], part_high[i]));
    return sum;
}

// --------------------------------------------------------------- gather

// Where the token is now, should there be room.
uint gather(uint key, uint id)
{
    const uint at = atomicAdd(found, 1u);
    if (at < GATHERED) {
        found_key[at] = key;
        found_id[at] = id;
    }
    return at;
}

void set_weight(uint at, uvec2 weight)
{
    bin_low[at] = weight.x;
    bin_high[at] = weight.y;
}

// Sums one value of each lane into a part; all_bins() is then the sum of all.
void sum_lanes(uint lane, uvec2 value)
{
    barrier();
    if (lane < PARTS)
        part_low[lane] = part_high[lane] = 0u;
    barrier();
    add_to_part(lane % PARTS, value);
    barrier();
}

// --------------------------------------------------------------- descend

uvec2 draw_term(uint key, uint i)
{
    if (key == KEY_NONE || better(last_key, last_id, key, i))
        return uvec2(0);
    precise const float below = value_of(key) - most;
    if (below < row.min_log)
        return uvec2(0);
    return weight_of(value_of(key), most, row.scale);
}

// The smallest id whose running sum is above the limit. Of weights when tie is KEY_NONE, the limit
// being row.random of their sum; else of tokens of the key `tie`.
uint descend(uint lane, uint tie, uvec2 limit)
{
    uint first = 0, count = p.n;
    for (bool top = true; count > 1u; top = false) {
        const uint each = LOCAL_X / PARTS, width = (count + PARTS - 1u) / PARTS;
        const uint part = lane / each, begin = part * width, end = min(begin + width, count);
        barrier();
        if (lane < PARTS)
            part_low[lane] = part_high[lane] = 0u;
        barrier();
        uvec2 sum = uvec2(0);
        for (uint i = begin + lane % each; i < end; i += each) {
            const uint key = key_at(first + i);
            sum = add(sum, tie == KEY_NONE ? draw_term(key, first + i) : uvec2(key == tie ? 1u : 0u, 0));
        }
        add_to_part(part, sum);
        barrier();
        if (lane == 0) {
            if (top && tie == KEY_NONE)
                limit = multiply_high(all_bins(), uvec2(row.random_low, row.random_high));
            uint b = 0;
            [[dont_unroll]] for (; b + 1u < PARTS; b++) {
                const uvec2 here = uvec2(part_low[b], part_high[b]);
                if (less(limit, here))
                    break;
                limit = subtract(limit, here);
            }
            at_id = b;
        }
        barrier();
        const uint skipped = at_id * width;
        if (skipped >= count) // no sum was above the limit: cannot be
            break;
        first += skipped;
        count = min(width, count - skipped);
    }
    return first;
}

// ---------------------------------------------------------------- select

bool reached(bool by_weight, uint count, uvec2 weight, uvec2 need)
{
    return by_weight ? !less(weight, need) : count >= need.x;
}

// Lane 0: the first bin with which the need is reached, and what lies before it, added to at_count
// and at_weight; BINS when it is not reached.
void find_bin(bool by_weight, uvec2 need)
{
    uint count = at_count, b = 0;
    uvec2 weight = at_weight;
    [[dont_unroll]] for (; b < PARTS; b++) {
        const uvec2 more = uvec2(part_low[b], part_high[b]);
        if (reached(by_weight, count + part_count[b], add(weight, more), need))
            break;
        count += part_count[b];
        weight = add(weight, more);
    }
    b *= BINS / PARTS;
    [[dont_unroll]] for (; b < BINS; b++) {
        const uvec2 more = uvec2(bin_low[b], bin_high[b]);
        if (reached(by_weight, count + bin_count[b], add(weight, more), need))
            break;
        count += bin_count[b];
        weight = add(weight, more);
    }
    at_bin = b;
    at_count = count;
    at_weight = weight;
}

// The tokens of a bin that fits: each counts those before it, and one of them is the last.
void rank(uint lane, bool by_weight, uvec2 need, uint level, uint first, uint prefix, uint bin)
{
    if (lane == 0)
        found = 0;
    barrier();
    for (uint g = lane; g < groups(); g += LOCAL_X) {
        const uvec4 keys = keys_at(g);
        [[dont_unroll]] for (uint c = 0; c < 4; c++)
            if (bin_of(keys[c], level, first, prefix) == bin) {
                const uint at = gather(keys[c], 4u * g + c);
                if (by_weight) // of the histogram nothing is needed any more
                    set_weight(at, plain_weight(keys[c]));
            }
    }
    barrier();
    const uint total = found, count_before = at_count;
    const uvec2 weight_before = at_weight;
    barrier();
    for (uint j = lane; j < total; j += LOCAL_X) {
        const uint key = found_key[j], id = found_id[j];
        uint count = count_before;
        uvec2 weight = weight_before;
        for (uint i = 0; i < total; i++)
            if (better(found_key[i], found_id[i], key, id)) {
                count++;
                if (by_weight)
                    weight = add(weight, uvec2(bin_low[i], bin_high[i]));
            }
        const uvec2 through = by_weight ? add(weight, uvec2(bin_low[j], bin_high[j])) : weight;
        if (!reached(by_weight, count, weight, need) && reached(by_weight, count + 1u, through, need)) {
            at_bin = key;
            at_id = id;
            at_weight = through;
            for (uint i = 0; !by_weight && i < total; i++)
                if (!better(key, id, found_key[i], found_id[i]))
                    at_weight = add(at_weight, plain_weight(found_key[i]));
        }
    }
    barrier();
    last_key = at_bin;
    last_id = at_id;
}

// More tokens of one key than are gathered: which of them is the last follows from their weight.
void rank_ties(uint lane, bool by_weight, uvec2 need, uint key)
{
    const uvec2 each = plain_weight(key);
    const uint count_before = at_count;
    const uvec2 weight_before = at_weight;
    uint among = need.x - count_before - 1u;
    if (by_weight) { // the smallest `among` with before + (among + 1) each >= need
        among = 0u;
        [[dont_unroll]] for (uint bit = 1u << 18; bit > 0u; bit >>= 1) {
            uvec2 product;
            umulExtended(each.x, among + bit, product.y, product.x);
            product.y += each.y * (among + bit);
            if (among + bit < p.n - count_before && less(add(weight_before, product), need))
                among += bit;
        }
    }
    last_key = key;
    last_id = descend(lane, key, uvec2(among, 0));
    uvec2 through;
    umulExtended(each.x, among + 1u, through.y, through.x);
    through.y += each.y * (among + 1u);
    barrier();
    if (lane == 0)
        at_weight = add(weight_before, through);
    barrier();
}

// floor(total p / 2^32), at least 1
uvec2 share(uvec2 total, uint part)
{
    uint high, low, unused;
    umulExtended(total.x, part, high, unused);
    uvec2 product;
    umulExtended(total.y, part, product.y, product.x);
    product = add(product, uvec2(high, 0));
    return (product.x | product.y) == 0u ? uvec2(1, 0) : product;
}

// Sets last_key, last_id to the last token that top_k and then top_p keep.
void select_last(uint lane, bool cut_k)
{
    bool stale = true;
    uvec2 kept = uvec2(0);
    [[dont_unroll]] for (uint stage = cut_k ? 0u : 1u; stage < (row.top_p != 0u ? 2u : 1u); stage++) {
        const bool by_weight = stage == 1u;
        uint first = 0, prefix = 0;
        uvec2 need = uvec2(row.top_k, 0);
        [[dont_unroll]] for (uint level = 0;; level++) {
            if (level > 0u || stale)
                histogram(lane, level, first, prefix);
            stale = level > 0u;
            if (level == 0u && by_weight)
                need = share(cut_k ? kept : all_bins(), row.top_p);
            barrier();
            if (lane == 0) {
                if (level == 0u) {
                    at_count = 0u;
                    at_weight = uvec2(0);
                }
                find_bin(by_weight, need);
            }
            barrier();
            const uint bin = at_bin;
            if (bin == BINS) // fewer than top_k
                break;
            if (bin_count[bin] <= GATHERED) {
                rank(lane, by_weight, need, level, first, prefix, bin);
                break;
            }
            first = level == 0u ? bin : first;
            prefix = level == 0u ? 0u : level == 4u ? prefix << 5 | bin : prefix << 9 | bin;
            if (level == 4u) {
                rank_ties(lane, by_weight, need, prefix);
                break;
            }
        }
        kept = at_weight;
    }
}

// ------------------------------------------------------------------- few

uvec2 weight_at(uint i)
{
    return uvec2(bin_low[i], bin_high[i]);
}

// Weights of the gathered tokens are in their places: all_bins() is their sum.
void sum_gathered(uint lane, uint total)
{
    uvec2 sum = uvec2(0);
    for (uint i = lane; i < total; i += LOCAL_X)
        sum = add(sum, weight_at(i));
    sum_lanes(lane, sum);
}

// The token, when the kept ones are among the best few; else PM_SAMPLE_NO_TOKEN, and nothing is changed.
uint pick_of_few(uint lane, bool cut_k)
{
    const uint wanted = cut_k ? row.top_k : BOUNDS / 2u;
    if (p.n > GATHERED && wanted > BOUNDS / 4u * 3u)
        return PM_SAMPLE_NO_TOKEN;
    if (lane == 0) {
        found = 0;
        at_bin = KEY_NONE - 1u;
    }
    barrier();
    if (p.n > GATHERED) { // the bound
        for (uint j = lane; j < BOUNDS; j += LOCAL_X) {
            const uint key = found_key[j];
            uint before = 0;
            [[dont_unroll]] for (uint i = 0; i < BOUNDS; i++)
                before += uint(better(found_key[i], i, key, j));
            if (before == wanted - 1u)
                at_bin = min(key, KEY_NONE - 1u);
        }
    }
    barrier();
    const uint bound = at_bin;
    uvec2 all = uvec2(0);
    const bool sum_all = !cut_k;
    for (uint g = lane; g < groups(); g += LOCAL_X) {
        const uvec4 keys = keys_at(g);
        const bvec4 good = lessThanEqual(keys, uvec4(bound));
        if (any(good))
            [[dont_unroll]] for (uint c = 0; c < 4; c++)
                if (good[c])
                    gather(keys[c], 4u * g + c);
        if (sum_all)
            [[dont_unroll]] for (uint c = 0; c < 4; c++)
                if (keys[c] != KEY_NONE)
                    all = add(all, plain_weight(keys[c]));
    }
    barrier();
    const uint total = found;
    if (total > GATHERED || total == 0u)
        return PM_SAMPLE_NO_TOKEN;
    // Ranks, and weights at temperature 1.
    for (uint j = lane; j < total; j += LOCAL_X) {
        const uint key = found_key[j], id = found_id[j];
        uint before = 0;
        for (uint i = 0; i < total; i++)
            before += uint(better(found_key[i], found_id[i], key, id));
        bin_count[j] = before;
        set_weight(j, cut_k && before >= row.top_k ? uvec2(0) : plain_weight(key));
    }
    barrier();
    uint kept = cut_k ? row.top_k : total;
    if (row.top_p != 0u) {
        if (sum_all)
            sum_lanes(lane, all);
        else
            sum_gathered(lane, total);
        const uvec2 need = share(all_bins(), row.top_p);
        barrier();
        if (lane == 0)
            at_count = 0u;
        barrier();
        for (uint j = lane; j < total; j += LOCAL_X) {
            const uint rank = bin_count[j];
            uvec2 before = uvec2(0);
            for (uint i = 0; i < total; i++)
                if (bin_count[i] < rank)
                    before = add(before, weight_at(i));
            if (less(before, need) && !less(add(before, weight_at(j)), need))
                at_count = rank + 1u;
        }
        barrier();
        if (at_count == 0u) // top_p keeps more than these
            return PM_SAMPLE_NO_TOKEN;
        kept = at_count;
    }
    // The draw.
    for (uint j = lane; j < total; j += LOCAL_X)
        set_weight(j, bin_count[j] < kept ? draw_term(found_key[j], found_id[j]) : uvec2(0));
    sum_gathered(lane, total);
    const uvec2 limit = multiply_high(all_bins(), uvec2(row.random_low, row.random_high));
    for (uint j = lane; j < total; j += LOCAL_X) {
        const uint id = found_id[j];
        uvec2 before = uvec2(0);
        for (uint i = 0; i < total; i++)
            if (found_id[i] < id)
                before = add(before, weight_at(i));
        if (!less(limit, before) && less(limit, add(before, weight_at(j))))
            at_id = id;
    }
    barrier();
    return at_id;
}

void main()
{
    const uint lane = gl_LocalInvocationID.x;
    r = gl_WorkGroupID.x;
    if (r >= U32In(p.rows).v[0])
        return;
    logits = U32x4In(advance(p.logits, r, p.stride * 4u));
    has_mask = row.mask != 0u;
    mask = U32In(has_mask ? advance(p.masks, row.mask - 1u, (p.n + 31u) / 32u * 4u) : p.masks);
    uint best_key, best_id;
    find_best(lane, best_key, best_id);
    uint token = best_id;
    if (best_key != KEY_NONE && best_key != KEY_INF && (row.flags & PM_SAMPLE_DRAW) != 0u) {
        most = value_of(best_key);
        last_key = KEY_NONE - 1u;
        last_id = PM_SAMPLE_NO_TOKEN;
        const bool cut_k = row.top_k > 0u && row.top_k < p.n;
        const bool cut = cut_k || row.top_p != 0u;
        token = cut ? pick_of_few(lane, cut_k) : PM_SAMPLE_NO_TOKEN;
        if (token == PM_SAMPLE_NO_TOKEN) {
            if (cut)
                select_last(lane, cut_k);
            token = descend(lane, KEY_NONE, uvec2(0));
        }
    }
    if (lane == 0) {
        U32Out(p.tokens).v[r] = token;
        U32Out(p.flags).v[r] = some_nan | (best_key == KEY_NONE ? PM_SAMPLE_NONE : 0u);
    }
}

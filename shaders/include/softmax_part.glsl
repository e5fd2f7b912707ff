// softmax_part.glsl - a part of a softmax-weighted sum: (max, sum of e^(x - max), values so weighted)
//
// Merging takes parts in order, each step to the bit the same wherever it is done, in
// registers or from memory: contraction is ruled out, and a part that saw nothing, or that
// leaves the maximum where it was, changes nothing.
#ifndef SOFTMAX_PART_GLSL
#define SOFTMAX_PART_GLSL

#define LOWEST (-1e30)             // below any score; not an infinity, so that differences are numbers

// The factor that makes weights relative to `from` relative to `to`, to >= from.
float fade_of(float from, float to)
{
    return mix(exp(from - to), 1.0, from == to); // a choice, not a branch
}

// all * fade_all + part * fade_part.
float merged(float all, float fade_all, float part, float fade_part)
{
    precise float sum = all * fade_all;
    sum = fma(part, fade_part, sum);
    return sum;
}
#endif

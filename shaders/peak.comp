// peak.comp - multiply-adds without memory: the most that the device computes
//
//   x = x a + b     PEAK_F32: f32; PEAK_F16: f16, two to a word where the device packs them
//   s = s + x . s   PEAK_DOT: packed dot products of 4 signed bytes, 32-bit sums
//
// Grid: as many workgroups as fill the device. Bytes moved: none. Operations of a lane:
// turns * PM_PEAK_CHAINS * 4 * PM_PEAK_UNROLL multiply-adds of one number (two operations), or
// dot products of 4 bytes (eight). The measure for "percent of the device's peak".
#version 460
#extension GL_GOOGLE_include_directive : require
#include "address.glsl"
#include "push_peak.h"
#ifdef PEAK_F16
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#define VALUE f16vec4
#define NUMBER float16_t
#endif
#ifdef PEAK_F32
#define VALUE vec4
#define NUMBER float
#endif
#ifdef PEAK_DOT
#include "dot.glsl"
#endif

layout(local_size_x_id = PM_SPEC_LOCAL_X) in;

#ifdef PEAK_DOT
ivec4 step_of(ivec4 s, uint x)
{
    return s + ivec4(dot_packed(x, uint(s.x)), dot_packed(x, uint(s.y)), dot_packed(x, uint(s.z)), dot_packed(x, uint(s.w)));
}
#endif

// Named, not an array: some compilers would keep that in memory.
#ifdef PEAK_DOT
#define CHAIN ivec4
#define START(c) ivec4(lane + c) + ivec4(0, 1, 2, 3)
#define STEP(s) s = step_of(s, x);
#define WORD(s) uint(s.x ^ s.y ^ s.z ^ s.w)
#else
#define CHAIN VALUE
#define START(c) VALUE(vec4(lane + c) + vec4(0.0, 0.25, 0.5, 0.75))
#define STEP(s) s = fma(s, a, b);
#define WORD(s) floatBitsToUint(float(s.x) + float(s.y) + float(s.z) + float(s.w))
#endif
#define STEPS STEP(s0) STEP(s1) STEP(s2) // PM_PEAK_CHAINS

void main()
{
    const uint lane = gl_LocalInvocationID.x;
#ifdef PEAK_DOT
    const uint x = floatBitsToUint(p.a);
#else
    const VALUE a = VALUE(NUMBER(p.a)), b = VALUE(NUMBER(p.b));
#endif
    CHAIN s0 = START(0), s1 = START(1), s2 = START(2);
    for (uint turn = 0; turn < p.turns; turn++) {
        STEPS STEPS STEPS STEPS STEPS STEPS STEPS STEPS // PM_PEAK_UNROLL
    }
    if (p.keep != 0u)
        U32Out(p.y).v[lane] = WORD(s0) ^ WORD(s1) ^ WORD(s2);
}

/* vk/caps.h - optional capabilities: found at open, maskable for tests. Floor 1.
 *
 * PUMICE_CAPS=-f16,-int8dot masks; a masked capability is not enabled on the
 * device either, so that a shader which uses it in error is caught.
 */
#ifndef PM_VK_CAPS_H
#define PM_VK_CAPS_H

#include "base/error.h"

#include <stdint.h>

/* name, text of `pumice devices` */
#define PM_CAP_MAP(X)                                                              \
    X(F16,        "f16",        "16-bit float arithmetic")                         \
    X(STORE16,    "store16",    "16-bit storage buffers")                          \
    X(STORE8,     "store8",     "8-bit storage buffers")                           \
    X(INT8,       "int8",       "8-bit integer arithmetic")                        \
    X(INT16,      "int16",      "16-bit integer arithmetic")                       \
    X(INT64,      "int64",      "64-bit integer arithmetic")                       \
    X(INT8DOT,    "int8dot",    "accelerated packed 4x8-bit integer dot product")  \
    X(SUBGROUP,   "subgroup",   "subgroup arithmetic, shuffle and ballot")         \
    X(COOPMAT,    "coopmat",    "KHR cooperative matrix")                          \
    X(COOPMAT2,   "coopmat2",   "NV cooperative matrix 2")                         \
    X(COOPMAT2WG, "coopmat2wg", "NV cooperative matrix 2 of workgroups, decoding loads") \
    X(BF16,       "bf16",       "bfloat16 arithmetic")                             \
    X(BUDGET,     "budget",     "memory budget")                                   \
    X(HOSTMEM,    "hostmem",    "external host memory")                            \
    X(TIMESTAMP,  "timestamp",  "timestamps on the compute queue")                \
    X(TEXELS,     "texels",     "buffer textures in push descriptors")

typedef enum pm_cap {
#define X(name, text, help) PM_CAP_##name,
    PM_CAP_MAP(X)
#undef X
    PM_CAPS
} pm_cap;

#define PM_CAP_BIT(name) (1u << PM_CAP_##name)

/* A product of cooperative matrices that the device computes at subgroup scope:
 * [m, k] f16 x [k, n] f16 + [m, n] f32 -> [m, n] f32. */
typedef struct pm_vk_matrix {
    uint32_t m, n, k;
} pm_vk_matrix;

/* The same with dimensions that are multiples of these. scope_lanes: 0 = the subgroup's;
 * else the matrices belong to a workgroup of that many. */
typedef struct pm_vk_flexible_matrix {
    uint32_t m, n, k;
    uint32_t scope_lanes;
} pm_vk_flexible_matrix;

#define PM_VK_MATRICES_MAX 8

#define PM_VK_OFF_MAX 128

struct pm_choices;                 /* op/choice.h */

typedef struct pm_vk_caps {
    uint32_t bits;                 /* PM_CAP_BIT()s present and not masked */
    uint32_t masked;               /* present but masked */
    uint32_t subgroup_min, subgroup_max, subgroup_default; /* lanes; powers of two. A pipeline may ask
                                      for any from min to max (pm_vk_pipeline_key.subgroup) */
    uint32_t shared_bytes;         /* per workgroup */
    uint32_t workgroup_max;        /* invocations, also of dimension x */
    uint32_t groups_max[3];
    uint64_t buffer_bytes_max;     /* of one pm_vk_buffer; what is larger must be split */
    uint32_t texels_max;           /* of one buffer texture; 0 unless TEXELS is there and not masked */
    uint32_t matrix_count;         /* 0 unless COOPMAT is there and not masked; in the driver's order */
    pm_vk_matrix matrix[PM_VK_MATRICES_MAX];
    uint32_t flexible_count;       /* likewise for COOPMAT2 */
    pm_vk_flexible_matrix flexible[PM_VK_MATRICES_MAX]; /* of workgroups: likewise for COOPMAT2WG */
    uint32_t flexible_max;         /* the largest dimension of one; 0 where there are none */
    uint32_t flexible_lanes_max;   /* the largest workgroup that may own some, and the shared memory that */
    uint32_t flexible_shared_bytes; /* such a workgroup leaves to the driver; 0 unless COOPMAT2WG */
    bool is_cpu;
    bool uniform_loads;            /* of a CPU driver: what all lanes load from one address it loads once */
    bool soft_half;                /* of a CPU driver: shaders unpack f16 by themselves */
    uint32_t off_count, off[PM_VK_OFF_MAX]; /* rows of the ops' variant tables that this device gets
                                      wrong: op/variant.h */
    const struct pm_choices *choices; /* what tuning found best on this device; NULL = nothing */
} pm_vk_caps;

/* Whether the registers of a subgroup are shared out among its lanes, so that a lane of a large one has few: Intel, whose
 * threads have 128 registers of subgroup_min words each, and run subgroups of two and four times as many lanes. */
static inline bool pm_vk_shares_registers(const pm_vk_caps *caps)
{
    return !caps->is_cpu && caps->subgroup_min < 32 && caps->subgroup_min < caps->subgroup_max;
}

/* Lanes of subgroups that own cooperative matrices. */
static inline uint32_t pm_vk_matrix_lanes(const pm_vk_caps *caps)
{
    return pm_vk_shares_registers(caps) ? caps->subgroup_min : caps->subgroup_default;
}

/* Whether the CPU driver of this name and version (pm_device_info.driver) has uniform_loads: Mesa's llvmpipe from 25.1
 * on, which tells what is the same for all lanes from what is not. No feature of a device says it. */
bool pm_vk_loads_uniform(const char *driver);

/* Whether the CPU driver of this name, which has PM_CAP_F16 or has not, has soft_half. Without F16C, as on x86 before AVX2
 * and on ARM, llvmpipe of Mesa 22.3 makes wrong code of unpackHalf2x16(), which LLVM mostly cannot select, so that the process
 * ends; there it has no f16 arithmetic either. */
bool pm_vk_unpacks_soft(const char *driver, bool has_f16);

const char *pm_cap_name(pm_cap cap);
const char *pm_cap_text(pm_cap cap);

#endif /* PM_VK_CAPS_H */

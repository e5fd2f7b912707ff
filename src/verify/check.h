/* verify/check.h - one op on one device, held to double. Floor 3.
 *
 * A check makes its inputs by seed, records the op (with what it needs: a matmul packs its
 * weights, attention stores its keys), runs it, and compares every element of the result with
 * a reference in plain C, in double, on the exactly dequantised weights; or, where results
 * were recorded (verify/vectors.h), with those. Whatever the op may not write must be as
 * before, to the byte.
 */
#ifndef PM_VERIFY_CHECK_H
#define PM_VERIFY_CHECK_H

#include "gguf/dtype.h"
#include "vk/record.h"

/* name, what its types are */
#define PM_CHECK_OP_MAP(X) \
    X(EMBEDDING, "embedding") X(MATMUL, "matmul") X(RMSNORM, "rmsnorm") X(SWIGLU, "swiglu") \
    X(ROPE, "rope_kv") X(ATTENTION, "attention") X(ARGMAX, "argmax")

typedef enum pm_check_op {
#define X(name, text) PM_CHECK_##name,
    PM_CHECK_OP_MAP(X)
#undef X
    PM_CHECK_OPS
} pm_check_op;

/* Which elements of a head are rotated together. */
typedef enum pm_check_pairs {
    PM_CHECK_PAIRS_ANY,            /* neighbours at an odd number of heads, else halves: both are seen */
    PM_CHECK_PAIRS_NEIGHBOURS,     /* (2i, 2i + 1) */
    PM_CHECK_PAIRS_HALVES,         /* (i, i + rotary_dim / 2) */
} pm_check_pairs;

typedef struct pm_check {
    pm_check_op op;
    uint32_t type;                 /* pm_dtype of weights, pm_kv_type of pages; 0 for other ops */
    uint32_t variant;              /* row of the op's table; 0 where there is one way */
    uint32_t rows;                 /* 1.. */
    uint32_t n, k;                 /* embedding: [n, k]; matmul: outputs n of k; rmsnorm, swiglu, argmax: k */
    uint32_t heads, kv_heads, head_dim, page_tokens, window; /* rope_kv, attention */
    pm_check_pairs pairs;          /* rope_kv */
    uint32_t past;                 /* attention: keys of the two sequences before this step */
    uint32_t lanes, slices;        /* matmul: see pm_matmul; 0 = by shape and device */
    uint32_t splits;               /* attention: see pm_attention; 0 likewise */
    uint32_t outliers;             /* matmul: one input in so many is 100 times larger; 0 = none */
    bool deterministic;            /* matmul, attention: as a plan of a deterministic engine asks for it */
    bool as_loaded;                /* weights are packed as a model's are: by the host where that is possible */
    uint64_t seed;                 /* of the inputs; 0 = the one of the recorded results */
} pm_check;

typedef struct pm_check_result {
    bool built;                    /* the driver compiled it; else it did not run, and is not right */
    bool right;
    double error;                  /* worst |got - expected| / sum of |terms| */
    double bound;                  /* on it; 0 = exact */
    uint64_t elements;             /* compared */
    uint64_t ns, bytes, flops;     /* of one run of the op alone; ns 0 = the device has no clock */
    bool recorded;                 /* against recorded results, else against live ones */
    char detail[160];              /* of what is wrong: element, got, expected */
} pm_check_result;

/* Grows as checks are added. */
typedef struct pm_check_list {
    pm_check *checks;              /* owned, pm_free() */
    uint32_t count, capacity;
} pm_check_list;

/* Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_check_list_add(pm_check_list *list, const pm_check *check);

const char *pm_check_op_name(pm_check_op op);
const char *pm_check_type_name(const pm_check *check);    /* "q4_k", "f16"; "f32" for ops without types */
const char *pm_check_variant_name(const pm_check *check); /* "rows8"; "base" where there is one way */

/* "5x70x512", of sizes and nothing else. */
void pm_check_shape(const pm_check *check, char *text, size_t capacity);

/* NULL, or why the check cannot run here. */
const char *pm_check_lacks(const pm_check *check, const pm_vk_caps *caps);

/* Runs all. results: [count]. Checks that pm_check_lacks() refuses are asserted not to be there.
 * Drivers that compile when a kernel first runs, on the thread of a queue, are CPU drivers: there
 * the checks are shared out to one device object, and so one queue, for each core.
 * live: never compares with recorded results. timed: when all have run, runs each twice more,
 * one after the other, for its time; wants a device that profiles.
 * Errors: those of the device and of memory; a wrong result is none, nor is a kernel that the
 * driver does not compile. */
PM_MUST_USE pm_result pm_checks_run(pm_vk_device *device, const pm_check *checks, uint32_t count, bool live, bool timed,
                                    pm_check_result *results);

typedef struct pm_check_time {
    uint64_t ns, ns_min, ns_max;   /* of the op alone: the median of the runs, and their bounds */
    uint64_t bytes, flops;         /* of one run; 0 where the device has no clock */
} pm_check_time;

#define PM_CHECK_RUNS_MAX 64u

/* Times one check, whose result is not looked at: what goes before the op runs once, then the op
 * runs `runs` times after one that warms up, by the device's clock. Before each run one half of
 * `scrub` is copied over the other, so that caches hold nothing of the op's; NULL = they may. On a
 * device without a clock, or not opened to profile, it is the host's, and there is no scrub.
 * Errors: those of the device and of memory. */
PM_MUST_USE pm_result pm_check_measure(pm_vk_device *device, const pm_check *check, pm_vk_buffer *scrub, uint32_t runs,
                                       pm_check_time *out);

/* Checks that differ only in variant, lanes, slices and splits, laid down once on one memory, to be timed in turns. */
typedef struct pm_check_timer pm_check_timer;

/* Uploads the inputs, records each check's op and runs what goes before. quantises: what quantises x for a
 * variant that reads it in 8-bit blocks is part of its time. scrub: as for pm_check_measure(), borrowed for the
 * timer's life. Errors: those of the device and of memory. */
PM_MUST_USE pm_result pm_check_timer_create(pm_vk_device *device, const pm_check *checks, uint32_t count,
                                            bool quantises, pm_vk_buffer *scrub, pm_check_timer **out);
void pm_check_timer_destroy(pm_check_timer *timer);  /* NULL is fine */

/* Runs check `index` once. Errors: those of the device. */
PM_MUST_USE pm_result pm_check_timer_run(pm_check_timer *timer, uint32_t index, pm_check_time *out);

/* What the reference gives, for the maker of verify/vectors.c: *count elements, owned
 * (pm_free() of *want; sizes lie behind them). Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_check_reference(const pm_check *check, double **want, uint64_t *count);

#endif /* PM_VERIFY_CHECK_H */

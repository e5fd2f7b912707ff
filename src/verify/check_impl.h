/* verify/check_impl.h - how an op's check lays out its memory. Floor 3, inside verify/ only.
 *
 * One function for each op, called several times: to size the memory (no buffer, no host),
 * to record (a buffer and a recorder), to fill the host's image of the buffer (host), and to
 * compute the reference from that image (want). It takes memory always in the same order.
 */
#ifndef PM_VERIFY_CHECK_IMPL_H
#define PM_VERIFY_CHECK_IMPL_H

#include "op/attention.h"
#include "op/matmul.h"
#include "verify/check.h"

#define CHECK_OUTPUTS 2u
#define CHECK_PASSING 2u
#define CHECK_GAP 256u             /* bytes of canary behind each piece, at least */
#define CHECK_CANARY 0xffc0dea5u   /* a NaN */

typedef struct check_output {
    uint64_t offset;               /* bytes in the buffer */
    uint32_t rows, columns, stride; /* elements of 4 bytes */
    bool words;                    /* u32, else f32 */
} check_output;

typedef struct pm_check_run {
    const pm_check *check;
    pm_vk_buffer *buffer;          /* borrowed; NULL: only sizes or the reference are wanted */
    pm_vk_recorder *recorder;      /* NULL: nothing is recorded */
    uint8_t *host;                 /* image of the buffer; NULL: nothing is filled */
    uint64_t used;                 /* bytes taken */
    check_output outputs[CHECK_OUTPUTS]; /* what is compared, in this order */
    uint32_t output_count;
    pm_slice passing[CHECK_PASSING]; /* written on the way: packed weights, pages */
    uint32_t passing_count;
    uint64_t count;                /* elements of all outputs */
    double *want, *size;           /* [count]; NULL: no reference is wanted */
    double bound;                  /* set by the op */
    bool again;                    /* what goes before the op was run: only the op is recorded */
    bool quantises;                /* what quantises x is recorded again, too */
} pm_check_run;

/* Lays the check out; with a recorder records it, with host memory fills it, and with want
 * computes the reference. */
PM_MUST_USE pm_result pm_check_prepare(pm_check_run *run);

/* ns, bytes and flops of the device's profile for all runs of the op so far; else zeros. */
void pm_check_profile(pm_vk_device *device, const char *op, pm_check_result *sum);
/* Room for the reference, behind which lie its sizes: want is the caller's to free. */
PM_MUST_USE pm_result pm_check_allocate(pm_check_run *run);

/* back: the memory of run->host after the op ran. live: never with recorded results. */
PM_MUST_USE pm_result pm_check_compare(pm_check_run *run, const uint8_t *back, bool live, pm_check_result *result);

/* The next piece of memory; its place in the host's image, or NULL. */
void *pm_check_take(pm_check_run *run, uint64_t bytes, pm_slice *slice);

void pm_check_output(pm_check_run *run, pm_slice slice, uint32_t rows, uint32_t columns, uint32_t stride, bool words);
void pm_check_passing(pm_check_run *run, pm_slice slice);

/* The shape alone, as the variant table asks for it. */
pm_matmul pm_check_matmul_shape(const pm_check *check);
pm_attention pm_check_attention_shape(const pm_check *check);

PM_MUST_USE pm_result pm_check_embedding(pm_check_run *run);
PM_MUST_USE pm_result pm_check_matmul(pm_check_run *run);
PM_MUST_USE pm_result pm_check_rmsnorm(pm_check_run *run);
PM_MUST_USE pm_result pm_check_swiglu(pm_check_run *run);
PM_MUST_USE pm_result pm_check_rope(pm_check_run *run);
PM_MUST_USE pm_result pm_check_attention(pm_check_run *run);
PM_MUST_USE pm_result pm_check_argmax(pm_check_run *run);

#endif /* PM_VERIFY_CHECK_IMPL_H */

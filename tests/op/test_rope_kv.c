/* test_rope_kv.c - rotation of Q and K in place, and K and V in their pages, by address.
 *
 * The pages are read back and compared word by word with the layout of op/kv_layout.h, written
 * here once more: what the op stored, and that it stored nothing else. */
#include "op/suite.h"

#include "base/half.h"
#include "op/rope_kv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A pair is two products and a sum in f32: 1.5 units of 2^-24 of |a c| + |b s| at the most, were
 * cos and sin exact; f16 keys are rounded after that, by half a unit of 2^-10. */
#define RTOL 2e-7
#define HALF_UNIT 0x1p-11

typedef struct rope_case {
    uint32_t heads, kv_heads, head_dim, rotary_dim, page_tokens, rows;
    pm_kv_type type;
    bool neox;
    input_kind kind;
} rope_case;

/* The element of a page that holds element d of token t. */
static uint64_t k_element(const rope_case *c, uint32_t head, uint32_t d, uint32_t t)
{
    const uint32_t piece = c->type == PM_KV_F32 ? 4 : 8;
    return (uint64_t)head * c->head_dim * c->page_tokens + (uint64_t)(d / piece * c->page_tokens + t) * piece + d % piece;
}

static uint64_t v_element(const rope_case *c, uint32_t head, uint32_t d, uint32_t t)
{
    return ((uint64_t)(c->kv_heads + head) * c->page_tokens + t) * c->head_dim + d;
}

/* Elements of the pool, as bits; takes what it reads away, so that what is left is unwritten. */
typedef struct pool {
    uint8_t *bytes;
    uint64_t page_bytes;
    bool half;
} pool;

static float take(pool *p, uint32_t page, uint64_t element, uint32_t *bits)
{
    const uint32_t size = p->half ? 2 : 4;
    uint8_t *at = p->bytes + page * p->page_bytes + element * size;
    static const uint32_t canary = CANARY_WORD;
    *bits = 0;
    memcpy(bits, at, size);
    memcpy(at, (const uint8_t *)&canary + (element * size) % 4, size);
    return p->half ? pm_f16_to_f32((uint16_t)*bits) : pm_f32_from_bits(*bits);
}

/* Element d of a head, rotated, in double; *size: |a c| + |b s|. */
static double rotated(const rope_case *c, const float *head, const float *angles, uint32_t d, double *size)
{
    const uint32_t half = c->rotary_dim / 2;
    *size = 0.0;
    if (d >= c->rotary_dim)
        return (double)head[d];
    const uint32_t pair = c->neox ? d % half : d / 2, first = c->neox ? pair : 2 * pair, second = c->neox ? pair + half : first + 1;
    const double a = (double)head[first], b = (double)head[second], cs = (double)angles[2 * pair],
                 sn = (double)angles[2 * pair + 1];
    const double one = d == first ? a * cs : a * sn, two = d == first ? -b * sn : b * cs;
    *size = fabs(one) + fabs(two);
    return one + two;
}

/* The same in float: the trusted implementation. */
static float plainly_rotated(const rope_case *c, const float *head, const float *angles, uint32_t d)
{
    const uint32_t half = c->rotary_dim / 2;
    if (d >= c->rotary_dim)
        return head[d];
    const uint32_t pair = c->neox ? d % half : d / 2, first = c->neox ? pair : 2 * pair, second = c->neox ? pair + half : first + 1;
    const float cs = angles[2 * pair], sn = angles[2 * pair + 1];
    return d == first ? head[first] * cs - head[second] * sn : head[first] * sn + head[second] * cs;
}

static void check(const rope_case *c)
{
    const uint32_t width = (c->heads + 2 * c->kv_heads) * c->head_dim, stride = width + 32, rows_max = c->rows + 2;
    const pm_kv_layout layout = {c->type, c->kv_heads, c->head_dim, c->page_tokens};
    const uint32_t positions = 2 * c->rows + 40, pages = (2 * c->rows + c->page_tokens - 1) / c->page_tokens + 3;
    float *qkv = malloc((uint64_t)rows_max * stride * 4), *after = malloc((uint64_t)rows_max * stride * 4),
          *angles = malloc((uint64_t)positions * c->rotary_dim * 4);
    uint32_t *position = calloc(rows_max, 4), *slots = calloc(rows_max, 4);
    assert_true(qkv && after && angles && position && slots);
    for (uint64_t i = 0; i < (uint64_t)rows_max * stride; i++) {
        qkv[i] = input_value(c->kind, harness_seed() + 3, i);
        if (i % 7 == 3 && c->kind == INPUT_NORMAL) /* halfway between two f16 */
            qkv[i] = (float)(2 * input_index(5, i, 1024) + 1) * 0x1p-11f + 1.0f;
        if (i % 7 == 5 && c->kind == INPUT_NORMAL) /* and between two below 2^-14, and below the least */
            qkv[i] = (float)(2 * input_index(6, i, 1024) + 1) * (i % 2 == 0 ? 0x1p-25f : -0x1p-27f);
    }
    for (uint32_t p = 0; p < positions; p++)
        for (uint32_t i = 0; i < c->rotary_dim / 2; i++) {
            const double angle = (p + 32768.0 * (p % 2)) * pow(10000.0, -2.0 * i / c->rotary_dim);
            angles[p * c->rotary_dim + 2 * i] = (float)cos(angle);
            angles[p * c->rotary_dim + 2 * i + 1] = (float)sin(angle);
        }
    for (uint32_t r = 0; r < c->rows; r++) { /* slots apart from each other, shuffled over the pages */
        position[r] = pick(positions);
        slots[r] = r % 5 == 4 ? PM_SLOT_NONE : (uint32_t)((uint64_t)r * 2 * 37 % (pages * c->page_tokens));
        for (uint32_t other = 0; other < r; other++)
            if (slots[other] == slots[r])
                slots[r] = PM_SLOT_NONE;
    }
    const uint64_t pool_bytes = pages * pm_kv_page_bytes(&layout);
    pool p = {malloc(pool_bytes), pm_kv_page_bytes(&layout), c->type == PM_KV_F16};
    assert_non_null(p.bytes);
    test_buffer qkv_buffer = buffer_from(qkv, (uint64_t)rows_max * stride * 4), kv = buffer_make(pool_bytes),
                table = buffer_from(angles, (uint64_t)positions * c->rotary_dim * 4),
                position_buffer = buffer_from(position, rows_max * 4), slot_buffer = buffer_from(slots, rows_max * 4),
                count = buffer_from(&c->rows, 4);
    const pm_rope_kv rope = {.qkv = qkv_buffer.slice, .table = table.slice, .positions = position_buffer.slice,
                             .slots = slot_buffer.slice, .kv = kv.slice, .rows = count.slice, .layout = layout,
                             .rows_max = rows_max, .qkv_stride = stride, .heads = c->heads, .rotary_dim = c->rotary_dim,
                             .neox = c->neox};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rope_kv_record(recorder, &rope));
    run_recorder(recorder);
    buffer_read(&qkv_buffer, after);
    buffer_read(&kv, p.bytes);
    char what[128];
    snprintf(what, sizeof(what), "rope_kv %s %u/%u heads of %u, %u rotary%s, %u rows", p.half ? "f16" : "f32", c->heads,
             c->kv_heads, c->head_dim, c->rotary_dim, c->neox ? " neox" : "", c->rows);
    for (uint32_t r = 0; r < rows_max; r++) {
        const float *row = qkv + (uint64_t)r * stride, *turned = after + (uint64_t)r * stride;
        const float *turn = angles + (uint64_t)position[r] * c->rotary_dim;
        for (uint32_t i = r < c->rows ? c->heads * c->head_dim : 0; i < stride; i++) /* only Q is written */
            if (pm_f32_bits(row[i]) != pm_f32_bits(turned[i]))
                fail_msg("%s: float %u of row %u was written", what, i, r);
        if (r >= c->rows)
            continue;
        double want[256], size[256];
        float plain[256];
        for (uint32_t h = 0; h < c->heads; h++) {
            for (uint32_t d = 0; d < c->head_dim; d++) {
                want[d] = rotated(c, row + h * c->head_dim, turn, d, &size[d]);
                plain[d] = plainly_rotated(c, row + h * c->head_dim, turn, d);
            }
            compare(turned + h * c->head_dim, want, size, c->head_dim, RTOL, 1e-37, what);
            if (c->kind != INPUT_TINY)
                compare_rule(turned + h * c->head_dim, plain, want, size, c->head_dim, RULE_SLACK, what);
        }
        for (uint32_t h = 0; h < c->kv_heads && slots[r] != PM_SLOT_NONE; h++) {
            const float *key = row + (c->heads + h) * c->head_dim, *value = key + c->kv_heads * c->head_dim;
            const uint32_t page = slots[r] / c->page_tokens, t = slots[r] % c->page_tokens;
            for (uint32_t d = 0; d < c->head_dim; d++) {
                uint32_t bits;
                const float k = take(&p, page, k_element(c, h, d, t), &bits);
                const double w = rotated(c, key, turn, d, &size[0]);
                const double most = RTOL * size[0] + (p.half ? HALF_UNIT * fabs(w) + 0x1p-25 : 0.0) + 1e-37;
                if (!(fabs((double)k - w) <= most) && !(p.half && fabs(w) > 65503.0))
                    fail_msg("%s: row %u, K head %u, element %u is %.9g, expected %.9g", what, r, h, d, (double)k, w);
                (void)take(&p, page, v_element(c, h, d, t), &bits);
                const uint32_t same = p.half ? pm_f16_from_f32(value[d]) : pm_f32_bits(value[d]);
                if (bits != same)
                    fail_msg("%s: row %u, V head %u, element %u has bits %x, expected %x", what, r, h, d, bits, same);
            }
        }
    }
    for (uint64_t i = 0; i < pool_bytes; i += 4) {
        uint32_t word;
        memcpy(&word, p.bytes + i, 4);
        if (word != CANARY_WORD)
            fail_msg("%s: byte %llu of the pages was written for no row", what, (unsigned long long)i);
    }
    tally("rope_kv", p.half ? "f16" : "f32", (uint64_t)c->rows * width);
    buffer_free(&qkv_buffer);
    buffer_free(&kv);
    buffer_free(&table);
    buffer_free(&position_buffer);
    buffer_free(&slot_buffer);
    buffer_free(&count);
    free(qkv);
    free(after);
    free(angles);
    free(position);
    free(slots);
    free(p.bytes);
}

static void heads_pages_and_pairs(void **state)
{
    (void)state;
    static const uint32_t shapes[][3] = {{1, 1, 8}, {1, 1, 16}, {4, 2, 64}, {8, 8, 80}, {3, 1, 96}, {16, 1, 128}, {2, 2, 256}};
    for (uint32_t i = 0; i < COUNT_OF(shapes); i++)
        for (int form = 0; form < 4; form++) {
            rope_case c = {.heads = shapes[i][0], .kv_heads = shapes[i][1], .head_dim = shapes[i][2], .rows = 1 + pick(17),
                           .rotary_dim = form % 2 ? shapes[i][2] : shapes[i][2] / 2, .page_tokens = pick(2) ? 16 : 32,
                           .type = form / 2 ? PM_KV_F16 : PM_KV_F32, .neox = false};
            check(&c);
            c.neox = true;
            check(&c);
        }
    compare_report("rope_kv");
}

static void row_counts_of_a_batch(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 512};
    for (uint32_t i = 0; i < COUNT_OF(counts); i++) {
        const rope_case c = {.heads = 2, .kv_heads = 1, .head_dim = 32, .rows = counts[i], .rotary_dim = 32,
                             .page_tokens = 16, .type = i % 2 ? PM_KV_F16 : PM_KV_F32, .neox = pick(2)};
        check(&c);
    }
}

static void hard_values(void **state)
{
    (void)state;
    for (int kind = INPUT_OUTLIERS; kind <= INPUT_SCALES; kind++)
        for (int type = 0; type < 2; type++) {
            const rope_case c = {.heads = 2, .kv_heads = 2, .head_dim = 64, .rows = 9, .rotary_dim = 64, .page_tokens = 16,
                                 .type = type ? PM_KV_F16 : PM_KV_F32, .neox = pick(2), .kind = (input_kind)kind};
            check(&c);
        }
}

/* A page whose first byte lies past 2^32 bytes of the pool. */
static void pages_past_4_gib(void **state)
{
    (void)state;
    const pm_kv_layout layout = {PM_KV_F32, 8, 128, 32};
    const uint64_t page_bytes = pm_kv_page_bytes(&layout); /* 256 KiB */
    const uint32_t pages = (uint32_t)((UINT64_C(1) << 32) / page_bytes) + 9, width = (8 + 16) * 128, rows = 3;
    far_memory kv;
    if (!far_make(&kv, pages * page_bytes, "rope_kv past 4 GiB"))
        skip();
    float *qkv = malloc(rows * width * 4), *angles = calloc(128, 4), *page = malloc(page_bytes);
    assert_true(qkv && angles && page);
    input_fill(qkv, rows * width, INPUT_NORMAL, harness_seed());
    for (uint32_t i = 0; i < 64; i++)
        angles[2 * i] = 1.0f; /* no rotation */
    const uint32_t slots[] = {5, (pages - 1) * 32 + 31, (pages - 9) * 32}, zero[3] = {0};
    test_buffer qkv_buffer = buffer_from(qkv, rows * width * 4), table = buffer_from(angles, 128 * 4),
                position = buffer_from(zero, sizeof(zero)), slot_buffer = buffer_from(slots, sizeof(slots)),
                count = buffer_from(&rows, 4);
    const pm_rope_kv rope = {.qkv = qkv_buffer.slice, .table = table.slice, .positions = position.slice,
                             .slots = slot_buffer.slice, .kv = kv.slice, .rows = count.slice, .layout = layout,
                             .rows_max = rows, .qkv_stride = width, .heads = 8, .rotary_dim = 128};
    pm_vk_recorder *recorder = make_recorder();
    ok(pm_rope_kv_record(recorder, &rope));
    run_recorder(recorder);
    const rope_case c = {.kv_heads = 8, .head_dim = 128, .page_tokens = 32, .type = PM_KV_F32};
    for (uint32_t r = 0; r < rows; r++) {
        far_read(&kv, slots[r] / 32 * page_bytes, page, page_bytes);
        for (uint32_t h = 0; h < 8; h++)
            for (uint32_t d = 0; d < 128; d++) {
                assert_true(page[k_element(&c, h, d, slots[r] % 32)] == qkv[r * width + (8 + h) * 128 + d]);
                assert_true(page[v_element(&c, h, d, slots[r] % 32)] == qkv[r * width + (16 + h) * 128 + d]);
            }
    }
    tally("rope_kv", "past 4 GiB", rows * 2 * 8 * 128);
    buffer_free(&qkv_buffer);
    buffer_free(&table);
    buffer_free(&position);
    buffer_free(&slot_buffer);
    buffer_free(&count);
    far_free(&kv);
    free(qkv);
    free(angles);
    free(page);
}

/* The pages; Q is turned in place, once more each time. */
static void fifty_repeats_and_a_fresh_recording_are_the_same_bits(void **state)
{
    (void)state;
    enum { ROWS = 40, HEADS = 4, KV_HEADS = 2, DIM = 64, WIDTH = (HEADS + 2 * KV_HEADS) * DIM, PAGES = 4 };
    float *qkv = malloc(ROWS * WIDTH * 4), angles[16 * DIM];
    assert_non_null(qkv);
    input_fill(qkv, ROWS * WIDTH, INPUT_OUTLIERS, harness_seed());
    input_fill(angles, 16 * DIM, INPUT_NORMAL, harness_seed() + 1);
    uint32_t position[ROWS], slots[ROWS], rows = ROWS;
    for (uint32_t r = 0; r < ROWS; r++) {
        position[r] = pick(16);
        slots[r] = r * 37 % (PAGES * 16);
    }
    for (int type = PM_KV_F16; pm_kv_type_name((pm_kv_type)type) != NULL; type++) {
        const pm_kv_layout layout = {(pm_kv_type)type, KV_HEADS, DIM, 16};
        test_buffer qkv_buffer = buffer_from(qkv, ROWS * WIDTH * 4), kv = buffer_make(PAGES * pm_kv_page_bytes(&layout)),
                    table = buffer_from(angles, sizeof(angles)), position_buffer = buffer_from(position, sizeof(position)),
                    slot_buffer = buffer_from(slots, sizeof(slots)), count = buffer_from(&rows, 4);
        const pm_rope_kv rope = {.qkv = qkv_buffer.slice, .table = table.slice, .positions = position_buffer.slice,
                                 .slots = slot_buffer.slice, .kv = kv.slice, .rows = count.slice, .layout = layout,
                                 .rows_max = ROWS, .qkv_stride = WIDTH, .heads = HEADS, .rotary_dim = DIM, .neox = type % 2};
        pm_vk_commands *commands[2];
        for (int i = 0; i < 2; i++) {
            pm_vk_recorder *recorder = make_recorder();
            ok(pm_rope_kv_record(recorder, &rope));
            ok(pm_vk_recorder_end(recorder, &commands[i]));
            pm_vk_recorder_destroy(recorder);
        }
        check_repeats(commands[0], commands[1], &kv, pm_kv_type_name((pm_kv_type)type));
        buffer_free(&qkv_buffer);
        buffer_free(&kv);
        buffer_free(&table);
        buffer_free(&position_buffer);
        buffer_free(&slot_buffer);
        buffer_free(&count);
    }
    free(qkv);
}

static int finish(void **state)
{
    (void)state;
    tally_print();
    harness_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_pages_and_pairs),
        cmocka_unit_test(row_counts_of_a_batch),
        cmocka_unit_test(hard_values),
        cmocka_unit_test(pages_past_4_gib),
        cmocka_unit_test(fifty_repeats_and_a_fresh_recording_are_the_same_bits),
    };
    return cmocka_run_group_tests_name("rope_kv", tests, NULL, finish);
}

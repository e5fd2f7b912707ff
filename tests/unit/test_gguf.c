/* test_gguf.c - the GGUF reader: what it must refuse, what it must survive, what it reads. */
#include "gguf/gguf.h"

#include "temporary.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "model/model_file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char demo_path[4096];
static const char *assets;
static uint64_t seed;

/* ------------------------------------------------------ files made by hand */

typedef struct maker {
    uint8_t data[65536];
    size_t len;
} maker;

static void put(maker *m, const void *data, size_t len)
{
    assert_true(m->len + len <= sizeof(m->data));
    memcpy(m->data + m->len, data, len);
    m->len += len;
}

static void put_u32(maker *m, uint32_t x) { put(m, &x, 4); }
static void put_u64(maker *m, uint64_t x) { put(m, &x, 8); }

static void put_string(maker *m, const char *text)
{
    put_u64(m, strlen(text));
    put(m, text, strlen(text));
}

static void put_header(maker *m, uint32_t version, uint64_t tensors, uint64_t values)
{
    m->len = 0;
    put(m, "GGUF", 4);
    put_u32(m, version);
    put_u64(m, tensors);
    put_u64(m, values);
}

static void put_u32_value(maker *m, const char *key, uint32_t value)
{
    put_string(m, key);
    put_u32(m, PM_GGUF_U32);
    put_u32(m, value);
}

static void put_tensor(maker *m, const char *name, uint32_t dims, const uint64_t *shape, uint32_t type, uint64_t offset)
{
    put_string(m, name);
    put_u32(m, dims);
    for (uint32_t i = 0; i < dims; i++)
        put_u64(m, shape[i]);
    put_u32(m, type);
    put_u64(m, offset);
}

static void put_zeros(maker *m, size_t align, size_t bytes)
{
    while (m->len % align != 0)
        put(m, "", 1);
    for (size_t i = 0; i < bytes; i++)
        put(m, "", 1);
}

/* Opens the bytes from a block of exactly their size, so that a read past the end shows. */
static pm_result open_exact(const uint8_t *data, size_t len, pm_gguf **out)
{
    uint8_t *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, data, len);
    const pm_result result = pm_gguf_open_memory(exact, len, "test.gguf", out);
    if (result != PM_OK)
        free(exact);
    else
        pm_gguf_close(*out), free(exact);
    return result;
}

static void expect(const maker *m, pm_result expected, const char *part_of_message)
{
    pm_gguf *g = NULL;
    const pm_result result = open_exact(m->data, m->len, &g);
    if (result != expected || (part_of_message != NULL && strstr(pm_error_message(), part_of_message) == NULL))
        fail_msg("%s: %s, expected %s with '%s'", pm_result_name(result), pm_error_message(), pm_result_name(expected),
                 part_of_message != NULL ? part_of_message : "");
}

/* ----------------------------------------------------------------- tests */

static void other_versions_and_byte_orders_are_named(void **state)
{
    (void)state;
    static maker m;
    put_header(&m, 1, 0, 0);
    expect(&m, PM_ERR_UNSUP, "version 1");
    put_header(&m, 3u << 24, 0, 0);
    expect(&m, PM_ERR_UNSUP, "big-endian");
    put_header(&m, 4, 0, 0);
    expect(&m, PM_ERR_UNSUP, "version 4");
    put_header(&m, 3, 0, 0);
    m.data[0] = 'X';
    expect(&m, PM_ERR_FORMAT, "GGUF");
    put_header(&m, 2, 0, 0);
    expect(&m, PM_OK, NULL);
    put_header(&m, 3, 0, 0);
    expect(&m, PM_OK, NULL);
    m.len = 0;
    expect(&m, PM_ERR_FORMAT, "magic");
}

static void impossible_counts_are_refused_before_memory_is_asked_for(void **state)
{
    (void)state;
    static maker m;
    const uint64_t before = pm_alloc_count();
    put_header(&m, 3, UINT64_MAX, 0);
    expect(&m, PM_ERR_FORMAT, "tensor count");
    put_header(&m, 3, 0, UINT64_MAX / 2);
    expect(&m, PM_ERR_FORMAT, "metadata count");
    assert_true(pm_alloc_count() - before < 16);
    put_header(&m, 3, 0, 1);
    put_u64(&m, UINT64_MAX); /* length of a key */
    put_zeros(&m, 1, 40);
    expect(&m, PM_ERR_FORMAT, "metadata key");
    put_header(&m, 3, 0, 1);
    put_string(&m, "a");
    put_u32(&m, PM_GGUF_ARRAY);
    put_u32(&m, PM_GGUF_U64);
    put_u64(&m, UINT64_MAX / 4);
    expect(&m, PM_ERR_FORMAT, "key a");
}

static void bad_metadata_is_refused_by_name(void **state)
{
    (void)state;
    static maker m;
    put_header(&m, 3, 0, 1);
    put_string(&m, "a");
    put_u32(&m, 13);
    put_zeros(&m, 1, 40);
    expect(&m, PM_ERR_FORMAT, "value type 13");
    put_header(&m, 3, 0, 2);
    put_u32_value(&m, "same", 1);
    put_u32_value(&m, "same", 2);
    expect(&m, PM_ERR_FORMAT, "twice");
    put_header(&m, 3, 0, 1);
    put_string(&m, "nest");
    put_u32(&m, PM_GGUF_ARRAY);
    for (int i = 0; i < 8; i++) {
        put_u32(&m, PM_GGUF_ARRAY);
        put_u64(&m, 1);
    }
    put_zeros(&m, 1, 40);
    expect(&m, PM_ERR_FORMAT, "nests");
    put_header(&m, 3, 0, 1);
    put_u32_value(&m, "general.alignment", 3);
    expect(&m, PM_ERR_FORMAT, "general.alignment");
}

static void tensors_must_fit_align_and_not_overlap(void **state)
{
    (void)state;
    static maker m;
    const uint64_t shape[4] = {32, 4, 1, 1}, huge[4] = {UINT64_C(1) << 62, 16, 16, 16}, odd[1] = {33};
    put_header(&m, 3, 1, 0);
    put_tensor(&m, "w", 2, shape, PM_DTYPE_F32, 0);
    put_zeros(&m, 32, 512);
    expect(&m, PM_OK, NULL);
    m.len--;
    expect(&m, PM_ERR_FORMAT, "tensor w needs bytes");
    put_header(&m, 3, 1, 0);
    put_tensor(&m, "w", 2, shape, PM_DTYPE_F32, 16);
    put_zeros(&m, 32, 1024);
    expect(&m, PM_ERR_FORMAT, "multiple of 32");
    put_header(&m, 3, 2, 0);
    put_tensor(&m, "a", 2, shape, PM_DTYPE_F32, 0);
    put_tensor(&m, "b", 2, shape, PM_DTYPE_F32, 480);
    put_zeros(&m, 32, 2048);
    expect(&m, PM_ERR_FORMAT, "overlap");
    put_header(&m, 3, 2, 0);
    put_tensor(&m, "a", 2, shape, PM_DTYPE_F32, 0);
    put_tensor(&m, "a", 2, shape, PM_DTYPE_F32, 512);
    put_zeros(&m, 32, 2048);
    expect(&m, PM_ERR_FORMAT, "twice");
    put_header(&m, 3, 1, 0);
    put_tensor(&m, "w", 4, huge, PM_DTYPE_F32, 0);
    put_zeros(&m, 32, 64);
    expect(&m, PM_ERR_FORMAT, "overflows");
    put_header(&m, 3, 1, 0);
    put_tensor(&m, "w", 1, odd, PM_DTYPE_Q8_0, 0);
    put_zeros(&m, 32, 64);
    expect(&m, PM_ERR_FORMAT, "multiple of 32");
    put_header(&m, 3, 1, 0);
    put_tensor(&m, "w", 1, shape, 4, 0); /* an id that names no type */
    put_zeros(&m, 32, 64);
    expect(&m, PM_ERR_UNSUP, "type 4");
    put_header(&m, 3, 1, 0);
    put_string(&m, "w");
    put_u32(&m, 5);
    put_zeros(&m, 1, 80);
    expect(&m, PM_ERR_FORMAT, "5 dimensions");
}

static void values_are_read_by_type_and_range(void **state)
{
    (void)state;
    static maker m;
    put_header(&m, 3, 0, 3);
    put_u32_value(&m, "n", 7);
    put_string(&m, "negative");
    put_u32(&m, PM_GGUF_I32);
    put_u32(&m, (uint32_t)-5);
    put_string(&m, "text");
    put_u32(&m, PM_GGUF_STRING);
    put_string(&m, "hello");
    pm_gguf *g = NULL;
    assert_int_equal(pm_gguf_open_memory(m.data, m.len, "test.gguf", &g), PM_OK);
    uint32_t n = 1;
    assert_int_equal(pm_gguf_get_u32(g, "n", 0, 10, &n), PM_OK);
    assert_int_equal(n, 7);
    assert_int_equal(pm_gguf_get_u32(g, "n", 8, 10, &n), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_u32(g, "negative", 0, 10, &n), PM_ERR_FORMAT);
    assert_int_equal(pm_gguf_get_u32(g, "text", 0, 10, &n), PM_ERR_FORMAT);
    assert_int_equal(n, 7);
    assert_int_equal(pm_gguf_get_u32(g, "absent", 0, 10, &n), PM_OK);
    pm_gguf_string s = {0};
    assert_int_equal(pm_gguf_get_string(g, "text", &s), PM_OK);
    assert_int_equal(s.len, 5);
    assert_memory_equal(s.data, "hello", 5);
    pm_gguf_close(g);
}

/* Writes part `number` of two: one tensor each. */
static void write_part(const char *stem, uint16_t number, uint16_t says)
{
    static maker m;
    const uint64_t shape[1] = {8};
    char path[4200];
    put_header(&m, 3, 1, 3);
    const char *keys[2] = {"split.no", "split.count"};
    const uint16_t values[2] = {says, 2};
    for (int i = 0; i < 2; i++) {
        put_string(&m, keys[i]);
        put_u32(&m, PM_GGUF_U16);
        put(&m, &values[i], 2);
    }
    put_u32_value(&m, "split.tensors.count", 2);
    put_tensor(&m, number == 0 ? "a" : "b", 1, shape, PM_DTYPE_F32, 0);
    put_zeros(&m, 32, 32);
    snprintf(path, sizeof(path), "%s-%05u-of-00002.gguf", stem, number + 1u);
    assert_int_equal(pm_file_write_atomic(path, m.data, m.len), PM_OK);
}

static void split_files_open_by_any_part(void **state)
{
    (void)state;
    char folder[512], stem[600], path[700];
    temporary_template(folder, sizeof(folder), "split");
    assert_non_null(mkdtemp(folder));
    snprintf(stem, sizeof(stem), "%s/m", folder);
    write_part(stem, 0, 0);
    write_part(stem, 1, 1);
    for (int part = 1; part <= 2; part++) {
        pm_gguf *g = NULL;
        snprintf(path, sizeof(path), "%s-%05d-of-00002.gguf", stem, part);
        if (pm_gguf_open(path, &g) != PM_OK)
            fail_msg("%s", pm_error_message());
        assert_int_equal(pm_gguf_parts(g), 2);
        assert_non_null(pm_gguf_tensor_find(g, "a"));
        assert_non_null(pm_gguf_tensor_find(g, "b"));
        pm_gguf_close(g);
    }
    pm_gguf *g = NULL;
    write_part(stem, 1, 0); /* says it is another part */
    snprintf(path, sizeof(path), "%s-00001-of-00002.gguf", stem);
    assert_int_equal(pm_gguf_open(path, &g), PM_ERR_FORMAT);
    char second[700];
    snprintf(second, sizeof(second), "%s-00002-of-00002.gguf", stem);
    unlink(second);
    assert_int_equal(pm_gguf_open(path, &g), PM_ERR_IO);
    unlink(path);
    rmdir(folder);
}

/* Opens the bytes as a model file would be used: directory, every value, vocabulary. */
static pm_result use(const uint8_t *data, size_t len)
{
    pm_gguf *g = NULL;
    const pm_result result = pm_gguf_open_memory(data, len, "cut.gguf", &g);
    if (result != PM_OK)
        return result;
    for (uint64_t i = 0; i < pm_gguf_value_count(g); i++) {
        const pm_gguf_value *v = pm_gguf_value_at(g, i);
        const uint8_t *cursor = v->data;
        for (uint64_t k = 0; k < v->count && v->item_type == PM_GGUF_STRING; k++)
            (void)pm_gguf_next_string(&cursor);
        if (v->item_type != PM_GGUF_STRING && v->item_type != PM_GGUF_ARRAY && v->count > 0)
            (void)pm_gguf_number(v, v->count - 1);
    }
    for (uint64_t i = 0; i < pm_gguf_tensor_count(g); i++) {
        const pm_gguf_tensor *t = pm_gguf_tensor_at(g, i);
        volatile uint8_t last = ((const uint8_t *)t->data)[t->bytes - 1];
        (void)last;
    }
    pm_gguf_close(g);
    return PM_OK;
}

static void a_cut_or_changed_file_never_crashes(void **state)
{
    (void)state;
    enum { CASES = 10000 };
    pm_file_map map;
    assert_int_equal(pm_file_map_open(demo_path, &map), PM_OK);
    pm_gguf *g = NULL;
    assert_int_equal(pm_gguf_open_memory(map.data, map.bytes, demo_path, &g), PM_OK);
    const size_t header = (size_t)((const uint8_t *)pm_gguf_tensor_at(g, 0)->data - map.data);
    pm_gguf_close(g);
    /* Tensor data beyond the header is not read here: a copy of the header and what follows
     * closely is enough for cuts; changes see the whole file. */
    uint8_t *copy = malloc(map.bytes);
    assert_non_null(copy);
    memcpy(copy, map.data, map.bytes);
    uint64_t rng = seed;
    uint32_t errors = 0;
    for (int i = 0; i < CASES; i++) {
        rng = pm_mix64(rng);
        if (i % 2 == 0) {
            const size_t cut = (rng >> 8) % (i % 20 == 0 ? map.bytes : header + 64);
            uint8_t *exact = malloc(cut > 0 ? cut : 1);
            assert_non_null(exact);
            memcpy(exact, map.data, cut);
            errors += use(exact, cut) != PM_OK;
            free(exact);
        } else {
            const size_t at = (rng >> 8) % header;
            const uint8_t old = copy[at];
            copy[at] ^= (uint8_t)(1 + rng % 255);
            errors += use(copy, map.bytes) != PM_OK;
            copy[at] = old;
        }
    }
    print_message("seed %llu: %d cases, %u refused\n", (unsigned long long)seed, CASES, errors);
    assert_true(errors > CASES / 3);
    free(copy);
    pm_file_map_close(&map);
}

/* The same through the public door, vocabulary included: fewer, since it writes files. */
static void a_changed_vocabulary_never_crashes(void **state)
{
    (void)state;
    pm_file_map map;
    char path[512];
    temporary_template(path, sizeof(path), "changed");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(pm_file_map_open(demo_path, &map), PM_OK);
    uint8_t *copy = malloc(map.bytes);
    assert_non_null(copy);
    uint64_t rng = seed ^ 1;
    for (int i = 0; i < 200; i++) {
        memcpy(copy, map.data, map.bytes);
        rng = pm_mix64(rng);
        copy[(rng >> 8) % 40000] ^= (uint8_t)(1 + rng % 255);
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(copy, 1, map.bytes, file), map.bytes);
        fclose(file);
        pm_model_file *model = NULL;
        pm_tokenizer *tokenizer = NULL;
        if (pm_model_file_open(path, &model) == PM_OK && pm_tokenizer_create(model, &tokenizer) == PM_OK) {
            int32_t tokens[64];
            size_t count;
            (void)!pm_tokenize(tokenizer, "Hello, world! <|im_end|>", 24, 3, tokens, 64, &count);
        }
        pm_tokenizer_destroy(tokenizer);
        pm_model_file_close(model);
    }
    unlink(path);
    free(copy);
    pm_file_map_close(&map);
}

static void malformed_files_give_an_error_or_load(void **state)
{
    (void)state;
    char folder[4200];
    snprintf(folder, sizeof(folder), "%s/gguf-malformed/bitnet-rs-fixtures", assets);
    DIR *dir = assets[0] != '\0' ? opendir(folder) : NULL;
    if (dir == NULL) {
        print_message("SKIPPED: no assets with malformed files\n");
        skip();
    }
    uint32_t files = 0, errors = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[4600];
        pm_model_file *file = NULL;
        pm_tokenizer *tokenizer = NULL;
        if (strstr(entry->d_name, ".gguf") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        files++;
        const bool fine = pm_model_file_open(path, &file) == PM_OK && pm_tokenizer_create(file, &tokenizer) == PM_OK;
        if (!fine)
            assert_non_null(strstr(pm_error_message(), entry->d_name));
        errors += !fine;
        pm_tokenizer_destroy(tokenizer);
        pm_model_file_close(file);
    }
    closedir(dir);
    print_message("%u files, %u refused\n", files, errors);
    assert_true(files > 10);
}

static void opening_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    pm_model_file *file = NULL;
    pm_tokenizer *tokenizer = NULL;
    const uint64_t before = pm_alloc_count();
    assert_int_equal(pm_model_file_open(demo_path, &file), PM_OK);
    assert_int_equal(pm_tokenizer_create(file, &tokenizer), PM_OK);
    const uint64_t allocations = pm_alloc_count() - before;
    pm_tokenizer_destroy(tokenizer);
    pm_model_file_close(file);
    for (uint64_t n = 1; n <= allocations; n++) {
        file = NULL;
        tokenizer = NULL;
        pm_alloc_fail_at(pm_alloc_count() + n);
        pm_result result = pm_model_file_open(demo_path, &file);
        if (result == PM_OK)
            result = pm_tokenizer_create(file, &tokenizer);
        pm_alloc_fail_at(0);
        assert_int_equal(result, PM_ERR_NOMEM);
        pm_model_file_close(file);
    }
    print_message("%llu allocations, each failed once\n", (unsigned long long)allocations);
}

int main(void)
{
    const char *source = getenv("PUMICE_TEST_SOURCE"), *text = getenv("PUMICE_TEST_SEED");
    assets = getenv("PUMICE_TEST_ASSETS") != NULL ? getenv("PUMICE_TEST_ASSETS") : "";
    seed = text != NULL ? strtoull(text, NULL, 0) : 20261124;
    snprintf(demo_path, sizeof(demo_path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", source != NULL ? source : ".");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_versions_and_byte_orders_are_named),
        cmocka_unit_test(impossible_counts_are_refused_before_memory_is_asked_for),
        cmocka_unit_test(bad_metadata_is_refused_by_name),
        cmocka_unit_test(tensors_must_fit_align_and_not_overlap),
        cmocka_unit_test(values_are_read_by_type_and_range),
        cmocka_unit_test(split_files_open_by_any_part),
        cmocka_unit_test(a_cut_or_changed_file_never_crashes),
        cmocka_unit_test(a_changed_vocabulary_never_crashes),
        cmocka_unit_test(malformed_files_give_an_error_or_load),
        cmocka_unit_test(opening_survives_the_failure_of_any_allocation),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}

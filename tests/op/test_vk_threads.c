/* Threads that share a device: each with buffers, recorders and commands of its own, and pipelines in common. */
#include "op/vk_common.h"

#include "vk/statistics.h"

#include <pthread.h>

#define THREADS 4u
#define ROUNDS 24u
#define WORDS 4096u
#define ADDS 5u                    /* kernels, which all threads ask for */

typedef struct sharer {
    pm_vk_device *device;
    uint32_t index;
    uint32_t wrong;                /* words; asserted by the thread that runs the tests */
} sharer;

/* y = times y + x + add, twice over: recorded, built, run and read back. */
static void run_round(sharer *s, uint32_t round)
{
    static _Thread_local uint32_t x[WORDS], y[WORDS], got[WORDS];
    uint64_t random = s->index * 1000 + round;
    for (uint32_t i = 0; i < WORDS; i++) {
        x[i] = (uint32_t)next_random(&random);
        y[i] = (uint32_t)next_random(&random);
    }
    const uint32_t adds[2] = {(s->index + round) % ADDS, round % ADDS};
    pm_vk_buffer *xs = make_buffer(s->device, sizeof(x), PM_VK_DEVICE), *ys = make_buffer(s->device, sizeof(y), PM_VK_DEVICE);
    ok(pm_vk_upload(s->device, pm_vk_buffer_all(xs), x, sizeof(x)));
    ok(pm_vk_upload(s->device, pm_vk_buffer_all(ys), y, sizeof(y)));
    pm_vk_recorder *recorder = NULL;
    pm_vk_commands *commands = NULL;
    ok(pm_vk_recorder_create(s->device, &recorder));
    for (uint32_t step = 0; step < 2; step++)
        record_mix(recorder, pm_vk_buffer_all(xs), pm_vk_buffer_all(ys), 3, adds[step]);
    if (round % 2 == 0)
        ok(pm_vk_pipelines_build(s->device, NULL, NULL));
    ok(pm_vk_recorder_end(recorder, &commands));
    ok(pm_vk_commands_run(commands));
    ok(pm_vk_download(s->device, got, pm_vk_buffer_all(ys), sizeof(got)));
    for (uint32_t i = 0; i < WORDS; i++)
        s->wrong += got[i] != 3 * (3 * y[i] + x[i] + adds[0]) + x[i] + adds[1];
    pm_vk_commands_destroy(commands);
    pm_vk_recorder_destroy(recorder);
    pm_vk_buffer_destroy(xs);
    pm_vk_buffer_destroy(ys);
}

static void *share(void *argument)
{
    for (uint32_t round = 0; round < ROUNDS; round++)
        run_round(argument, round);
    return NULL;
}

static void threads_share_a_device(void **state)
{
    (void)state;
    pm_vk_device *device = NULL;
    pthread_t threads[THREADS];
    sharer sharers[THREADS];
    ok(pm_vk_device_open(NULL, false, &device));
    for (uint32_t t = 0; t < THREADS; t++) {
        sharers[t] = (sharer){.device = device, .index = t};
        assert_int_equal(pthread_create(&threads[t], NULL, share, &sharers[t]), 0);
    }
    for (uint32_t t = 0; t < THREADS; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (uint32_t t = 0; t < THREADS; t++)
        assert_int_equal(sharers[t].wrong, 0);
    assert_int_equal(pm_vk_pipeline_count(device), ADDS); /* each made once */
    pm_vk_device_close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_a_device)};
    return cmocka_run_group_tests_name("vk_threads", tests, NULL, NULL);
}

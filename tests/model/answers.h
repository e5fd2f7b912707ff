/* answers.h - requests to the demo model and their answers, for tests of the engine. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "pumice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ok(call) do { if ((call) != PM_OK) fail_msg("%s: %s", #call, pm_error_message()); } while (0)

/* One answer, collected. */
typedef struct answer {
    uint64_t id;
    uint32_t index;
    char text[4096];
    size_t len;
    int32_t tokens[512];
    float logprobs[512];
    uint32_t count, cached, events, ends;
    pm_finish finish;
    pm_result error;
    int32_t stop;
} answer;

static inline pm_engine *open_demo(pm_engine_params p)
{
    char path[4096];
    const char *source = getenv("PUMICE_TEST_SOURCE");
    pm_engine *engine = NULL;
    snprintf(path, sizeof(path), "%s/tools/demo_model/pumice-demo-q8_0.gguf", source != NULL ? source : ".");
    p.model_path = path;
    ok(pm_engine_create(&p, &engine));
    return engine;
}

static inline void take_event(const pm_event *e, answer *answers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        answer *a = &answers[i];
        if (a->id != e->request_id || a->index != e->index)
            continue;
        assert_int_equal(a->ends, 0); /* nothing comes behind an end */
        assert_true(a->len + e->text_len < sizeof(a->text) && a->count < 512);
        if (e->text_len > 0)
            memcpy(a->text + a->len, e->text, e->text_len);
        a->len += e->text_len;
        a->text[a->len] = '\0';
        if (e->token >= 0) {
            if (e->logprobs_count == 1) {
                assert_int_equal(e->logprobs->chosen.token, e->token);
                a->logprobs[a->count] = e->logprobs->chosen.logprob;
            }
            a->tokens[a->count++] = e->token;
            assert_int_equal(e->generated_tokens, a->count);
        }
        a->events++;
        a->cached = e->cached_tokens;
        a->finish = e->finish;
        a->error = e->error;
        a->stop = e->stop_index;
        a->ends += e->finish != PM_FINISH_NONE;
    }
}

/* Steps until nothing is left, `room` events at a time. */
static inline void run_room(pm_engine *engine, answer *answers, size_t count, size_t room)
{
    pm_event events[64];
    while (pm_engine_busy(engine)) {
        size_t n = 0;
        ok(pm_engine_step(engine, events, room, &n));
        for (size_t i = 0; i < n; i++)
            take_event(&events[i], answers, count);
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(answers[i].ends, 1);
}

static inline void run_all(pm_engine *engine, answer *answers, size_t count)
{
    run_room(engine, answers, count, 64);
}

/* Submits; answers [n] wait for their events. */
static inline void ask(pm_engine *engine, pm_request_params p, const char *prompt, answer *answers)
{
    uint64_t id = 0;
    if (prompt != NULL) {
        p.prompt = prompt;
        p.prompt_len = strlen(prompt);
        p.prompt_flags = PM_TOKENIZE_SPECIAL;
    }
    ok(pm_request_submit(engine, &p, &id));
    for (uint32_t i = 0; i < (p.n > 0 ? p.n : 1); i++) {
        memset(&answers[i], 0, sizeof(answers[i]));
        answers[i].id = id;
        answers[i].index = i;
    }
}

static inline void ask_alone(pm_engine *engine, pm_request_params p, const char *prompt, answer *answers)
{
    ask(engine, p, prompt, answers);
    run_all(engine, answers, p.n > 0 ? p.n : 1);
}

static inline void same_answer(const answer *a, const answer *b)
{
    if (a->count != b->count || memcmp(a->tokens, b->tokens, a->count * sizeof(a->tokens[0])) != 0)
        fail_msg("answers differ:\n%s\n---\n%s", a->text, b->text);
    assert_int_equal(a->len, b->len);
    assert_memory_equal(a->text, b->text, a->len);
    assert_int_equal(a->finish, b->finish);
}

#endif /* ANSWERS_H */

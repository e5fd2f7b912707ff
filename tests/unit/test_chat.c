/* tests/unit/test_chat.c - conversations as the templates write them: the built-in
 * ones, small ones written here, and the real ones of the assets, which are rendered
 * as recorded there or refused. */
#include "unit/vocabs.h"

#include "base/alloc.h"
#include "base/file.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A vocabulary of three tokens, with a template; NULL = none. */
static pm_tokenizer *with_template(const char *template, const char *bos, const char *eos, int add_bos)
{
    const pm_text tokens[] = {{"<unk>", 5}, {bos, strlen(bos)}, {eos, strlen(eos)}};
    const int32_t types[] = {PM_TOKEN_UNKNOWN, PM_TOKEN_CONTROL, PM_TOKEN_CONTROL};
    pm_vocab_source source = vocab_source("llama", "");
    source.tokens = tokens;
    source.types = types;
    source.count = 3;
    source.bos = 1;
    source.eos = 2;
    source.add_bos = add_bos;
    if (template != NULL)
        source.chat_template = (pm_text){template, strlen(template)};
    pm_tokenizer *tokenizer = NULL;
    assert_int_equal(pm_tokenizer_create_from(&source, &tokenizer), PM_OK);
    return tokenizer;
}

enum { MESSAGES_MAX = 16 };

/* "s:Be brief.|u:Hi|a:Hello" */
static size_t parse(char *spec, pm_chat_message *messages)
{
    size_t count = 0;
    char *rest = NULL;
    for (char *part = strtok_r(spec, "|", &rest); part != NULL; part = strtok_r(NULL, "|", &rest)) {
        assert_true(count < MESSAGES_MAX);
        messages[count++] = (pm_chat_message){
            .role = part[0] == 's' ? "system" : part[0] == 'u' ? "user" : part[0] == 'a' ? "assistant" : "tool",
            .content = part + 2,
        };
    }
    return count;
}

static void expect(const pm_tokenizer *tokenizer, const char *name, const char *conversation, bool add_assistant,
                   const char *expected)
{
    char spec[512], *text = NULL;
    size_t len = 0;
    pm_chat_message messages[MESSAGES_MAX];
    (void)snprintf(spec, sizeof(spec), "%s", conversation);
    if (pm_chat_render(tokenizer, name, messages, parse(spec, messages), add_assistant, &text, &len) != PM_OK)
        fail_msg("%s: %s", conversation, pm_error_message());
    assert_string_equal(text, expected);
    assert_int_equal(len, strlen(expected));
    pm_string_free(text);
}

static void expect_error(const pm_tokenizer *tokenizer, const char *name, const char *conversation, pm_result code,
                         const char *part)
{
    char spec[512], *text = NULL;
    size_t len = 0;
    pm_chat_message messages[MESSAGES_MAX];
    (void)snprintf(spec, sizeof(spec), "%s", conversation);
    assert_int_equal(pm_chat_render(tokenizer, name, messages, parse(spec, messages), true, &text, &len), code);
    assert_null(text);
    if (strstr(pm_error_message(), part) == NULL)
        fail_msg("'%s' does not say '%s'", pm_error_message(), part);
}

static void built_in_templates(void **state)
{
    (void)state;
    pm_tokenizer *t = with_template(NULL, "<s>", "</s>", 0);
    expect(t, "chatml", "s:Be brief.|u:Hi|a:Hello|u:How?", true,
           "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello"
           "<|im_end|>\n<|im_start|>user\nHow?<|im_end|>\n<|im_start|>assistant\n");
    expect(t, "chatml", "u:Hi", false, "<|im_start|>user\nHi<|im_end|>\n");
    expect(t, "llama2", "s:Be brief.|u: Hi |a: Hello |u:How?", true,
           "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi [/INST] Hello </s><s>[INST] How? [/INST]");
    expect(t, "llama3", "s:Be brief.|u: Hi\n", true,
           "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user"
           "<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
    expect(t, "mistral", "s:Be brief.|u:Hi|a:Hello|u:How?", true,
           "<s>[INST] Be brief.\n\nHi [/INST]Hello</s>[INST] How? [/INST]");
    expect(t, "zephyr", "s:Be brief.|u:Hi", true,
           "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n");
    pm_tokenizer_destroy(t);
}

static void text_begins_with_bos_where_the_file_adds_it(void **state)
{
    (void)state;
    pm_tokenizer *t = with_template(NULL, "<s>", "</s>", 1);
    expect(t, "chatml", "u:Hi", false, "<s><|im_start|>user\nHi<|im_end|>\n");
    expect(t, "zephyr", "u:Hi", false, "<s><|user|>\nHi</s>\n");
    expect(t, "llama2", "u:Hi", true, "<s>[INST] Hi [/INST]");
    expect(t, "llama3", "u:Hi", false, "<s><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>");
    pm_tokenizer_destroy(t);
}

static void errors_name_the_option(void **state)
{
    (void)state;
    pm_tokenizer *t = with_template(NULL, "<s>", "</s>", 1);
    expect_error(t, NULL, "u:Hi", PM_ERR_UNSUP, "--template: chatml, llama2, llama3, mistral, zephyr");
    expect_error(t, "alpaca", "u:Hi", PM_ERR_UNSUP, "--template alpaca");
    expect_error(t, "chatml", "u:Hi|t:4", PM_ERR_ARG, "message 1: role 'tool'");
    expect_error(t, "llama2", "u:Hi|u:Hi", PM_ERR_ARG, "message 1 is of the user, expected the assistant");
    expect_error(t, "mistral", "s:Be|a:Hi", PM_ERR_ARG, "message 1 is of the assistant, expected the user");
    pm_tokenizer_destroy(t);
    t = with_template("{% for m in messages %}### {{ m.role }}: {{ m.content }}{% endfor %}", "<s>", "</s>", 1);
    expect_error(t, NULL, "u:Hi", PM_ERR_UNSUP, "none of those known");
    expect(t, "zephyr", "u:Hi", true, "<s><|user|>\nHi</s>\n<|assistant|>\n");
    pm_tokenizer_destroy(t);
}

/* Ways to write the same: quotes, dashes, attributes, comments, default messages. */
static void chatml_is_recognised_however_it_is_written(void **state)
{
    (void)state;
    pm_tokenizer *t = with_template(
        "{#- c -#}\n{%- for message in messages -%}\n  {{- \"<|im_start|>\" + message.role + \"\\n\" + message.content + "
        "\"<|im_end|>\\n\" -}}\n{%- endfor -%}\n{%- if add_generation_prompt -%}{{- \"<|im_start|>assistant\\n\" -}}"
        "{%- endif -%}", "<s>", "</s>", 0);
    expect(t, NULL, "u:Hi", true, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    expect(t, NULL, "u:Hi|a:Ho", false, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n");
    pm_tokenizer_destroy(t);
    t = with_template(
        "{{ bos_token }}{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
        "{{ '<|im_start|>system\nI\\'m \"it\".<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' + "
        "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\n' }}{% endif %}", "<s>", "</s>", 0);
    expect(t, NULL, "u:Hi", false, "<s><|im_start|>system\nI'm \"it\".<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
    expect(t, NULL, "s:No|u:Hi", false, "<s><|im_start|>system\nNo<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n");
    pm_tokenizer_destroy(t);
}

static void llama3_dates_come_from_the_template(void **state)
{
    (void)state;
    static const char body[] =
        "{{- bos_token }}{%%- if not date_string is defined %%}{%%- set date_string = %s %%}{%%- endif %%}"
        "{{- \"<|start_header_id|>system<|end_header_id|>\\n\\n\" }}{{- \"Cutting Knowledge Date: December 2023\\n\" }}\n"
        "  {{- \"Today Date: \" + date_string + \"\\n\\n\" }}{{- system_message }}{{- \"<|eot_id|>\" }}"
        "{%%- for message in messages %%}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ "
        "message['content'] | trim + '<|eot_id|>' }}{%%- endfor %%}{%%- if add_generation_prompt %%}"
        "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%%- endif %%}";
    char text[1024];
    (void)snprintf(text, sizeof(text), body, "\"26 Jul 2024\"");
    pm_tokenizer *t = with_template(text, "<|begin_of_text|>", "<|eot_id|>", 1);
    expect(t, NULL, "s:Be brief.|u:Hi", true,
           "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
           "Today Date: 26 Jul 2024\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
           "<|start_header_id|>assistant<|end_header_id|>\n\n");
    pm_tokenizer_destroy(t);
    (void)snprintf(text, sizeof(text), body, "strftime_now(\"%d %b %Y\")");
    t = with_template(text, "<|begin_of_text|>", "<|eot_id|>", 1);
    pm_chat_message hi = {"user", "Hi"};
    char *out;
    size_t len;
    assert_int_equal(pm_chat_render(t, NULL, &hi, 1, true, &out, &len), PM_OK);
    const char *date = strstr(out, "Today Date: ");
    assert_non_null(date);
    assert_true(strstr(date, " 20") == date + strlen("Today Date: 01 Jan"));
    pm_string_free(out);
    pm_tokenizer_destroy(t);
}

static void mistral_spaces_differ_by_version(void **state)
{
    (void)state;
    static const struct { const char *user, *answer, *expected; } versions[] = {
        {"'[INST] ' + message['content'] + ' [/INST]'", "message['content'] + eos_token + ' '",
         "<s>[INST] Hi [/INST] Ho</s> [INST] Hu [/INST]"},
        {"'[INST] ' + message['content'] + ' [/INST]'", "message['content'] + eos_token",
         "<s>[INST] Hi [/INST] Ho</s>[INST] Hu [/INST]"},
        {"\" [INST] \" + message[\"content\"] + \" [/INST]\"", "\" \" + message[\"content\"] + eos_token",
         "<s> [INST] Hi [/INST]  Ho</s> [INST] Hu [/INST]"},
        {"\"[INST] \" + message[\"content\"] + \"[/INST]\"", "\" \" + message[\"content\"]|trim + eos_token",
         "<s>[INST] Hi[/INST] Ho</s>[INST] Hu[/INST]"},
        {"\"[INST]\" + message[\"content\"] + \"[/INST]\"", "message[\"content\"] + eos_token",
         "<s>[INST]Hi[/INST] Ho</s>[INST]Hu[/INST]"},
    };
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), "{{ bos_token }}{%% for message in messages %%}{%% if message['role'] == 'user' "
                       "%%}{{ %s }}{%% else %%}{{ %s }}{%% endif %%}{%% endfor %%}", versions[i].user, versions[i].answer);
        pm_tokenizer *t = with_template(text, "<s>", "</s>", 1);
        expect(t, NULL, "u:Hi|a: Ho|u:Hu", true, versions[i].expected);
        expect_error(t, NULL, "s:Be|u:Hi", PM_ERR_ARG, "no place for a system message");
        pm_tokenizer_destroy(t);
    }
    pm_tokenizer *t = with_template(
        "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
        "'[/INST]' }}{% elif message['role'] == 'system' %}{{ '[SYSTEM_PROMPT] ' + message['content'] + "
        "'[/SYSTEM_PROMPT]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}", "<s>", "</s>", 1);
    expect(t, NULL, "s:Be|u:Hi|a:Ho", false, "<s>[SYSTEM_PROMPT] Be[/SYSTEM_PROMPT][INST] Hi[/INST] Ho</s>");
    pm_tokenizer_destroy(t);
}

/* ---------------------------------------------------- the recorded real ones */

static const char *text_item(const cJSON *object, const char *key, const char *otherwise)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsString(item) ? item->valuestring : otherwise;
}

/* False where a case has more than roles and texts. */
static bool read_case(const cJSON *data, pm_chat_message *messages, size_t *count)
{
    const cJSON *entry, *item;
    *count = 0;
    cJSON_ArrayForEach(item, data)
    {
        static const char *const plain[] = {"messages", "bos_token", "eos_token", "add_generation_prompt",
                                            "USE_DEFAULT_PROMPT", "enable_thinking"};
        bool known = false;
        for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
            known |= strcmp(item->string, plain[i]) == 0;
        if (!known)
            return false;
    }
    cJSON_ArrayForEach(entry, cJSON_GetObjectItemCaseSensitive(data, "messages"))
    {
        const char *role = text_item(entry, "role", NULL), *content = text_item(entry, "content", NULL);
        if (role == NULL || content == NULL || cJSON_GetArraySize(entry) != 2 || *count == MESSAGES_MAX)
            return false;
        messages[(*count)++] = (pm_chat_message){role, content};
    }
    return true;
}

static void recorded_templates_are_rendered_as_recorded_or_refused(void **state)
{
    (void)state;
    char *path = asset_path("chat-templates/huggingface-jinja/e2e_chat_templates.json"), *data;
    if (path == NULL)
        skip();
    size_t bytes, rendered = 0, refused = 0;
    assert_int_equal(pm_file_read(path, &data, &bytes), PM_OK);
    cJSON *json = cJSON_ParseWithLength(data, bytes), *entry;
    cJSON_ArrayForEach(entry, json)
    {
        pm_chat_message messages[MESSAGES_MAX];
        size_t count, len;
        const cJSON *arguments = cJSON_GetObjectItemCaseSensitive(entry, "data");
        if (!read_case(arguments, messages, &count))
            continue;
        pm_tokenizer *t = with_template(text_item(entry, "chat_template", ""), text_item(arguments, "bos_token", "<bos>"),
                                        text_item(arguments, "eos_token", "<eos>"), 0);
        char *text = NULL;
        const bool add = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(arguments, "add_generation_prompt"));
        const pm_result result = pm_chat_render(t, NULL, messages, count, add, &text, &len);
        const char *name = text_item(entry, "name", ""), *target = text_item(entry, "target", "");
        if (result == PM_OK && strcmp(text, target) != 0)
            fail_msg("%s: '%s', expected '%s'", name, text, target);
        rendered += result == PM_OK;
        refused += result == PM_ERR_UNSUP;
        assert_true(result == PM_OK || result == PM_ERR_UNSUP);
        if (result == PM_OK)
            print_message("  %s\n", name);
        pm_string_free(text);
        pm_tokenizer_destroy(t);
    }
    print_message("%zu rendered as recorded, %zu refused\n", rendered, refused);
    assert_true(rendered >= 10);
    cJSON_Delete(json);
    pm_free(data);
    free(path);
}

/* Any bytes as a template: an error or a text, never a crash. */
static void damaged_templates_do_no_harm(void **state)
{
    (void)state;
    uint64_t random = test_seed();
    static const char *const parts[] = {"{{", "}}", "{%", "%}", "-", "'", "\"", "\\", "<|im_start|>", "<|im_end|>", "{#",
                                        "#}", "message['role']", "+", "\\n", "[INST]", ".content", "system\n", " ", "}", "{",
                                        "'<|im_start|>'+message['role']+'\\n'+message['content']", "<|im_start|>system\\n"};
    for (int round = 0; round < 3000; round++) {
        char text[700] = "";
        for (uint32_t n = test_random(&random, 14); n > 0; n--)
            (void)strcat(text, parts[test_random(&random, sizeof(parts) / sizeof(parts[0]))]);
        pm_tokenizer *t = with_template(text, "<s>", "</s>", round % 2);
        pm_chat_message hi = {"user", "Hi"};
        char *out = NULL;
        size_t len;
        const pm_result result = pm_chat_render(t, NULL, &hi, 1, true, &out, &len);
        assert_true(result == PM_OK || result == PM_ERR_UNSUP);
        pm_string_free(out);
        pm_tokenizer_destroy(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(built_in_templates),
        cmocka_unit_test(text_begins_with_bos_where_the_file_adds_it),
        cmocka_unit_test(errors_name_the_option),
        cmocka_unit_test(chatml_is_recognised_however_it_is_written),
        cmocka_unit_test(llama3_dates_come_from_the_template),
        cmocka_unit_test(mistral_spaces_differ_by_version),
        cmocka_unit_test(recorded_templates_are_rendered_as_recorded_or_refused),
        cmocka_unit_test(damaged_templates_do_no_harm),
    };
    return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}

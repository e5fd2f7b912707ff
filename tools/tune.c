/* tune.c - pumice tune: which kernels are the fastest for a model on this device? */
#include "common.h"
#include "generate.h"
#include "terminal.h"

#include <string.h>

static const char *model, *device;
static uint32_t kv_type;
static float seconds = PM_TUNE_SECONDS;
static bool as_json, as_list;
static const arg tune_args[] = {
    {"--model", "-m", ARG_TEXT, &model, 0, 0, "FILE", "GGUF model file (default: shapes and types that are common)"},
    {"--device", NULL, ARG_TEXT, &device, 0, 0, "D", "index, part of the name or UUID (see pumice devices)"},
    {"--kv-type", NULL, ARG_CHOICE, &kv_type, 0, 0, "f16|f32|q8_0|q4_0", "numbers of the KV pages (default f16)"},
    {"--seconds", NULL, ARG_FLOAT, &seconds, 0.1, PM_TUNE_SECONDS, "S", "of measuring (default 60, the most)"},
    {"--list", NULL, ARG_FLAG, &as_list, 0, 0, NULL, "measure nothing: print what replaces the usual kernels here, and where it is from"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "the table as JSON on stdout"},
    {0},
};

static void on_progress(void *context, const char *stage, double fraction)
{
    (void)context;
    terminal_progress(stage, fraction);
}

static void print_text(const pm_tune_row *r)
{
    terminal_progress("tuning", 1.0); /* away, until it is drawn again */
    if (strcmp(r->usual, r->chosen) == 0)
        printf("%-9s %-6s %-20s %4u-%-4u %9.1f  %s\n", r->op, r->type, r->shape, r->rows_first, r->rows_last,
               r->usual_us, r->usual);
    else
        printf("%-9s %-6s %-20s %4u-%-4u %9.1f  %s -> %s: %.1f us, %.2f times as fast\n", r->op, r->type, r->shape,
               r->rows_first, r->rows_last, r->usual_us, r->usual, r->chosen, r->chosen_us, r->usual_us / r->chosen_us);
    fflush(stdout);
}

static void add_json(cJSON *rows, const pm_tune_row *r)
{
    cJSON *o = must(cJSON_CreateObject());
    cJSON_AddStringToObject(o, "op", r->op);
    cJSON_AddStringToObject(o, "type", r->type);
    cJSON_AddStringToObject(o, "shape", r->shape);
    cJSON_AddNumberToObject(o, "rows_first", r->rows_first);
    cJSON_AddNumberToObject(o, "rows_last", r->rows_last);
    cJSON_AddStringToObject(o, "usual", r->usual);
    cJSON_AddStringToObject(o, "chosen", r->chosen);
    cJSON_AddNumberToObject(o, "usual_us", r->usual_us);
    cJSON_AddNumberToObject(o, "chosen_us", r->chosen_us);
    cJSON_AddItemToArray(rows, o);
}

/* context: the JSON array, NULL for text. */
static bool on_row(void *context, const pm_tune_row *row)
{
    if (context != NULL)
        add_json(context, row);
    else
        print_text(row);
    return !interrupted();
}

static void print_as_json(cJSON *rows, const pm_tune_summary *s)
{
    cJSON *o = must(cJSON_CreateObject());
    cJSON_AddStringToObject(o, "version", pm_version());
    cJSON_AddStringToObject(o, "device", s->device);
    cJSON_AddStringToObject(o, "driver", s->driver);
    cJSON_AddStringToObject(o, "path", s->path);
    cJSON_AddNumberToObject(o, "planned", s->planned);
    cJSON_AddNumberToObject(o, "measured", s->measured);
    cJSON_AddNumberToObject(o, "chosen", s->chosen);
    cJSON_AddNumberToObject(o, "seconds", s->seconds);
    cJSON_AddItemToObject(o, "rows", rows);
    print_json(o);
}

static void print_summary(const pm_tune_summary *s)
{
    printf("\n%s, %s: %u of %u choices measured in %.1f s, %u replace what is usual\nkept in %s\n", s->device,
           s->driver, s->measured, s->planned, s->seconds, s->chosen, s->path);
    if (s->measured < s->planned && !interrupted())
        printf("the time did not reach the others, which stay as they were\n");
}

/* context: the JSON array, NULL for text. */
static bool on_choice(void *context, const char *source, const char *choice)
{
    if (context == NULL) {
        printf("%-26s %s\n", source, choice);
        return true;
    }
    cJSON *o = must(cJSON_CreateObject());
    cJSON_AddStringToObject(o, "source", source);
    cJSON_AddStringToObject(o, "choice", choice);
    cJSON_AddItemToArray(context, o);
    return true;
}

static int list(void)
{
    cJSON *choices = as_json ? must(cJSON_CreateArray()) : NULL;
    const pm_result result = pm_tune_list(device, on_choice, choices);
    if (result != PM_OK) {
        cJSON_Delete(choices);
        return fail("tune");
    }
    if (as_json)
        print_json(choices);
    return EXIT_OK;
}

int tune_main(int argc, char **argv)
{
    const args_spec spec = {"tune", "find the fastest kernels for a model on this device", {tune_args}};
    const int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    if (as_list)
        return list();
    interrupts_catch();
    const pm_tune_params params = {.model_path = model, .device = device, .kv_type = (pm_kv_type)kv_type,
                                   .seconds = seconds, .progress = on_progress};
    pm_tune_summary summary;
    cJSON *rows = as_json ? must(cJSON_CreateArray()) : NULL;
    if (!as_json)
        printf("%-9s %-6s %-20s %9s %9s  variant\n", "op", "type", "shape", "rows", "us");
    const pm_result result = pm_tune(&params, on_row, rows, &summary);
    terminal_progress("tuning", 1.0);
    if (result != PM_OK) {
        cJSON_Delete(rows);
        return fail("tune");
    }
    if (as_json)
        print_as_json(rows, &summary);
    else
        print_summary(&summary);
    return interrupted() ? EXIT_INTERRUPTED : EXIT_OK;
}

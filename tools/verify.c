/* verify.c - pumice verify: does this device compute what plain C in double computes? */
#include "common.h"
#include "report.h"

#include <stdlib.h>
#include <string.h>

static const char *device, *html_path;
static bool full, as_json;
static uint32_t seed = 1;
static const arg verify_args[] = {
    {"--device", NULL, ARG_TEXT, &device, 0, 0, "D", "device: index, part of its name, or UUID"},
    {"--full", NULL, ARG_FLAG, &full, 0, 0, NULL, "every variant with every type, more shapes, fresh inputs"},
    {"--seed", NULL, ARG_UINT, &seed, 1, 4294967295.0, "N", "of the inputs of --full (default 1)"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "the table as JSON on stdout"},
    {"--html", NULL, ARG_TEXT, &html_path, 0, 0, "FILE", "the table as one page, too"},
    {0},
};

typedef struct table {
    pm_verify_row *rows;
    size_t count, capacity;
} table;

static void add_row(void *context, const pm_verify_row *row)
{
    table *t = context;
    if (t->count == t->capacity) {
        t->capacity = t->capacity > 0 ? t->capacity * 2 : 128;
        t->rows = must(realloc(t->rows, t->capacity * sizeof(*t->rows)));
    }
    t->rows[t->count++] = *row;
}

static void print_row(const pm_verify_row *r)
{
    printf("%-10s %-8s %-8s ", r->op, r->type, r->variant);
    if (r->verdict == PM_VERDICT_UNSUPPORTED)
        printf("%9s %9s %9s  ", "", "", "");
    else if (r->gb_per_s > 0.0)
        printf("%9.1e %9.1e %9.2f  ", r->error, r->bound, r->gb_per_s);
    else
        printf("%9.1e %9.1e %9s  ", r->error, r->bound, "-");
    printf("%s%s%s\n", pm_verdict_name(r->verdict), r->detail[0] != '\0' ? ": " : "", r->detail);
}

static void print_text(const table *t, const pm_verify_summary *s)
{
    printf("%s, %s\n\n%-10s %-8s %-8s %9s %9s %9s  verdict\n", s->device, s->driver, "op", "type", "variant", "error",
           "bound", "GB/s");
    for (size_t i = 0; i < t->count; i++)
        print_row(&t->rows[i]);
    printf("\n%u pass, %u fail, %u not supported; %.1f s\n", s->passed, s->failed, s->unsupported, s->seconds);
}

static void print_as_json(const table *t, const pm_verify_summary *s)
{
    cJSON *o = must(cJSON_CreateObject());
    cJSON_AddStringToObject(o, "version", pm_version());
    cJSON_AddStringToObject(o, "device", s->device);
    cJSON_AddStringToObject(o, "driver", s->driver);
    cJSON_AddNumberToObject(o, "passed", s->passed);
    cJSON_AddNumberToObject(o, "failed", s->failed);
    cJSON_AddNumberToObject(o, "unsupported", s->unsupported);
    cJSON_AddNumberToObject(o, "seconds", s->seconds);
    cJSON *rows = must(cJSON_AddArrayToObject(o, "rows"));
    for (size_t i = 0; i < t->count; i++) {
        const pm_verify_row *r = &t->rows[i];
        cJSON *row = must(cJSON_CreateObject());
        cJSON_AddStringToObject(row, "op", r->op);
        cJSON_AddStringToObject(row, "type", r->type);
        cJSON_AddStringToObject(row, "variant", r->variant);
        cJSON_AddStringToObject(row, "verdict", pm_verdict_name(r->verdict));
        cJSON_AddNumberToObject(row, "shapes", r->shapes);
        cJSON_AddNumberToObject(row, "elements", (double)r->elements);
        cJSON_AddNumberToObject(row, "error", r->error); /* infinite becomes null */
        cJSON_AddNumberToObject(row, "bound", r->bound);
        cJSON_AddNumberToObject(row, "gb_per_s", r->gb_per_s);
        cJSON_AddNumberToObject(row, "gflop_per_s", r->gflop_per_s);
        cJSON_AddStringToObject(row, "detail", r->detail);
        cJSON_AddItemToArray(rows, row);
    }
    print_json(o);
}

int verify_main(int argc, char **argv)
{
    const args_spec spec = {"verify", "check that the device computes what plain C computes", {verify_args}};
    const int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    table t = {0};
    pm_verify_summary summary;
    const pm_verify_params params = {.device = device, .full = full, .seed = seed};
    if (pm_verify(&params, add_row, &t, &summary) != PM_OK) {
        free(t.rows);
        return fail("verify");
    }
    if (as_json)
        print_as_json(&t, &summary);
    else
        print_text(&t, &summary);
    int result = summary.failed > 0 ? EXIT_FAILED : EXIT_OK;
    if (html_path != NULL && !report_write(html_path, t.rows, t.count, &summary, full)) {
        perror(html_path);
        result = EXIT_FAILED;
    }
    free(t.rows);
    return result;
}

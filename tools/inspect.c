/* inspect.c - pumice inspect: what a GGUF file holds. Needs no Vulkan. */
#include "common.h"

#include <stdlib.h>

static const char *model;
static bool as_json, with_tensors;
static const arg inspect_args[] = {
    {"--model", "-m", ARG_TEXT, &model, 0, 0, "FILE", "GGUF file"},
    {"--tensors", NULL, ARG_FLAG, &with_tensors, 0, 0, NULL, "every tensor, too"},
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "one JSON object on stdout"},
    {0},
};

static void print_text(const pm_model_file *file, const pm_model_summary *s)
{
    char value[400];
    printf("GGUF version %u, %llu metadata entries, %llu tensors, %.1f M parameters, %.1f MB in %u file%s\n\n",
           s->gguf_version, (unsigned long long)s->metadata_count, (unsigned long long)s->tensor_count,
           (double)s->parameters * 1e-6, (double)s->file_bytes * 1e-6, s->files, s->files == 1 ? "" : "s");
    for (size_t i = 0; i < s->metadata_count; i++) {
        const char *key, *type;
        pm_model_file_metadata(file, i, true, 8, &key, &type, value, sizeof(value));
        printf("%-44s %-14s %s\n", key, type, value);
    }
    if (!with_tensors)
        return;
    printf("\n%-36s %-8s %-24s %14s %12s\n", "tensor", "type", "shape", "offset", "bytes");
    for (size_t i = 0; i < s->tensor_count; i++) {
        pm_model_tensor t;
        char shape[96];
        size_t used = 0;
        pm_model_file_tensor(file, i, &t);
        for (uint32_t d = 0; d < t.dims; d++)
            used += (size_t)snprintf(shape + used, sizeof(shape) - used, "%s%llu", d > 0 ? " x " : "",
                                     (unsigned long long)t.shape[d]);
        printf("%-36s %-8s %-24s %14llu %12llu\n", t.name, t.type, shape, (unsigned long long)t.offset,
               (unsigned long long)t.bytes);
    }
}

static cJSON *to_json(const pm_model_file *file, const pm_model_summary *s)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "gguf_version", s->gguf_version);
    cJSON_AddNumberToObject(o, "files", s->files);
    cJSON_AddNumberToObject(o, "file_bytes", (double)s->file_bytes);
    cJSON_AddNumberToObject(o, "parameters", (double)s->parameters);
    cJSON_AddNumberToObject(o, "tensor_count", (double)s->tensor_count);
    cJSON *metadata = cJSON_AddObjectToObject(o, "metadata");
    for (size_t i = 0; i < s->metadata_count; i++) {
        const char *key, *type;
        const size_t len = pm_model_file_metadata(file, i, true, 16, &key, &type, NULL, 0);
        char *value = must(malloc(len + 1));
        pm_model_file_metadata(file, i, true, 16, &key, &type, value, len + 1);
        cJSON *entry = cJSON_AddObjectToObject(metadata, key);
        cJSON_AddStringToObject(entry, "type", type);
        cJSON_AddItemToObject(entry, "value", cJSON_Parse(value));
        free(value);
    }
    if (with_tensors) {
        cJSON *tensors = cJSON_AddArrayToObject(o, "tensors");
        for (size_t i = 0; i < s->tensor_count; i++) {
            pm_model_tensor t;
            pm_model_file_tensor(file, i, &t);
            cJSON *one = cJSON_CreateObject(), *shape = cJSON_CreateArray();
            cJSON_AddStringToObject(one, "name", t.name);
            cJSON_AddStringToObject(one, "type", t.type);
            for (uint32_t d = 0; d < t.dims; d++)
                cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)t.shape[d]));
            cJSON_AddItemToObject(one, "shape", shape);
            cJSON_AddNumberToObject(one, "offset", (double)t.offset);
            cJSON_AddNumberToObject(one, "bytes", (double)t.bytes);
            cJSON_AddItemToArray(tensors, one);
        }
    }
    return o;
}

int inspect_main(int argc, char **argv)
{
    const args_spec spec = {"inspect", "show what a GGUF file holds", {inspect_args}};
    const int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    if (model == NULL)
        return usage("inspect", "-m FILE is missing");
    pm_model_file *file = NULL;
    if (pm_model_file_open(model, &file) != PM_OK)
        return fail("inspect");
    pm_model_summary summary;
    pm_model_file_summary(file, &summary);
    if (as_json)
        print_json(to_json(file, &summary));
    else
        print_text(file, &summary);
    pm_model_file_close(file);
    return EXIT_OK;
}

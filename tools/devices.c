/* devices.c - pumice devices: what Vulkan offers here. */
#include "common.h"

#include <string.h>

static bool as_json, variants;
static const arg devices_args[] = {
    {"--json", NULL, ARG_FLAG, &as_json, 0, 0, NULL, "a JSON array on stdout"},
    {"--variants", NULL, ARG_FLAG, &variants, 0, 0, NULL, "list the kernel variants that --variant forces instead"},
    {0},
};

static void print_text(const pm_device_info *d)
{
    printf("%u: %s\n", d->index, d->name);
    printf("   %s, %s, driver %s, Vulkan %u.%u.%u\n", d->vendor, d->type, d->driver, d->api_version >> 22 & 127,
           d->api_version >> 12 & 1023, d->api_version & 4095);
    printf("   uuid %s\n", d->uuid);
    printf("   memory %.1f GiB", (double)d->memory_bytes / 1073741824.0);
    if (d->memory_free_bytes > 0)
        printf(" (%.1f GiB free)", (double)d->memory_free_bytes / 1073741824.0);
    printf(", subgroups of %u to %u, %u KiB shared memory, workgroups of %u\n   capabilities", d->subgroup_min,
           d->subgroup_max, d->shared_bytes / 1024, d->workgroup_max);
    for (uint32_t i = 0; i < d->cap_count; i++)
        if (d->caps[i].present)
            printf(" %s%s", d->caps[i].masked ? "-" : "", d->caps[i].name);
    printf("\n   not there   ");
    for (uint32_t i = 0; i < d->cap_count; i++)
        if (!d->caps[i].present)
            printf(" %s", d->caps[i].name);
    printf("\n   %s%s\n", d->missing[0] != '\0' ? "cannot run: it lacks " : "usable", d->missing);
}

static cJSON *to_json(const pm_device_info *d)
{
    cJSON *o = cJSON_CreateObject(), *caps = cJSON_AddObjectToObject(o, "capabilities");
    cJSON_AddNumberToObject(o, "index", d->index);
    cJSON_AddStringToObject(o, "name", d->name);
    cJSON_AddStringToObject(o, "vendor", d->vendor);
    cJSON_AddStringToObject(o, "driver", d->driver);
    cJSON_AddStringToObject(o, "type", d->type);
    cJSON_AddStringToObject(o, "uuid", d->uuid);
    cJSON_AddNumberToObject(o, "memory_bytes", (double)d->memory_bytes);
    cJSON_AddNumberToObject(o, "memory_free_bytes", (double)d->memory_free_bytes);
    cJSON_AddNumberToObject(o, "subgroup_min", d->subgroup_min);
    cJSON_AddNumberToObject(o, "subgroup_max", d->subgroup_max);
    cJSON_AddNumberToObject(o, "shared_bytes", d->shared_bytes);
    cJSON_AddNumberToObject(o, "workgroup_max", d->workgroup_max);
    for (uint32_t i = 0; i < d->cap_count; i++)
        cJSON_AddStringToObject(caps, d->caps[i].name,
                                !d->caps[i].present ? "absent" : d->caps[i].masked ? "masked" : "present");
    cJSON_AddStringToObject(o, "missing", d->missing);
    return o;
}

static void print_variants(void)
{
    const char *op, *name, *text, *needs;
    for (size_t i = 0; pm_variant_describe(i, &op, &name, &text, &needs); i++)
        printf("%s:%-*s %s; needs %s\n", op, 26 - (int)strlen(op), name, text, needs);
}

int devices_main(int argc, char **argv)
{
    const args_spec spec = {"devices", "list the Vulkan devices", {devices_args}};
    const int code = args_parse(&spec, argc, argv);
    if (code >= 0)
        return code;
    if (variants) {
        print_variants();
        return EXIT_OK;
    }
    static pm_device_info infos[64];
    size_t count = 0;
    if (pm_devices_list(infos, 64, &count) != PM_OK)
        return fail("devices");
    count = count < 64 ? count : 64;
    cJSON *array = as_json ? must(cJSON_CreateArray()) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (as_json)
            cJSON_AddItemToArray(array, to_json(&infos[i]));
        else
            print_text(&infos[i]);
    }
    if (as_json)
        print_json(array);
    if (count == 0)
        fprintf(stderr, "pumice devices: no Vulkan device\n");
    return count > 0 ? EXIT_OK : EXIT_FAILED;
}

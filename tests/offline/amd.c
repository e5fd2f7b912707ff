/* offline/amd.c - what AMD's compiler makes of Pumice's pipelines, without an AMD device.
 *
 *     offline_amd TABLE.csv             compares with the table; - = there is none yet
 *     offline_amd TABLE.csv --write     makes it
 *
 * RADV_FORCE_FAMILY=<family> and the radeon ICD give a device on which pipelines compile
 * with the real compiler and nothing runs (Mesa 22.3 to 25.0 seen to; Mesa 26.1 says that it
 * has been removed). Every pipeline that can be asked for there
 * (offline/pipelines.h) is compiled and its statistics are read.
 *
 * Fails when a pipeline spills or keeps arrays in memory; when, against the table made with
 * the same Mesa, one's registers more than double or its waves halve; and when the table has
 * a module but none of its pipelines any more. With another Mesa only spills fail, the drift
 * is printed. Pipelines that the table does not have are counted: write it anew.
 */
#include "offline/pipelines.h"
#include "vk/shader_table.h"
#include "vk/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP 77
#define REGISTERS_FREE 16.0        /* so few cost no occupancy anywhere */

/* Columns, and what RADV calls them. */
#define COLUMN_MAP(X)                                     \
    X(SGPRS,         "sgprs",              "SGPRs")       \
    X(VGPRS,         "vgprs",              "VGPRs")       \
    X(SPILLED_SGPRS, "spilled_sgprs",      "Spilled SGPRs") \
    X(SPILLED_VGPRS, "spilled_vgprs",      "Spilled VGPRs") \
    X(LDS,           "lds_bytes",          "LDS size")    \
    X(SCRATCH,       "scratch_bytes",      "Scratch size") \
    X(CODE,          "code_bytes",         "Code size")   \
    X(INSTRUCTIONS,  "instructions",       "Instructions") \
    X(WAVES,         "waves",              "Subgroups per SIMD") \
    X(LATENCY,       "latency",            "Latency")     \
    X(THROUGHPUT,    "inverse_throughput", "Inverse Throughput")

enum {
#define X(name, column, radv) name,
    COLUMN_MAP(X)
#undef X
    COLUMNS
};

static const struct { const char *column, *radv; } columns[COLUMNS] = {
#define X(name, column, radv) {column, radv},
    COLUMN_MAP(X)
#undef X
};

#define COLUMN_NAMES "module,constants,lanes,chosen"

/* One pipeline. Equal key = the same module and constants. */
typedef struct row {
    char module[48], constants[112]; /* "0=32 8=4": specialization constants by id */
    uint32_t lanes;                /* of a subgroup, as compiled */
    bool chosen;                   /* by the engine itself; else it has to be forced */
    double value[COLUMNS];
} row;

typedef struct table {
    char mesa[128];
    row *rows;
    size_t count;
} table;

static int by_key(const void *a, const void *b)
{
    const row *x = a, *y = b;
    const int order = strcmp(x->module, y->module);
    return order != 0 ? order : strcmp(x->constants, y->constants);
}

static int fail(const char *what)
{
    fprintf(stderr, "offline_amd: %s: %s\n", what, pm_error_message());
    return 1;
}

/* --------------------------------------------------------------- compile */

static int by_id(const void *a, const void *b)
{
    const uint32_t x = ((const uint32_t *)a)[0], y = ((const uint32_t *)b)[0];
    return (x > y) - (x < y);
}

static void write_constants(const pm_vk_pipeline_key *key, char *text, size_t capacity)
{
    uint32_t spec[PM_SPEC_MAX][2];
    size_t used = 0;
    for (uint32_t i = 0; i < key->spec_count; i++) {
        spec[i][0] = key->spec[i].id;
        spec[i][1] = key->spec[i].value;
    }
    qsort(spec, key->spec_count, sizeof(spec[0]), by_id);
    text[0] = '\0';
    for (uint32_t i = 0; i < key->spec_count && used < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, "%s%u=%u", i > 0 ? " " : "", spec[i][0], spec[i][1]);
    if (key->subgroup > 0 && used < capacity)
        snprintf(text + used, capacity - used, "%ssubgroup=%u", used > 0 ? " " : "", key->subgroup);
}

static bool read_row(pm_vk_device *device, uint32_t index, row *out)
{
    const pm_vk_pipeline_key *key = pm_vk_pipeline_key_at(device, index);
    pm_vk_statistic list[PM_VK_STATISTICS_MAX];
    uint32_t count;
    snprintf(out->module, sizeof(out->module), "%s", key->module);
    write_constants(key, out->constants, sizeof(out->constants));
    if (pm_vk_pipeline_statistics(device, index, list, &count, &out->lanes) != PM_OK) {
        (void)fail(key->module);
        return false;
    }
    for (int c = 0; c < COLUMNS; c++) {
        bool found = false;
        for (uint32_t i = 0; i < count && !found; i++)
            if (strcmp(list[i].name, columns[c].radv) == 0) {
                out->value[c] = list[i].value;
                found = true;
            }
        if (!found) {
            fprintf(stderr, "offline_amd: the driver has no statistic '%s'\n", columns[c].radv);
            return false;
        }
    }
    return true;
}

static int compile(table *t)
{
    pm_vk_device *device = NULL;
    uint32_t chosen = 0;
    if (pm_vk_device_open_measured(NULL, &device) != PM_OK)
        return fail("device");
    snprintf(t->mesa, sizeof(t->mesa), "%.127s", pm_vk_device_info(device)->driver);
    if (pipelines_draw(device, &chosen) != PM_OK)
        return fail("drawing");
    if (pm_vk_pipelines_build(device, NULL, NULL) != PM_OK)
        return fail("compiling");
    t->count = pm_vk_pipeline_count(device);
    t->rows = calloc(t->count, sizeof(*t->rows));
    for (uint32_t i = 0; i < t->count; i++) {
        t->rows[i].chosen = i < chosen;
        if (!read_row(device, i, &t->rows[i]))
            return 1;
    }
    qsort(t->rows, t->count, sizeof(*t->rows), by_key);
    printf("%s, %s: %zu pipelines, %u of them chosen without being forced\n", pm_vk_device_info(device)->name, t->mesa,
           t->count, chosen);
    pm_vk_device_close(device);
    return 0;
}

/* ------------------------------------------------------------------ file */

static int write_table(const table *t, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    fprintf(file, "# Compiled by %s for %s, a device that is not there; made by the targets offline-tables*.\n",
            t->mesa, getenv("RADV_FORCE_FAMILY"));
    fprintf(file, COLUMN_NAMES);
    for (int c = 0; c < COLUMNS; c++)
        fprintf(file, ",%s", columns[c].column);
    for (size_t i = 0; i < t->count; i++) {
        const row *r = &t->rows[i];
        fprintf(file, "\n%s,%s,%u,%s", r->module, r->constants, r->lanes, r->chosen ? "yes" : "no");
        for (int c = 0; c < COLUMNS; c++)
            fprintf(file, ",%.0f", r->value[c]);
    }
    fprintf(file, "\n");
    return fclose(file) == 0 ? 0 : 1;
}

static bool parse_row(char *line, row *out)
{
    char *field[4 + COLUMNS];
    int count = 0;
    for (char *at = line; at != NULL && count < 4 + COLUMNS; count++) {
        field[count] = at;
        at = strchr(at, ',');
        if (at != NULL)
            *at++ = '\0';
    }
    if (count != 4 + COLUMNS)
        return false;
    snprintf(out->module, sizeof(out->module), "%.47s", field[0]);
    snprintf(out->constants, sizeof(out->constants), "%.111s", field[1]);
    out->lanes = (uint32_t)strtoul(field[2], NULL, 10);
    out->chosen = strcmp(field[3], "yes") == 0;
    for (int c = 0; c < COLUMNS; c++)
        out->value[c] = strtod(field[4 + c], NULL);
    return true;
}

static bool read_table(const char *path, table *t)
{
    char line[1024];
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '#' && sscanf(line, "# Compiled by %127[^\n]", t->mesa) == 1 && strstr(t->mesa, " for ") != NULL)
            *strstr(t->mesa, " for ") = '\0';
        if (line[0] == '#' || strncmp(line, COLUMN_NAMES, strlen(COLUMN_NAMES)) == 0)
            continue;
        if (t->count == capacity) {
            capacity = capacity > 0 ? capacity * 2 : 256;
            t->rows = realloc(t->rows, capacity * sizeof(*t->rows));
        }
        if (!parse_row(line, &t->rows[t->count])) {
            fprintf(stderr, "offline_amd: %s: line '%s': expected %d fields\n", path, line, 4 + COLUMNS);
            fclose(file);
            return false;
        }
        t->count++;
    }
    fclose(file);
    return t->count > 0;
}

/* --------------------------------------------------------------- compare */

static int check_spills(const table *t)
{
    int bad = 0;
    for (size_t i = 0; i < t->count; i++) {
        const row *r = &t->rows[i];
        const double *v = r->value;
        if (v[SPILLED_SGPRS] == 0 && v[SPILLED_VGPRS] == 0 && v[SCRATCH] == 0)
            continue;
        printf("SPILLS %s(%s)%s: %.0f SGPRs, %.0f VGPRs, %.0f bytes of scratch\n", r->module, r->constants,
               r->chosen ? "" : " (forced)", v[SPILLED_SGPRS], v[SPILLED_VGPRS], v[SCRATCH]);
        bad++;
    }
    return bad;
}

/* Registers more than doubled, or waves halved. */
static int check_row(const row *was, const row *is, bool same_mesa)
{
    int bad = 0;
    static const int registers[] = {SGPRS, VGPRS};
    for (int i = 0; i < 2; i++) {
        const int c = registers[i];
        const double least = was->value[c] > REGISTERS_FREE ? was->value[c] : REGISTERS_FREE;
        if (is->value[c] > 2 * least) {
            printf("%s %s(%s): %.0f %s, were %.0f\n", same_mesa ? "MORE" : "more", is->module, is->constants,
                   is->value[c], columns[c].column, was->value[c]);
            bad++;
        }
    }
    if (is->value[WAVES] * 2 <= was->value[WAVES]) {
        printf("%s %s(%s): %.0f waves, were %.0f\n", same_mesa ? "FEWER" : "fewer", is->module, is->constants,
               is->value[WAVES], was->value[WAVES]);
        bad++;
    }
    return same_mesa ? bad : 0;
}

static bool has_module(const table *t, const char *module)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].module, module) == 0)
            return true;
    return false;
}

/* Modules of both tables that have no pipeline in common were not compared at all. */
static int check_coverage(const table *was, const table *is)
{
    int bad = 0;
    for (size_t i = 0; i < is->count;) {
        const char *module = is->rows[i].module;
        bool common = false;
        for (; i < is->count && strcmp(is->rows[i].module, module) == 0; i++)
            common |= bsearch(&is->rows[i], was->rows, was->count, sizeof(row), by_key) != NULL;
        if (!common && has_module(was, module)) {
            printf("STALE %s: none of its pipelines are in the table: build offline-tables\n", module);
            bad++;
        }
    }
    return bad;
}

static int compare(const table *was, const table *is)
{
    const bool same_mesa = strcmp(was->mesa, is->mesa) == 0;
    int bad = check_spills(is) + check_coverage(was, is);
    size_t common = 0;
    if (!same_mesa)
        printf("the table was made by %s: drift from it is printed, only spills fail\n", was->mesa);
    for (size_t i = 0; i < is->count; i++) {
        const row *old = bsearch(&is->rows[i], was->rows, was->count, sizeof(row), by_key);
        if (old == NULL)
            continue;
        common++;
        bad += check_row(old, &is->rows[i], same_mesa);
    }
    printf("%zu pipelines compared; %zu are new, %zu are gone (the target offline-tables writes the table anew)\n",
           common, is->count - common, was->count - common);
    return bad;
}

/* Modules of this build that nothing asked for here: other devices' variants. */
static void print_unasked(const table *t)
{
    printf("modules that are not selectable here:");
    for (size_t i = 0; i < pm_shader_count; i++)
        if (!has_module(t, pm_shader_table[i].name))
            printf(" %s", pm_shader_table[i].name);
    printf("\n");
}

/* ------------------------------------------------------------------ main */

/* RADV aborts on a family that it does not know: try in a child. */
static bool has_family(void)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        pm_vk_device *device = NULL;
        const bool opened = pm_vk_device_open_measured(NULL, &device) == PM_OK &&
                            strstr(pm_vk_device_info(device)->name, "RADV") != NULL;
        pm_vk_device_close(device);
        _exit(opened ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    const char *family = getenv("RADV_FORCE_FAMILY");
    const bool write = argc == 3 && strcmp(argv[2], "--write") == 0;
    table is = {0}, was = {0};
    if (family == NULL || (argc != 2 && !write)) {
        fprintf(stderr, "usage: RADV_FORCE_FAMILY=family offline_amd TABLE.csv [--write]\n");
        return 2;
    }
    if (!has_family()) {
        printf("skipped: no RADV driver (package mesa-vulkan-drivers), or its Mesa makes no %s without hardware\n", family);
        return SKIP;
    }
    int result = compile(&is);
    if (result == 0)
        print_unasked(&is);
    if (result == 0 && write)
        result = write_table(&is, argv[1]);
    else if (result == 0 && strcmp(argv[1], "-") == 0) {
        printf("no table of %s yet: only spills fail\n", family);
        result = check_spills(&is) > 0;
    } else if (result == 0 && !read_table(argv[1], &was)) {
        printf("%s: no such table, or an empty one: build offline-tables\n", argv[1]);
        result = 1;
    } else if (result == 0)
        result = compare(&was, &is) > 0;
    free(is.rows);
    free(was.rows);
    return result;
}

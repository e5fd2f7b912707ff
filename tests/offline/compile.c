/* offline/compile.c - what a vendor's compiler makes of Pumice's pipelines, without a device of that vendor.
 *
 *     offline_compile CARD TABLE.csv             compares with the table; - = there is none yet
 *     offline_compile CARD TABLE.csv --write     makes it
 *
 * CARD is one of offline/shim_*.c (Intel by ANV, NVIDIA by NVK, Apple by Honeykrisp), or a family of AMD's by RADV, which
 * has a device of its own for that (RADV_FORCE_FAMILY; Mesa 22.3 to 25.0 seen to; Mesa 26.1 says that it has been
 * removed). The vendor's driver has to be the one that the loader takes (VK_DRIVER_FILES). Pipelines compile with the
 * real compiler and nothing runs. Every pipeline that can be asked for there (offline/pipelines.h) is compiled and its
 * statistics are read; of the shims' cards, whose compilers take longer, those that the engine would choose of the types
 * that most files have.
 *
 * Fails when a pipeline that the engine would choose spills or keeps arrays in memory, or one that has to be forced and
 * did not before; when, against the table made with the same Mesa, one's registers more than double or its waves halve,
 * or its cycles double; and when the table has a module but none of its pipelines any more. With another Mesa only spills
 * fail, the drift is printed. Pipelines that the table does not have are counted: write it anew.
 */
#include "offline/pipelines.h"
#include "offline/shim.h"
#include "vk/shader_table.h"
#include "vk/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIP 77
#define COLUMNS_MAX 12
#define COLUMN_NAMES "module,constants,lanes,chosen"

/* What a column is looked at for. */
typedef enum use {
    NOTHING,
    SPILLS,                        /* should be 0 */
    LESS,                          /* at most twice as many as before, or as `free` */
    MORE,                          /* more than half as many as before */
} use;

typedef struct column {
    const char *name, *driver;     /* in tables, and what the driver calls it */
    use use;
    double free;                   /* so few cost nothing anywhere */
} column;

static const struct vendor {      /* AMD first */
    const char *driver;            /* how its name begins */
    column columns[COLUMNS_MAX];
} vendors[] = {
    {"radv ",
     {{"sgprs", "SGPRs", LESS, 16},
      {"vgprs", "VGPRs", LESS, 16},
      {"spilled_sgprs", "Spilled SGPRs", SPILLS, 0},
      {"spilled_vgprs", "Spilled VGPRs", SPILLS, 0},
      {"lds_bytes", "LDS size", NOTHING, 0},
      {"scratch_bytes", "Scratch size", SPILLS, 0},
      {"code_bytes", "Code size", NOTHING, 0},
      {"instructions", "Instructions", NOTHING, 0},
      {"waves", "Subgroups per SIMD", MORE, 0},
      {"latency", "Latency", NOTHING, 0},
      {"inverse_throughput", "Inverse Throughput", NOTHING, 0}}},
    {"Intel",                      /* columns of Mesa 26.1 */
     {{"instructions", "Instructions", NOTHING, 0},
      {"sends", "SENDs", NOTHING, 0},
      {"loops", "Loops", NOTHING, 0},
      {"cycles", "Cycles", LESS, 0},
      {"spills", "Spills", SPILLS, 0},
      {"fills", "Fills", SPILLS, 0},
      {"registers", "Max live registers", LESS, 64},
      {"shared_bytes", "Workgroup Memory Size", NOTHING, 0}}},
    {"NVK",
     {{"instructions", "Instruction count", NOTHING, 0},
      {"cycles", "Static cycle count", LESS, 0},
      {"registers", "Number of GPRs", LESS, 64},
      {"warps", "Max warps/SM", MORE, 0},
      {"spills", "Spills to memory", SPILLS, 0},
      {"local_bytes", "SLM size", SPILLS, 0},
      {"moved", "Spills to reg", NOTHING, 0}}},
    {"Honeykrisp",
     {{"instructions", "Instructions", NOTHING, 0},
      {"alu_cycles", "ALU", LESS, 0},
      {"fscib_cycles", "FSCIB", NOTHING, 0},
      {"ic_cycles", "IC", NOTHING, 0},
      {"registers", "GPRs", LESS, 104},
      {"threads", "Threads", MORE, 0},
      {"spills", "Spills", SPILLS, 0},
      {"fills", "Fills", SPILLS, 0},
      {"scratch_bytes", "Scratch", SPILLS, 0}}},
};
#define VENDORS (sizeof(vendors) / sizeof(vendors[0]))

static const column *columns;      /* of the vendor whose driver this is */
static int column_count;

/* One pipeline. Equal key = the same module and constants. */
typedef struct row {
    char module[48], constants[112]; /* "0=32 8=4": specialization constants by id */
    uint32_t lanes;                /* of a subgroup, as compiled */
    bool chosen;                   /* by the engine itself; else it has to be forced */
    double value[COLUMNS_MAX];
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
    fprintf(stderr, "offline_compile: %s: %s\n", what, pm_error_message());
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
    for (int c = 0; c < column_count; c++) {
        bool found = false;
        for (uint32_t i = 0; i < count && !found; i++)
            if (strcmp(list[i].name, columns[c].driver) == 0) {
                out->value[c] = list[i].value;
                found = true;
            }
        if (!found) {
            fprintf(stderr, "offline_compile: the driver has no statistic '%s'\n", columns[c].driver);
            return false;
        }
    }
    return true;
}

static bool find_columns(const char *driver)
{
    for (size_t v = 0; v < VENDORS; v++)
        if (strncmp(driver, vendors[v].driver, strlen(vendors[v].driver)) == 0)
            columns = vendors[v].columns;
    while (columns != NULL && column_count < COLUMNS_MAX && columns[column_count].name != NULL)
        column_count++;
    return columns != NULL;
}

static int compile(bool few, table *t)
{
    pm_vk_device *device = NULL;
    uint32_t chosen = 0;
    if (pm_vk_device_open_measured(NULL, &device) != PM_OK)
        return fail("device");
    snprintf(t->mesa, sizeof(t->mesa), "%.127s", pm_vk_device_info(device)->driver);
    if (!find_columns(t->mesa)) {
        fprintf(stderr, "offline_compile: no columns for the driver '%s'\n", t->mesa);
        return 1;
    }
    if (pipelines_draw(device, few, &chosen) != PM_OK)
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

static int write_table(const table *t, const char *card, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    fprintf(file, "# Compiled by %s for %s, a device that is not there; made by the targets offline-tables*.\n",
            t->mesa, card);
    fprintf(file, COLUMN_NAMES);
    for (int c = 0; c < column_count; c++)
        fprintf(file, ",%s", columns[c].name);
    for (size_t i = 0; i < t->count; i++) {
        const row *r = &t->rows[i];
        fprintf(file, "\n%s,%s,%u,%s", r->module, r->constants, r->lanes, r->chosen ? "yes" : "no");
        for (int c = 0; c < column_count; c++)
            fprintf(file, ",%.0f", r->value[c]);
    }
    fprintf(file, "\n");
    return fclose(file) == 0 ? 0 : 1;
}

static bool parse_row(char *line, row *out)
{
    char *field[4 + COLUMNS_MAX];
    int count = 0;
    for (char *at = line; at != NULL && count < 4 + column_count; count++) {
        field[count] = at;
        at = strchr(at, ',');
        if (at != NULL)
            *at++ = '\0';
    }
    if (count != 4 + column_count)
        return false;
    snprintf(out->module, sizeof(out->module), "%.47s", field[0]);
    snprintf(out->constants, sizeof(out->constants), "%.111s", field[1]);
    out->lanes = (uint32_t)strtoul(field[2], NULL, 10);
    out->chosen = strcmp(field[3], "yes") == 0;
    for (int c = 0; c < column_count; c++)
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
            fprintf(stderr, "offline_compile: %s: line '%s': expected %d fields\n", path, line, 4 + column_count);
            fclose(file);
            return false;
        }
        t->count++;
    }
    fclose(file);
    return t->count > 0;
}

/* --------------------------------------------------------------- compare */

/* What a pipeline spills, or keeps in memory: columns added up. */
static double spills_of(const row *r)
{
    double sum = 0;
    for (int c = 0; c < column_count; c++)
        sum += columns[c].use == SPILLS ? r->value[c] : 0;
    return sum;
}

/* Those that did before, and have to be forced, are counted alone. was: NULL = no table. */
static int check_spills(const table *was, const table *is)
{
    int bad = 0, known = 0;
    for (size_t i = 0; i < is->count; i++) {
        const row *r = &is->rows[i];
        const row *old = was == NULL || r->chosen ? NULL : bsearch(r, was->rows, was->count, sizeof(row), by_key);
        if (spills_of(r) == 0)
            continue;
        if (old != NULL && spills_of(old) > 0) {
            known++;
            continue;
        }
        printf("SPILLS %s(%s)%s:", r->module, r->constants, r->chosen ? "" : " (forced)");
        for (int c = 0; c < column_count; c++)
            if (columns[c].use == SPILLS)
                printf(" %.0f %s", r->value[c], columns[c].name);
        printf("\n");
        bad++;
    }
    if (known > 0)
        printf("%d pipelines that have to be forced spill, as before\n", known);
    return bad;
}

static int check_row(const row *was, const row *is, bool same_mesa)
{
    int bad = 0;
    for (int c = 0; c < column_count; c++) {
        const double old = was->value[c], now = is->value[c];
        const bool more = columns[c].use == LESS && now > 2 * (old > columns[c].free ? old : columns[c].free);
        if (!more && !(columns[c].use == MORE && now * 2 <= old))
            continue;
        printf("%s %s(%s): %.0f %s, were %.0f\n", more ? (same_mesa ? "MORE" : "more") : same_mesa ? "FEWER" : "fewer",
               is->module, is->constants, now, columns[c].name, old);
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
    int bad = check_spills(was, is) + check_coverage(was, is);
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

/* Drivers may abort on a card that they do not know: try in a child. One that is there, of another vendor than AMD, is not
 * what was asked for. */
static bool has_card(bool is_shim)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        pm_vk_device *device = NULL;
        const bool opened = pm_vk_device_open_measured(NULL, &device) == PM_OK &&
                            !pm_vk_device_caps(device)->is_cpu && find_columns(pm_vk_device_info(device)->driver) &&
                            (is_shim || columns == vendors[0].columns);
        pm_vk_device_close(device);
        _exit(opened ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    const bool write = argc == 4 && strcmp(argv[3], "--write") == 0;
    table is = {0}, was = {0};
    if (argc != 3 && !write) {
        fprintf(stderr, "usage: offline_compile CARD TABLE.csv [--write]\n");
        return 2;
    }
    const char *card = argv[1], *path = argv[2];
    const bool is_shim = shim_choose(card);
    if (!is_shim)
        setenv("RADV_FORCE_FAMILY", card, 1);
    if (!has_card(is_shim)) {
        printf("skipped: the driver (package mesa-vulkan-drivers) is not there, or its Mesa makes no %s without hardware%s\n",
               card, is_shim ? "" : "; of Intel, NVIDIA and Apple: or the kernel's headers are older than 6.12's");
        return SKIP;
    }
    int result = compile(is_shim, &is);
    if (result == 0 && !is_shim)
        print_unasked(&is);
    if (result == 0 && write)
        result = write_table(&is, card, path);
    else if (result == 0 && strcmp(path, "-") == 0) {
        printf("no table of %s yet: only spills fail\n", card);
        result = check_spills(NULL, &is) > 0;
    } else if (result == 0 && !read_table(path, &was)) {
        printf("%s: no such table, or an empty one: build offline-tables\n", path);
        result = 1;
    } else if (result == 0)
        result = compare(&was, &is) > 0;
    free(is.rows);
    free(was.rows);
    return result;
}

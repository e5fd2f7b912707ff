/* args.c - one declarative option parser for all subcommands. */
#include "args.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64

/* ------------------------------------------------------------------ help */

static void print_option(const arg *a)
{
    char left[64];
    snprintf(left, sizeof(left), "%s%s%s%s%s", a->short_name != NULL ? a->short_name : "",
             a->short_name != NULL ? ", " : "", a->name, a->value != NULL ? " " : "", a->value != NULL ? a->value : "");
    printf("  %-26s %s\n", left, a->help);
}

static bool is_positional(const arg *a)
{
    return a->name[0] != '-';
}

/* Positional entry `index`, or NULL. */
static const arg *positional(const args_spec *spec, size_t index)
{
    for (size_t l = 0; l < 3 && spec->lists[l] != NULL; l++)
        for (const arg *a = spec->lists[l]; a->name != NULL; a++)
            if (is_positional(a) && index-- == 0)
                return a;
    return NULL;
}

static void print_help(const args_spec *spec)
{
    printf("pumice %s - %s\n\nusage: pumice %s", spec->command, spec->summary, spec->command);
    for (size_t i = 0; positional(spec, i) != NULL; i++)
        printf(" %s", positional(spec, i)->name);
    printf(" [options]\n\n");
    for (size_t l = 0; l < 3 && spec->lists[l] != NULL; l++)
        for (const arg *a = spec->lists[l]; a->name != NULL; a++)
            print_option(a);
    printf("  %-26s %s\n", "-h, --help", "this text");
}

/* --------------------------------------------------------------- nearest */

/* Edits that turn a into b: insert, delete, replace, swap neighbours. */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    size_t d[MAX + 1][MAX + 1];
    const size_t n = strlen(a), m = strlen(b);
    if (n > MAX || m > MAX)
        return MAX;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

const char *args_nearest(const char *typed, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t best_distance = strlen(typed) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        const size_t dist = distance(typed, names[i]);
        if (dist < best_distance) {
            best = names[i];
            best_distance = dist;
        }
    }
    return best;
}

/* ----------------------------------------------------------------- parse */

/* Behind "--", where nothing can be a mistyped option. */
static int excess(const args_spec *spec, const char *typed)
{
    fprintf(stderr, "pumice %s: unknown argument '%s' ('pumice %s --help' lists all)\n", spec->command, typed, spec->command);
    return EXIT_USAGE;
}

static int unknown(const args_spec *spec, const char *typed)
{
    const char *names[NAMES_MAX] = {"--help"};
    size_t count = 1;
    for (size_t l = 0; l < 3 && spec->lists[l] != NULL; l++)
        for (const arg *a = spec->lists[l]; a->name != NULL && count < NAMES_MAX; a++)
            if (!is_positional(a))
                names[count++] = a->name;
    const char *near = args_nearest(typed, names, count);
    fprintf(stderr, "pumice %s: unknown %s '%s'", spec->command, typed[0] == '-' ? "option" : "argument", typed);
    if (near != NULL)
        fprintf(stderr, "; did you mean '%s'?", near);
    fprintf(stderr, " ('pumice %s --help' lists all)\n", spec->command);
    return EXIT_USAGE;
}

static int bad_value(const args_spec *spec, const arg *a, const char *value)
{
    fprintf(stderr, "pumice %s: %s is '%s', expected a number from %.10g to %.10g\n", spec->command, a->name, value,
            a->min, a->max);
    return EXIT_USAGE;
}

/* "512M" with K, M, G, T as powers of 1024. */
static bool read_bytes(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end == text)
        return false;
    for (const char *unit = "KMGT"; *unit != '\0' && *end != '\0'; unit++) {
        *out *= 1024.0;
        if (*end == *unit || *end == *unit + 32) {
            end++;
            break;
        }
    }
    if (end[0] == 'i' || end[0] == 'B')
        end += end[0] == 'i' && end[1] == 'B' ? 2 : 1;
    return *end == '\0';
}

/* The index of value in "f16|f32". */
static bool read_choice(const char *choices, const char *value, uint32_t *index)
{
    const size_t len = strlen(value);
    *index = 0;
    for (const char *c = choices;; c++, ++*index) {
        const size_t n = strcspn(c, "|");
        if (n == len && memcmp(c, value, len) == 0)
            return true;
        c += n;
        if (*c == '\0')
            return false;
    }
}

static int add_text(const args_spec *spec, const arg *a, const char *value)
{
    arg_texts *texts = a->target;
    if (texts->count == ARG_TEXTS_MAX) {
        fprintf(stderr, "pumice %s: %s more than %d times\n", spec->command, a->name, ARG_TEXTS_MAX);
        return EXIT_USAGE;
    }
    texts->list[texts->count++] = value;
    return -1;
}

static int store(const args_spec *spec, const arg *a, const char *value)
{
    char *end = NULL;
    double number = 0.0;
    switch (a->kind) {
    case ARG_FLAG: *(bool *)a->target = true; return -1;
    case ARG_TEXT: *(const char **)a->target = value; return -1;
    case ARG_TEXTS: return add_text(spec, a, value);
    case ARG_BYTES:
        if (!read_bytes(value, &number) || !(number >= a->min && number <= a->max))
            return bad_value(spec, a, value);
        *(uint64_t *)a->target = (uint64_t)number;
        return -1;
    case ARG_CHOICE:
        if (read_choice(a->value, value, a->target))
            return -1;
        fprintf(stderr, "pumice %s: %s is '%s', expected %s\n", spec->command, a->name, value, a->value);
        return EXIT_USAGE;
    case ARG_UINT:
    case ARG_FLOAT: break;
    }
    errno = 0;
    number = strtod(value, &end);
    const bool whole = a->kind == ARG_FLOAT || number == floor(number);
    if (end == value || *end != '\0' || errno != 0 || !whole || !(number >= a->min && number <= a->max))
        return bad_value(spec, a, value);
    if (a->kind == ARG_UINT)
        *(uint32_t *)a->target = (uint32_t)number;
    else
        *(float *)a->target = (float)number;
    return -1;
}

static const arg *find(const args_spec *spec, const char *typed, size_t len)
{
    for (size_t l = 0; l < 3 && spec->lists[l] != NULL; l++)
        for (const arg *a = spec->lists[l]; a->name != NULL; a++)
            if (!is_positional(a) && ((strlen(a->name) == len && strncmp(a->name, typed, len) == 0) ||
                (a->short_name != NULL && strlen(a->short_name) == len && strncmp(a->short_name, typed, len) == 0)))
                return a;
    return NULL;
}

/* argv[*i] as an option; moves *i to its value. */
static int parse_option(const args_spec *spec, int argc, char **argv, int *i)
{
    const char *typed = argv[*i], *equals = typed[0] == '-' ? strchr(typed, '=') : NULL;
    const arg *a = find(spec, typed, equals != NULL ? (size_t)(equals - typed) : strlen(typed));
    if (a == NULL)
        return unknown(spec, typed);
    if (a->kind == ARG_FLAG && equals != NULL) {
        fprintf(stderr, "pumice %s: %s takes no value\n", spec->command, a->name);
        return EXIT_USAGE;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (a->kind != ARG_FLAG && value == NULL) {
        if (*i + 1 >= argc) {
            fprintf(stderr, "pumice %s: %s needs a value\n", spec->command, a->name);
            return EXIT_USAGE;
        }
        value = argv[++*i];
    }
    return store(spec, a, value);
}

int args_parse(const args_spec *spec, int argc, char **argv)
{
    size_t taken = 0;              /* positionals */
    bool options_ended = false;
    for (int i = 0; i < argc; i++) {
        const arg *next = positional(spec, taken);
        int code = -1;
        if (!options_ended && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            print_help(spec);
            return EXIT_OK;
        }
        if (!options_ended && strcmp(argv[i], "--") == 0 && positional(spec, 0) != NULL) {
            options_ended = true;
        } else if (next != NULL && (options_ended || argv[i][0] != '-')) {
            taken++;
            code = store(spec, next, argv[i]);
        } else {
            code = options_ended ? excess(spec, argv[i]) : parse_option(spec, argc, argv, &i);
        }
        if (code >= 0)
            return code;
    }
    if (positional(spec, taken) == NULL)
        return -1;
    fprintf(stderr, "pumice %s: %s is missing ('pumice %s --help' says more)\n", spec->command,
            positional(spec, taken)->name, spec->command);
    return EXIT_USAGE;
}

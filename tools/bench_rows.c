/* bench_rows.c - what a benchmark measured: as a table, as JSON, as CSV, and collected in a folder. */
#include "bench_rows.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ENGINE "pumice"

bench_row *bench_rows_add(bench_rows *rows, const char *bench, const char *subject, double x, uint32_t reps)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->rows = must(realloc(rows->rows, rows->capacity * sizeof(*rows->rows)));
    }
    bench_row *row = &rows->rows[rows->count++];
    *row = (bench_row){.bench = bench, .x = x, .reps = reps, .note = ""};
    snprintf(row->subject, sizeof(row->subject), "%s", subject);
    return row;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_row_metric(bench_row *row, const char *name, const char *unit, double *values, size_t count)
{
    if (row->metric_count == BENCH_METRICS_MAX || count == 0)
        return;
    qsort(values, count, sizeof(*values), by_value);
    const double median = count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
    row->metrics[row->metric_count++] = (bench_metric){name, unit, median, values[0], values[count - 1]};
}

const bench_metric *bench_row_find(const bench_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->metric_count; i++)
        if (strcmp(row->metrics[i].name, name) == 0)
            return &row->metrics[i];
    return NULL;
}

void bench_rows_finish(bench_rows *rows)
{
    free(rows->rows);
    *rows = (bench_rows){0};
}

/* ------------------------------------------------------------------ table */

void bench_rows_done(bench_rows *rows)
{
    const bench_row *row = &rows->rows[rows->count - 1];
    if (rows->quiet)
        return;
    if (rows->last_bench == NULL || strcmp(rows->last_bench, row->bench) != 0) {
        if (rows->last_bench == NULL && rows->device[0] != '\0')
            printf("%s, %s\n", rows->device, rows->driver);
        const bool model = strcmp(row->bench, "model") == 0, ops = strcmp(row->bench, "ops") == 0;
        printf("\n%s%s%s\n", row->bench, model ? " " : ops ? " (* what an engine takes)" : "",
               model ? row->subject : "");
        rows->last_bench = row->bench;
    }
    printf("%s %-*s", row->picked ? "*" : " ", strcmp(row->bench, "ops") == 0 ? 60 : 24, row->name);
    for (uint32_t i = 0; i < row->metric_count; i++) {
        const bench_metric *m = &row->metrics[i];
        if (m->median != 0.0 && m->median < 1e-2)
            printf(" %10.1e %-7s", m->median, m->unit);
        else
            printf(" %10.*f %-7s", m->median < 10.0 ? 3 : m->median < 1000.0 ? 1 : 0, m->median, m->unit);
        if (i == 0 && row->reps > 1 && m->median > 0.0)
            printf(" (%3.0f .. %3.0f %%)", 100.0 * m->min / m->median, 100.0 * m->max / m->median);
    }
    printf(" %s\n", row->note);
    fflush(stdout);
}

/* -------------------------------------------------------------- JSON, CSV */

static void today(char date[16])
{
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, 16, "%Y-%m-%d", &utc);
}

void bench_rows_json(const bench_rows *rows)
{
    char date[16];
    today(date);
    cJSON *o = must(cJSON_CreateObject());
    cJSON_AddStringToObject(o, "version", pm_version());
    cJSON_AddStringToObject(o, "label", rows->label);
    cJSON_AddStringToObject(o, "date", date);
    cJSON_AddStringToObject(o, "device", rows->device);
    cJSON_AddStringToObject(o, "driver", rows->driver);
    cJSON *list = must(cJSON_AddArrayToObject(o, "rows"));
    for (size_t i = 0; i < rows->count; i++) {
        const bench_row *r = &rows->rows[i];
        cJSON *row = must(cJSON_CreateObject());
        cJSON_AddStringToObject(row, "bench", r->bench);
        cJSON_AddStringToObject(row, "subject", r->subject);
        cJSON_AddStringToObject(row, "name", r->name);
        cJSON_AddStringToObject(row, "note", r->note);
        cJSON_AddBoolToObject(row, "picked", r->picked);
        cJSON_AddNumberToObject(row, "x", r->x);
        cJSON_AddNumberToObject(row, "reps", r->reps);
        cJSON *metrics = must(cJSON_AddObjectToObject(row, "metrics"));
        for (uint32_t m = 0; m < r->metric_count; m++) {
            cJSON *metric = must(cJSON_AddObjectToObject(metrics, r->metrics[m].name));
            cJSON_AddStringToObject(metric, "unit", r->metrics[m].unit);
            cJSON_AddNumberToObject(metric, "median", r->metrics[m].median);
            cJSON_AddNumberToObject(metric, "min", r->metrics[m].min);
            cJSON_AddNumberToObject(metric, "max", r->metrics[m].max);
        }
        cJSON_AddItemToArray(list, row);
    }
    print_json(o);
}

static const char columns[] = "label,engine,bench,subject,name,metric,device,driver,date,unit,median,min,max,reps";
#define KEY_COLUMNS 6              /* those that say which number it is */

/* A field and a comma; within quotes where it must be. */
static void field(FILE *file, const char *text)
{
    const bool quotes = strpbrk(text, ",\"\n\r") != NULL;
    if (quotes)
        fputc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', file);
        fputc(*text == '\n' || *text == '\r' ? ' ' : *text, file);
    }
    fputs(quotes ? "\"," : ",", file);
}

static void write_line(FILE *file, const bench_rows *rows, const bench_row *r, const bench_metric *m, const char *date)
{
    const char *const fields[] = {rows->label, ENGINE, r->bench, r->subject, r->name, m->name, rows->device,
                                  rows->driver, date, m->unit};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        field(file, fields[i]);
    fprintf(file, "%.6g,%.6g,%.6g,%u\n", m->median, m->min, m->max, r->reps);
}

static void write_lines(FILE *file, const bench_rows *rows)
{
    char date[16];
    today(date);
    for (size_t i = 0; i < rows->count; i++)
        for (uint32_t m = 0; m < rows->rows[i].metric_count; m++)
            write_line(file, rows, &rows->rows[i], &rows->rows[i].metrics[m], date);
}

void bench_rows_csv(const bench_rows *rows)
{
    puts(columns);
    write_lines(stdout, rows);
}

/* ---------------------------------------------------------------- collect */

/* Bytes of a line up to and with the comma behind its key. */
static size_t key_bytes(const char *line)
{
    bool quoted = false;
    int commas = 0;
    size_t i = 0;
    for (; line[i] != '\0' && commas < KEY_COLUMNS; i++) {
        quoted ^= line[i] == '"';
        commas += line[i] == ',' && !quoted;
    }
    return i;
}

static bool has_key(const char *lines, const char *line)
{
    const size_t bytes = key_bytes(line);
    for (const char *at = lines; at != NULL && *at != '\0'; at = strchr(at, '\n'), at = at != NULL ? at + 1 : NULL)
        if (strncmp(at, line, bytes) == 0)
            return true;
    return false;
}

/* "nvidia-h200": letters and digits of any text, at most `most` of them. */
static void slug(const char *text, char *out, size_t most)
{
    size_t n = 0;
    for (; *text != '\0' && *text != '(' && n + 1 < most; text++) {
        const int c = tolower((unsigned char)*text);
        if (isalnum(c) || c == '.')
            out[n++] = (char)c;
        else if (n > 0 && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n > 0 && (out[n - 1] == '-' || out[n - 1] == '.'))
        n--;
    out[n] = '\0';
}

/* The old lines that stay, then the new ones. */
static bool write_file(const bench_rows *rows, const char *path, const char *part, const char *fresh)
{
    FILE *old = fopen(path, "r"), *file = fopen(part, "w");
    char line[2048];
    if (file != NULL) {
        fprintf(file, "%s\n", columns);
        while (old != NULL && fgets(line, sizeof(line), old) != NULL)
            if (strncmp(line, columns, sizeof(columns) - 1) != 0 && !has_key(fresh, line))
                fputs(line, file);
        write_lines(file, rows);
    }
    if (old != NULL)
        fclose(old);
    const bool written = file != NULL && ferror(file) == 0;
    return file != NULL && fclose(file) == 0 && written && rename(part, path) == 0;
}

bool bench_rows_collect(const bench_rows *rows, const char *folder)
{
    char device[80], driver[80], path[4096], part[4112];
    char *fresh = NULL;
    size_t bytes = 0;
    slug(rows->device, device, sizeof(device));
    slug(rows->driver, driver, sizeof(driver));
    snprintf(path, sizeof(path), "%s/%s-%s.csv", folder, device, driver);
    snprintf(part, sizeof(part), "%s.part", path);
    FILE *memory = must(open_memstream(&fresh, &bytes));
    write_lines(memory, rows);
    fclose(memory);
    (void)mkdir(folder, 0777); /* where it is not there yet */
    const bool written = write_file(rows, path, part, must(fresh));
    if (!written)
        fprintf(stderr, "pumice bench: %s: %s\n", path, strerror(errno));
    free(fresh);
    return written;
}

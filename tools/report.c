/* report.c - the table of pumice verify as one self-contained page: no scripts, no fonts, no
 * network; light or dark as the reader's system is. */
#include "report.h"

#include <stdio.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>pumice verify</title>\n<style>\n"
    ":root { color-scheme: light dark; --ink: #1c2024; --dim: #5f6b76; --paper: #fcfcfb; --line: #dfe3e6;\n"
    "  --good: #18794e; --bad: #c62a2f; --none: #8a6d00; --bar: #b9d9c8; }\n"
    "@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --dim: #9ba5ae; --paper: #16181a; --line: #33383d;\n"
    "  --good: #5bd39b; --bad: #ff8b8f; --none: #e5c453; --bar: #1f4d3a; } }\n"
    "body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;\n"
    "  max-width: 68rem; padding: 0 1rem; }\n"
    "h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }\n"
    "p { margin: .3rem 0; } .dim { color: var(--dim); }\n"
    ".wide { overflow-x: auto; }\n"
    "table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }\n"
    "th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }\n"
    "th { color: var(--dim); font-weight: 600; } td.n, th.n { text-align: right; white-space: nowrap; }\n"
    ".pass { color: var(--good); } .fail { color: var(--bad); font-weight: 700; } .none { color: var(--none); }\n"
    "td.pass, td.fail, td.none { white-space: nowrap; }\n"
    ".bar { display: block; width: 7rem; height: .5rem; margin-top: .5rem; background: var(--line); border-radius: .25rem; }\n"
    ".bar i { display: block; height: 100%; background: var(--good); border-radius: .25rem; }\n"
    ".bar i.over { background: var(--bad); }\n</style>\n";

/* Names of devices and messages may hold anything. */
static void text(FILE *file, const char *s)
{
    for (; *s != '\0'; s++) {
        const char *entity = *s == '&' ? "&amp;" : *s == '<' ? "&lt;" : *s == '>' ? "&gt;" : *s == '"' ? "&quot;" : NULL;
        if (entity != NULL)
            fputs(entity, file);
        else
            fputc(*s, file);
    }
}

static void cell(FILE *file, const char *s)
{
    fputs("<td>", file);
    text(file, s);
}

static void numbers(FILE *file, const pm_verify_row *r)
{
    if (r->verdict == PM_VERDICT_UNSUPPORTED) {
        fputs("<td class=\"n\"><td class=\"n\"><td><td class=\"n\"><td class=\"n\">", file);
        return;
    }
    const double share = r->error == 0.0 ? 0.0 : r->bound > 0.0 && r->error < r->bound ? r->error / r->bound : 1.0;
    fprintf(file, "<td class=\"n\">%.1e<td class=\"n\">%.1e<td><span class=\"bar\"><i%s style=\"width: %.0f%%\"></i></span>",
            r->error, r->bound, r->verdict == PM_VERDICT_FAIL ? " class=\"over\"" : "", share * 100.0);
    if (r->gb_per_s > 0.0)
        fprintf(file, "<td class=\"n\">%.2f<td class=\"n\">%.2f", r->gb_per_s, r->gflop_per_s);
    else
        fputs("<td class=\"n\"><td class=\"n\">", file);
}

static void row(FILE *file, const pm_verify_row *r)
{
    static const char *const classes[] = {"pass", "fail", "none"};
    fputs("<tr>", file);
    cell(file, r->op);
    cell(file, r->type);
    cell(file, r->variant);
    numbers(file, r);
    fprintf(file, "<td class=\"%s\">%s<td class=\"dim\">", classes[r->verdict], pm_verdict_name(r->verdict));
    text(file, r->detail);
    fputs("\n", file);
}

static void rows_of(FILE *file, const pm_verify_row *rows, size_t count, pm_verdict verdict, const char *title)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].verdict != verdict)
            continue;
        if (!any)
            fprintf(file, "<h2>%s</h2>\n<div class=\"wide\"><table>\n<tr><th>op<th>type<th>variant<th class=\"n\">worst error"
                          "<th class=\"n\">bound<th>error of bound<th class=\"n\">GB/s<th class=\"n\">GFLOP/s<th>verdict<th>\n",
                    title);
        any = true;
        row(file, &rows[i]);
    }
    if (any)
        fputs("</table></div>\n", file);
}

bool report_write(const char *path, const pm_verify_row *rows, size_t count, const pm_verify_summary *s, bool full)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    fputs(head, file);
    fputs("<h1>", file);
    text(file, s->device);
    fputs("</h1>\n<p class=\"dim\">", file);
    text(file, s->driver);
    fprintf(file, " &middot; pumice %s &middot; %s &middot; %.1f s</p>\n", pm_version(), full ? "full run" : "quick run",
            s->seconds);
    fprintf(file, "<p><span class=\"pass\">%u pass</span>, <span class=\"%s\">%u fail</span>, <span class=\"none\">%u not "
                  "supported</span></p>\n", s->passed, s->failed > 0 ? "fail" : "dim", s->failed, s->unsupported);
    fputs("<p class=\"dim\">Every op against plain C in double, on exactly dequantised weights. An element's error is "
          "relative to the sum of the sizes of the terms that made it; a bound of 0 asks for the very bits. What cannot "
          "run here is no pass.</p>\n", file);
    rows_of(file, rows, count, PM_VERDICT_FAIL, "Fail");
    rows_of(file, rows, count, PM_VERDICT_PASS, "Pass");
    rows_of(file, rows, count, PM_VERDICT_UNSUPPORTED, "Not supported");
    fputs("</html>\n", file);
    const bool written = ferror(file) == 0;
    return fclose(file) == 0 && written;
}

/* text/template.c - one form for the ways to write the same template. */
#include "text/template.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A string from its quote to its other quote; returns what follows. */
static const char *squeeze_string(const char *at, pm_str *out, pm_result *result)
{
    const char quote = *at++;
    pm_result r = pm_str_append(out, "'", 1);
    while (*at != '\0' && *at != quote && r == PM_OK) {
        if (*at == '\\' && at[1] != '\0') {
            const bool plain = at[1] == '"'; /* needs no backslash between single quotes */
            r = plain ? pm_str_append(out, "\"", 1) : pm_str_append(out, at, 2);
            at += 2;
        } else {
            r = *at == '\n' ? pm_str_append_text(out, "\\n") : *at == '\'' ? pm_str_append_text(out, "\\'")
                                                                           : pm_str_append(out, at, 1);
            at++;
        }
    }
    if (r == PM_OK)
        r = pm_str_append(out, "'", 1);
    *result = r;
    return *at == quote ? at + 1 : at;
}

/* The same meaning written otherwise. */
static const struct { const char *from, *to; bool whole_name; } spellings[] = {
    {".role", "['role']", true},
    {".content", "['content']", true},
    {".strip()", "|trim", false},
};

static const char *squeeze_spelling(const char *at, const char **to)
{
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
        const size_t len = strlen(spellings[i].from);
        if (strncmp(at, spellings[i].from, len) == 0 && !(spellings[i].whole_name && is_name(at[len]))) {
            *to = spellings[i].to;
            return at + len;
        }
    }
    return NULL;
}

/* A tag from its opening brace; returns what follows its closing one. A dash takes
 * the white space of the text next to it away. */
static const char *squeeze_tag(const char *at, pm_str *out, pm_result *result)
{
    const char kind = at[1], close[3] = {kind == '{' ? '}' : '%', '}', '\0'};
    while (at[2] == '-' && out->len > 0 && is_space(out->data[out->len - 1]))
        out->data[--out->len] = '\0';
    *result = pm_str_append(out, at, 2);
    at += 2;
    at += *at == '-' || *at == '+';
    while (*at != '\0' && *result == PM_OK) {
        const char *to = NULL, *after = squeeze_spelling(at, &to);
        if (strncmp(at, close, 2) == 0 || (*at == '-' && strncmp(at + 1, close, 2) == 0)) {
            const bool dash = *at == '-';
            *result = pm_str_append(out, close, 2);
            at += dash ? 3 : 2;
            while (dash && is_space(*at))
                at++;
            return at;
        }
        if (*at == '\'' || *at == '"') {
            at = squeeze_string(at, out, result);
        } else if (after != NULL) {
            *result = pm_str_append_text(out, to);
            at = after;
        } else {
            *result = is_space(*at) ? PM_OK : pm_str_append(out, at, 1);
            at++;
        }
    }
    return at;
}

pm_result pm_template_squeeze(const char *text, pm_str *out)
{
    pm_result result = pm_str_reserve(out, strlen(text));
    for (const char *at = text; *at != '\0' && result == PM_OK;) {
        if (at[0] == '{' && at[1] == '#') {
            const char *end = strstr(at + 2, "#}");
            at = end != NULL ? end + 2 : at + strlen(at);
        } else if (at[0] == '{' && (at[1] == '{' || at[1] == '%')) {
            at = squeeze_tag(at, out, &result);
        } else {
            result = pm_str_append(out, at++, 1);
        }
    }
    return result;
}

pm_result pm_template_unescape(const char *text, size_t len, pm_str *out)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < len) {
            c = text[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        PM_TRY(pm_str_append(out, &c, 1));
    }
    return PM_OK;
}

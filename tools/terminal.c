/* terminal.c - progress and colour on a terminal. */
#include "terminal.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void terminal_progress(const char *what, double fraction)
{
    enum { WIDTH = 30 };
    static int shown = -1;
    const int filled = (int)(fraction * WIDTH);
    if ((filled == shown && fraction < 1.0) || !isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r%-12s [", what);
    for (int i = 0; i < WIDTH; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %3d %%", (int)(fraction * 100.0));
    shown = filled;
    if (fraction >= 1.0) {
        fprintf(stderr, "\r%*s\r", WIDTH + 24, "");
        shown = -1;
    }
    fflush(stderr);
}

static bool has_colour(void)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDERR_FILENO) && (none == NULL || none[0] == '\0') && term != NULL && term[0] != '\0';
}

const char *terminal_dim(void)
{
    return has_colour() ? "\033[2m" : "";
}

const char *terminal_plain(void)
{
    return has_colour() ? "\033[0m" : "";
}

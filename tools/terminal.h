/* terminal.h - progress and colour, on stderr and only when that is a terminal. */
#ifndef TERMINAL_H
#define TERMINAL_H

/* A bar that redraws itself; fraction >= 1 takes it away. */
void terminal_progress(const char *what, double fraction);

/* What switches stderr to dim letters and back; "" where there is no colour (NO_COLOR). */
const char *terminal_dim(void);
const char *terminal_plain(void);

#endif /* TERMINAL_H */

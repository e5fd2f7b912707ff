/* report.h - the table of pumice verify as one self-contained page. */
#ifndef REPORT_H
#define REPORT_H

#include "pumice.h"

/* False with errno set when the file cannot be written. */
bool report_write(const char *path, const pm_verify_row *rows, size_t count, const pm_verify_summary *summary, bool full);

#endif /* REPORT_H */

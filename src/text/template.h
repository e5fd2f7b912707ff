/* text/template.h - a chat template's text, brought into one form so that its parts
 * can be recognised. Floor 1; for chat.c.
 *
 * Inside {{ }} and {% %}: no white space, no dashes at the tag's ends, strings in
 * single quotes with line ends written \n, message.content as message['content'],
 * .strip() as |trim. Comments are gone. Text between tags is as it was, less the white
 * space that dashes take away.
 */
#ifndef PM_TEXT_TEMPLATE_H
#define PM_TEXT_TEMPLATE_H

#include "base/str.h"

/* *out must be empty; owned, pm_str_finish(). Any text is fine: what is no template
 * gives something that nothing recognises. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_template_squeeze(const char *text, pm_str *out);

/* Appends the bytes that the inside of a string of a squeezed template means. */
PM_MUST_USE pm_result pm_template_unescape(const char *text, size_t len, pm_str *out);

#endif /* PM_TEXT_TEMPLATE_H */

/* conversation.h - the messages of a chat: a system message or none, then user and
 * assistant in turns. Memory failures end the program. */
#ifndef CONVERSATION_H
#define CONVERSATION_H

#include "common.h"

typedef struct conversation {
    pm_chat_message *messages;     /* roles are static, contents owned */
    size_t count, capacity;
} conversation;

void conversation_finish(conversation *c);

/* role: "system", "user" or "assistant". */
void conversation_add(conversation *c, const char *role, const char *content);
void conversation_append(conversation *c, const char *text, size_t len); /* to the last message */
void conversation_trim_last(conversation *c);     /* white space around the last message */
void conversation_drop_last(conversation *c);

/* Forgets the oldest user message and its answer; false when only one turn is left. */
bool conversation_drop_oldest(conversation *c);

void conversation_clear(conversation *c);         /* all but the system message */
void conversation_set_system(conversation *c, const char *text); /* and clear; "" = none */

/* As a JSON array of {role, content}; what happened is said on stderr. A file that is not
 * such a conversation changes nothing. */
void conversation_save(const conversation *c, const char *path);
void conversation_load(conversation *c, const char *path);

/* The same messages as owned ones in which no content spells a marker of a turn: a
 * zero-width space breaks control tokens ("<|im_end|>") and the plain-text markers of
 * the built-in templates ("[/INST]"). What a user types stays what a user said. */
void conversation_guard(const conversation *c, const pm_tokenizer *tokenizer, conversation *out);

#endif /* CONVERSATION_H */

/* conversation.h - the messages of a chat: kept, trimmed, saved and loaded. */
#ifndef CONVERSATION_H
#define CONVERSATION_H

#include "common.h"

typedef struct conversation {
    pm_chat_message *messages;     /* roles and contents are owned */
    size_t count, capacity;
    char *system;                  /* NULL or "" = no system message */
    generation last;               /* of the last answer */
} conversation;

void conversation_finish(conversation *c);

/* Memory failures end the program: a chat without memory has nothing to keep. */
void conversation_add(conversation *c, const char *role, const char *content);
void conversation_append(conversation *c, const char *text, size_t len); /* to the last message */
void conversation_trim_last(conversation *c);     /* white space around the last message */
void conversation_drop_last(conversation *c);

/* Forgets the oldest user message and its answer; false when only one turn is left. */
bool conversation_drop_oldest(conversation *c);

void conversation_clear(conversation *c);         /* all but the system message */
void conversation_set_system(conversation *c, const char *text); /* and clear */
void conversation_save(const conversation *c, const char *path);
void conversation_load(conversation *c, const char *path);

#endif /* CONVERSATION_H */

/* text/vocab.h - a vocabulary as plain arrays. Floor 1, host only.
 *
 * model/vocab_file.c fills pm_vocab_source from a GGUF file; tests fill it by
 * hand. Creation copies everything and checks every number.
 */
#ifndef PM_TEXT_VOCAB_H
#define PM_TEXT_VOCAB_H

#include "base/error.h"

typedef enum pm_token_type {       /* values of tokenizer.ggml.token_type */
    PM_TOKEN_UNDEFINED = 0, PM_TOKEN_NORMAL = 1, PM_TOKEN_UNKNOWN = 2, PM_TOKEN_CONTROL = 3,
    PM_TOKEN_USER_DEFINED = 4, PM_TOKEN_UNUSED = 5, PM_TOKEN_BYTE = 6
} pm_token_type;

typedef struct pm_text {           /* borrowed bytes, not NUL-terminated */
    const char *data;
    size_t len;
} pm_text;

typedef struct pm_vocab_source {
    pm_text model;                 /* tokenizer.ggml.model: "llama", "gpt2" */
    pm_text pre;                   /* tokenizer.ggml.pre; empty = "default" */
    const pm_text *tokens;         /* [count] */
    const float *scores;           /* [count] or NULL */
    const int32_t *types;          /* [count] or NULL = all normal */
    size_t count;
    const pm_text *merges;         /* [merge_count] "left right" */
    size_t merge_count;
    int64_t bos, eos, unk, eot, eom, pad; /* ids; -1 = the model's default or none */
    int add_bos, add_eos, add_space_prefix; /* 0, 1; -1 = the model's default */
    pm_text chat_template;         /* tokenizer.chat_template; may be empty */
} pm_vocab_source;

/* The tokenizer itself, pm_tokenizer, is declared in pumice.h. Errors:
 * PM_ERR_FORMAT (names the key and index), PM_ERR_UNSUP (names the model or
 * pre-tokenizer and lists those known), PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_tokenizer_create_from(const pm_vocab_source *source, pm_tokenizer **out);

#endif /* PM_TEXT_VOCAB_H */

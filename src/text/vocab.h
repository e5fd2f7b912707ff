/* text/vocab.h - a vocabulary: as given (pm_vocab_source) and as held (pm_vocab).
 * Floor 1, host only.
 *
 * model/vocab_file.c fills pm_vocab_source from a GGUF file; tests fill it by
 * hand. Creation copies everything and checks every number.
 * Source: the GGUF specification's tokenizer.ggml.* keys.
 */
#ifndef PM_TEXT_VOCAB_H
#define PM_TEXT_VOCAB_H

#include "text/pieces.h"

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
    const int32_t *types;          /* [count] or NULL = as the pieces look */
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

/* ------------------------------------------------- as held, inside text/ only */

typedef enum pm_vocab_kind { PM_VOCAB_SPM, PM_VOCAB_BPE } pm_vocab_kind;

/* Invariants: ids are 0 .. pieces.count - 1 and every special id below is one of
 * them or -1; no score is NaN. Immutable after init. */
typedef struct pm_vocab {
    pm_vocab_kind kind;
    pm_pieces pieces;              /* as the file writes them */
    uint8_t *types;                /* [count] pm_token_type */
    float *scores;                 /* [count]; 0 where the file has none */
    char *text;                    /* what each token prints, one after the other */
    uint32_t *text_ends;           /* [count] */
    uint32_t text_bytes_max;       /* of one token */
    uint32_t piece_bytes_max;
    bool words_apart;              /* spm: no piece goes on behind a space after other text, so that
                                      text can be merged word by word */
    int32_t byte_tokens[256];      /* the token that is this byte, or -1 */
    uint8_t *ends;                 /* [count] 1 = generation ends here */
    int32_t bos, eos, unk;         /* -1 = none */
    bool add_bos, add_eos, add_space_prefix;
    char *chat_template;           /* NUL-terminated; NULL = the file has none */
} pm_vocab;

PM_MUST_USE pm_result pm_vocab_init(pm_vocab *vocab, const pm_vocab_source *source);
void pm_vocab_finish(pm_vocab *vocab);  /* fine on zeroed memory */

/* A token that text can become (normal, user-defined, unused), never a control,
 * unknown or byte token: -1 when there is none of these bytes. */
int32_t pm_vocab_find(const pm_vocab *vocab, const char *piece, size_t len);

/* The bytes a token prints, without regard to its type. */
static inline pm_text pm_vocab_text(const pm_vocab *vocab, int32_t id)
{
    const uint32_t start = id == 0 ? 0 : vocab->text_ends[id - 1];
    return (pm_text){vocab->text + start, vocab->text_ends[id] - start};
}

/* Control and unknown tokens, which are no text. */
static inline bool pm_vocab_is_special(const pm_vocab *vocab, int32_t id)
{
    return vocab->types[id] == PM_TOKEN_CONTROL || vocab->types[id] == PM_TOKEN_UNKNOWN;
}

static inline bool pm_text_equal(pm_text a, const char *b, size_t len)
{
    return a.len == len && (len == 0 || __builtin_memcmp(a.data, b, len) == 0);
}

#endif /* PM_TEXT_VOCAB_H */

/* tests/unit/vocabs.h - tokenizers for tests: small ones made here, real ones from
 * the assets folder. All functions fail the test on an error of their own. */
#ifndef PM_TESTS_UNIT_VOCABS_H
#define PM_TESTS_UNIT_VOCABS_H

#include "text/vocab.h"

/* A pm_vocab_source with nothing set: all ids and flags -1. */
pm_vocab_source vocab_source(const char *model, const char *pre);

/* Seven control and normal pieces, all 256 byte tokens, letters and a few merges of
 * a SentencePiece vocabulary; without bytes, the unknown token covers the rest. */
pm_tokenizer *vocab_small_spm(bool bytes, bool space_prefix);

/* All 256 bytes, a few merges, <|im_start|>, <|im_end|> as control tokens and two
 * spaces as a user-defined one. */
pm_tokenizer *vocab_small_bpe(const char *pre);

/* $PUMICE_TEST_ASSETS/<name>, or NULL (with the reason printed) when the file is not
 * there. Owned: free(). */
char *asset_path(const char *name);

/* The vocabulary of a GGUF file of the assets; pre: NULL = as the file says. NULL
 * when the file is not there. */
pm_tokenizer *vocab_from_gguf(const char *name, const char *pre);

/* The vocabulary of Hugging Face files: a folder with vocab.json, merges.txt and
 * added_tokens.json, or one tokenizer.json. NULL when they are not there. */
pm_tokenizer *vocab_from_folder(const char *name, const char *pre);
pm_tokenizer *vocab_from_tokenizer_json(const char *name, const char *pre);

/* Tokens of text as owned memory, free(). */
int32_t *tokens_of(const pm_tokenizer *tokenizer, const char *text, size_t len, uint32_t flags, size_t *count);

/* The text of tokens as owned, NUL-terminated memory, free(). */
char *text_of(const pm_tokenizer *tokenizer, const int32_t *tokens, size_t count, bool special, size_t *len);

/* $PUMICE_TEST_SEED, or one of the clock; printed. */
uint64_t test_seed(void);

/* A pseudo-random number below `below` (> 0). */
uint32_t test_random(uint64_t *state, uint32_t below);

/* Random well-formed UTF-8 of up to `len` bytes: words, digits, spaces, scripts,
 * emoji, marks. Returns the bytes written. */
size_t test_random_text(uint64_t *state, char *out, size_t len);

#endif /* PM_TESTS_UNIT_VOCABS_H */

/* text/vocab.c - a checked copy of a vocabulary, and what each token prints. */
#include "text/vocab.h"

#include "base/alloc.h"
#include "text/byte_level.h"

#include <math.h>
#include <string.h>

/* U+2581, how SentencePiece writes a space. */
static const char space_mark[] = "\xe2\x96\x81";
enum { SPACE_MARK_BYTES = 3 };

void pm_vocab_finish(pm_vocab *vocab)
{
    pm_pieces_finish(&vocab->pieces);
    pm_free(vocab->types);
    pm_free(vocab->scores);
    pm_free(vocab->text);
    pm_free(vocab->text_ends);
    pm_free(vocab->ends);
    pm_free(vocab->chat_template);
    *vocab = (pm_vocab){0};
}

static pm_result read_kind(pm_vocab *vocab, pm_text model)
{
    if (pm_text_equal(model, "llama", 5))
        vocab->kind = PM_VOCAB_SPM;
    else if (pm_text_equal(model, "gpt2", 4))
        vocab->kind = PM_VOCAB_BPE;
    else
        return pm_fail(PM_ERR_UNSUP, "tokenizer.ggml.model: '%.*s' is not supported; known: llama, gpt2",
                       (int)(model.len < 64 ? model.len : 64), model.len > 0 ? model.data : "");
    return PM_OK;
}

static pm_result copy_pieces(pm_vocab *vocab, const pm_vocab_source *source)
{
    if (source->count == 0 || source->tokens == NULL)
        return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.tokens: the vocabulary is empty");
    size_t bytes = 0;
    for (size_t i = 0; i < source->count; i++) {
        if (source->tokens[i].len > (size_t)INT32_MAX - bytes)
            return pm_fail(PM_ERR_UNSUP, "tokenizer.ggml.tokens: more than %d bytes of strings", INT32_MAX);
        bytes += source->tokens[i].len;
    }
    PM_TRY(pm_pieces_reserve(&vocab->pieces, source->count, bytes));
    for (size_t i = 0; i < source->count; i++) {
        const pm_text piece = source->tokens[i];
        PM_TRY(pm_pieces_add(&vocab->pieces, piece.data, piece.len));
        if (piece.len > vocab->piece_bytes_max)
            vocab->piece_bytes_max = (uint32_t)piece.len;
    }
    return PM_OK;
}

static pm_result copy_scores(pm_vocab *vocab, const pm_vocab_source *source)
{
    vocab->scores = pm_alloc(source->count, sizeof(*vocab->scores), "vocabulary scores");
    if (vocab->scores == NULL)
        return PM_ERR_NOMEM;
    for (size_t i = 0; source->scores != NULL && i < source->count; i++) {
        if (isnan(source->scores[i]))
            return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.scores: entry %zu is not a number", i);
        vocab->scores[i] = source->scores[i];
    }
    return PM_OK;
}

/* "<0x0A>" gives 10; -1 for everything else. */
static int byte_of_piece(const char *piece, uint32_t len)
{
    if (len != 6 || memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return -1;
    int byte = 0;
    for (int i = 3; i < 5; i++) {
        const char c = piece[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        byte = byte * 16 + digit;
    }
    return byte;
}

/* The type of a token in a file that states none. */
static pm_token_type guess_type(const pm_vocab *vocab, const char *piece, uint32_t len)
{
    const pm_text text = {piece, len};
    if (vocab->kind == PM_VOCAB_SPM && byte_of_piece(piece, len) >= 0)
        return PM_TOKEN_BYTE;
    if (pm_text_equal(text, "<unk>", 5))
        return PM_TOKEN_UNKNOWN;
    if (pm_text_equal(text, "<s>", 3) || pm_text_equal(text, "</s>", 4) || pm_text_equal(text, "<|endoftext|>", 13))
        return PM_TOKEN_CONTROL;
    return PM_TOKEN_NORMAL;
}

static pm_result copy_types(pm_vocab *vocab, const pm_vocab_source *source)
{
    vocab->types = pm_alloc(source->count, sizeof(*vocab->types), "vocabulary types");
    if (vocab->types == NULL)
        return PM_ERR_NOMEM;
    for (uint32_t i = 0; i < vocab->pieces.count; i++) {
        uint32_t len;
        const char *piece = pm_pieces_get(&vocab->pieces, i, &len);
        const int32_t type = source->types != NULL ? source->types[i] : (int32_t)guess_type(vocab, piece, len);
        if (type < PM_TOKEN_UNDEFINED || type > PM_TOKEN_BYTE)
            return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.token_type: entry %u is %d, expected 0 to %d", i, type,
                           PM_TOKEN_BYTE);
        if (type == PM_TOKEN_BYTE && vocab->kind == PM_VOCAB_SPM && byte_of_piece(piece, len) < 0)
            return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.tokens: entry %u is a byte token, expected \"<0xHH>\"", i);
        vocab->types[i] = (uint8_t)type;
    }
    return PM_OK;
}

int32_t pm_vocab_find(const pm_vocab *vocab, const char *piece, size_t len)
{
    const uint32_t id = pm_pieces_find(&vocab->pieces, piece, len);
    if (id == PM_PIECE_NONE)
        return -1;
    const uint8_t type = vocab->types[id];
    const bool text = type == PM_TOKEN_NORMAL || type == PM_TOKEN_USER_DEFINED || type == PM_TOKEN_UNUSED ||
                      type == PM_TOKEN_UNDEFINED || (type == PM_TOKEN_BYTE && vocab->kind == PM_VOCAB_BPE);
    return text ? (int32_t)id : -1;
}

static void find_byte_tokens(pm_vocab *vocab)
{
    for (int byte = 0; byte < 256; byte++)
        vocab->byte_tokens[byte] = -1;
    if (vocab->kind == PM_VOCAB_BPE) {
        for (int byte = 0; byte < 256; byte++) {
            char piece[4];
            const uint32_t len = pm_utf8_encode(pm_byte_to_char((unsigned char)byte), piece);
            vocab->byte_tokens[byte] = pm_vocab_find(vocab, piece, len);
        }
        return;
    }
    for (uint32_t i = 0; i < vocab->pieces.count; i++) {
        uint32_t len;
        const char *piece = pm_pieces_get(&vocab->pieces, i, &len);
        if (vocab->types[i] == PM_TOKEN_BYTE)
            vocab->byte_tokens[byte_of_piece(piece, len)] = (int32_t)i;
    }
}

/* Writes what a SentencePiece token prints; never more than the piece has. */
static uint32_t write_spm_text(const pm_vocab *vocab, uint32_t id, const char *piece, uint32_t len, char *out)
{
    if (vocab->types[id] == PM_TOKEN_BYTE) {
        *out = (char)byte_of_piece(piece, len);
        return 1;
    }
    uint32_t written = 0;
    for (uint32_t at = 0; at < len;) {
        if (len - at >= SPACE_MARK_BYTES && memcmp(piece + at, space_mark, SPACE_MARK_BYTES) == 0 &&
            !pm_vocab_is_special(vocab, (int32_t)id)) {
            out[written++] = ' ';
            at += SPACE_MARK_BYTES;
        } else {
            out[written++] = piece[at++];
        }
    }
    return written;
}

/* The same for byte-level pieces; what stands for no byte is printed as it is. */
static uint32_t write_bpe_text(const pm_vocab *vocab, uint32_t id, const char *piece, uint32_t len, char *out)
{
    const bool literal = vocab->types[id] == PM_TOKEN_USER_DEFINED || pm_vocab_is_special(vocab, (int32_t)id);
    uint32_t written = 0, size;
    for (uint32_t at = 0; at < len; at += size) {
        const bool whole = pm_utf8_next(piece + at, len - at, &size) == PM_UTF8_WHOLE;
        const int byte = whole && !literal ? pm_char_to_byte(pm_utf8_decode(piece + at, size)) : -1;
        if (byte >= 0) {
            out[written++] = (char)byte;
        } else {
            memcpy(out + written, piece + at, size);
            written += size;
        }
    }
    return written;
}

/* True when U+2581 stands in the piece after another character. */
static bool crosses_words(const char *piece, uint32_t len)
{
    uint32_t at = 0;
    while (len - at >= SPACE_MARK_BYTES && memcmp(piece + at, space_mark, SPACE_MARK_BYTES) == 0)
        at += SPACE_MARK_BYTES;
    return memmem(piece + at, len - at, space_mark, SPACE_MARK_BYTES) != NULL;
}

static void find_words_apart(pm_vocab *vocab)
{
    vocab->words_apart = vocab->kind == PM_VOCAB_SPM;
    for (uint32_t i = 0; i < vocab->pieces.count && vocab->words_apart; i++) {
        uint32_t len;
        const char *piece = pm_pieces_get(&vocab->pieces, i, &len);
        vocab->words_apart = pm_vocab_is_special(vocab, (int32_t)i) || !crosses_words(piece, len);
    }
}

static pm_result make_text(pm_vocab *vocab)
{
    const pm_pieces *pieces = &vocab->pieces;
    vocab->text = pm_alloc(pieces->byte_count, 1, "vocabulary text");
    vocab->text_ends = pm_alloc(pieces->count, sizeof(*vocab->text_ends), "vocabulary text offsets");
    if (vocab->text == NULL || vocab->text_ends == NULL)
        return PM_ERR_NOMEM;
    uint32_t end = 0;
    for (uint32_t i = 0; i < pieces->count; i++) {
        uint32_t len;
        const char *piece = pm_pieces_get(pieces, i, &len);
        const uint32_t written = vocab->kind == PM_VOCAB_SPM
            ? write_spm_text(vocab, i, piece, len, vocab->text + end)
            : write_bpe_text(vocab, i, piece, len, vocab->text + end);
        end += written;
        vocab->text_ends[i] = end;
        if (written > vocab->text_bytes_max)
            vocab->text_bytes_max = written;
    }
    return PM_OK;
}

/* id: -1 = not given: then `usual` where the vocabulary has it. */
static pm_result read_id(const pm_vocab *vocab, const char *key, int64_t id, int32_t usual, int32_t *out)
{
    const int64_t count = vocab->pieces.count;
    if (id < -1 || id >= count)
        return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.%s: token %lld, the vocabulary has %lld", key, (long long)id,
                       (long long)count);
    *out = id >= 0 ? (int32_t)id : usual < count ? usual : -1;
    return PM_OK;
}

/* Tokens that end an answer in the vocabularies that have them, whatever the file
 * calls its eos: Llama 3, ChatML, Phi, Gemma, GPT-2. */
static const char *const end_pieces[] = {
    "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<EOT>",
};

static pm_result read_ids(pm_vocab *vocab, const pm_vocab_source *source)
{
    const bool spm = vocab->kind == PM_VOCAB_SPM;
    int32_t eot, eom, pad;
    PM_TRY(read_id(vocab, "bos_token_id", source->bos, spm ? 1 : -1, &vocab->bos));
    PM_TRY(read_id(vocab, "eos_token_id", source->eos, spm ? 2 : -1, &vocab->eos));
    PM_TRY(read_id(vocab, "unknown_token_id", source->unk, spm ? 0 : -1, &vocab->unk));
    PM_TRY(read_id(vocab, "eot_token_id", source->eot, -1, &eot));
    PM_TRY(read_id(vocab, "eom_token_id", source->eom, -1, &eom));
    PM_TRY(read_id(vocab, "padding_token_id", source->pad, -1, &pad));
    vocab->ends = pm_alloc(vocab->pieces.count, sizeof(*vocab->ends), "vocabulary ends");
    if (vocab->ends == NULL)
        return PM_ERR_NOMEM;
    const int32_t given[] = {vocab->eos, eot, eom};
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
        if (given[i] >= 0)
            vocab->ends[given[i]] = 1;
    for (size_t i = 0; i < sizeof(end_pieces) / sizeof(end_pieces[0]); i++) {
        const uint32_t id = pm_pieces_find(&vocab->pieces, end_pieces[i], strlen(end_pieces[i]));
        if (id != PM_PIECE_NONE && (vocab->types[id] == PM_TOKEN_CONTROL || vocab->types[id] == PM_TOKEN_USER_DEFINED))
            vocab->ends[id] = 1;
    }
    return PM_OK;
}

static pm_result read_flag(const char *key, int value, bool usual, bool *out)
{
    if (value < -1 || value > 1)
        return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.%s: %d, expected 0 or 1", key, value);
    *out = value < 0 ? usual : value != 0;
    return PM_OK;
}

/* Byte-level vocabularies whose models were trained behind a first token. */
static bool usually_adds_bos(const pm_vocab_source *source)
{
    static const char *const names[] = {"llama3", "llama-v3", "llama-bpe", "tekken"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (pm_text_equal(source->pre, names[i], strlen(names[i])))
            return true;
    return false;
}

static pm_result read_flags(pm_vocab *vocab, const pm_vocab_source *source)
{
    const bool spm = vocab->kind == PM_VOCAB_SPM;
    PM_TRY(read_flag("add_bos_token", source->add_bos, spm || usually_adds_bos(source), &vocab->add_bos));
    PM_TRY(read_flag("add_eos_token", source->add_eos, false, &vocab->add_eos));
    PM_TRY(read_flag("add_space_prefix", source->add_space_prefix, spm, &vocab->add_space_prefix));
    vocab->add_bos = vocab->add_bos && vocab->bos >= 0;
    vocab->add_eos = vocab->add_eos && vocab->eos >= 0;
    vocab->add_space_prefix = vocab->add_space_prefix && spm;
    return PM_OK;
}

/* Every text must have tokens: an unknown token, or all the bytes. Byte-level
 * vocabularies may lack bytes that no well-formed text has. */
static pm_result check_cover(const pm_vocab *vocab)
{
    if (vocab->unk >= 0 || vocab->kind == PM_VOCAB_BPE)
        return PM_OK;
    for (int byte = 0; byte < 256; byte++)
        if (vocab->byte_tokens[byte] < 0)
            return pm_fail(PM_ERR_FORMAT, "tokenizer.ggml.tokens: byte 0x%02x has no token, and there is no unknown "
                           "token", byte);
    return PM_OK;
}

static pm_result copy_template(pm_vocab *vocab, pm_text text)
{
    if (text.len == 0)
        return PM_OK;
    if (memchr(text.data, '\0', text.len) != NULL)
        return pm_fail(PM_ERR_FORMAT, "tokenizer.chat_template: has a NUL byte");
    vocab->chat_template = pm_alloc(text.len + 1, 1, "chat template");
    if (vocab->chat_template == NULL)
        return PM_ERR_NOMEM;
    memcpy(vocab->chat_template, text.data, text.len);
    return PM_OK;
}

pm_result pm_vocab_init(pm_vocab *vocab, const pm_vocab_source *source)
{
    *vocab = (pm_vocab){0};
    pm_result result;
    PM_TRY_GOTO(read_kind(vocab, source->model));
    PM_TRY_GOTO(copy_pieces(vocab, source));
    PM_TRY_GOTO(copy_scores(vocab, source));
    PM_TRY_GOTO(copy_types(vocab, source));
    PM_TRY_GOTO(make_text(vocab));
    PM_TRY_GOTO(read_ids(vocab, source));
    PM_TRY_GOTO(read_flags(vocab, source));
    find_byte_tokens(vocab);
    find_words_apart(vocab);
    PM_TRY_GOTO(check_cover(vocab));
    PM_TRY_GOTO(copy_template(vocab, source->chat_template));
    return PM_OK;
fail:
    pm_vocab_finish(vocab);
    return result;
}

/* engine/draft_model.c - whether a draft model fits the model, and its memory on the host. */
#include "engine/engine_impl.h"

#include "base/alloc.h"

#include <string.h>

#define TOKEN_BYTES 256u           /* of a token's text that are compared; there are hardly any longer */

/* The text of a token. Returns its bytes, of which at most TOKEN_BYTES are in text. */
static size_t text_of(const pm_tokenizer *tokenizer, int32_t token, char *text)
{
    size_t len = 0;
    const pm_result result = pm_detokenize(tokenizer, &token, 1, true, text, TOKEN_BYTES, &len);
    pm_assert(result == PM_OK || result == PM_ERR_FULL);
    return len;
}

static pm_result compare_tokens(const pm_engine *e, const pm_tokenizer *other)
{
    const char *path = e->params.model_path, *draft_path = e->params.draft_path;
    const uint32_t count = pm_tokenizer_size(e->tokenizer), draft_count = pm_tokenizer_size(other);
    char text[TOKEN_BYTES], draft_text[TOKEN_BYTES];
    if (draft_count != count)
        return pm_fail(PM_ERR_ARG, "%s cannot draft for %s: its vocabulary has %u tokens, expected %u", draft_path,
                       path, draft_count, count);
    for (uint32_t t = 0; t < count; t++) {
        const size_t len = text_of(e->tokenizer, (int32_t)t, text);
        const size_t draft_len = text_of(other, (int32_t)t, draft_text);
        const size_t shown = len < TOKEN_BYTES ? len : TOKEN_BYTES;
        const size_t draft_shown = draft_len < TOKEN_BYTES ? draft_len : TOKEN_BYTES;
        if (len != draft_len || memcmp(text, draft_text, shown) != 0)
            return pm_fail(PM_ERR_ARG, "%s cannot draft for %s: its token %u is \"%.*s\", expected \"%.*s\"",
                           draft_path, path, t, (int)draft_shown, draft_text, (int)shown, text);
    }
    return PM_OK;
}

pm_result pm_draft_read(pm_engine *e, const pm_model_file *file)
{
    pm_model *model = &e->draft.model;
    pm_tokenizer *tokenizer = NULL;
    PM_TRY(pm_tokenizer_create(file, &tokenizer));
    const pm_result same = compare_tokens(e, tokenizer);
    pm_tokenizer_destroy(tokenizer);
    PM_TRY(same);
    PM_TRY(pm_hparams_read(pm_model_file_gguf(file), &model->hparams));
    if (model->hparams.vocab != e->model.hparams.vocab)
        return pm_fail(PM_ERR_ARG, "%s cannot draft for %s: its token_embd.weight has %u rows, expected %u",
                       e->params.draft_path, e->params.model_path, model->hparams.vocab, e->model.hparams.vocab);
    model->layout = (pm_kv_layout){.type = e->model.layout.type, .kv_heads = model->hparams.kv_heads,
                                   .head_dim = model->hparams.head_dim, .page_tokens = e->model.layout.page_tokens};
    const pm_result fits = pm_kv_layout_check(&model->layout);
    if (fits != PM_OK)
        pm_error_prefix("%s", e->params.draft_path);
    return fits;
}

pm_result pm_draft_init(pm_engine *e)
{
    pm_draft *draft = &e->draft;
    draft->key = pm_prefix_key_draw();
    pm_pace_init(&draft->pace, e->max_batch_tokens, 0.0, e->pace.compiles_late); /* no step of its own */
    PM_TRY(pm_kv_pages_create(e->pages, draft->model.layout.page_tokens, &draft->pages));
    PM_TRY(pm_batch_init(&draft->batch, e->max_batch_tokens, e->max_seqs, e->max_seqs, 0));
    draft->asking = pm_alloc(e->max_seqs, sizeof(*draft->asking), "draft");
    draft->picked = pm_alloc(e->max_seqs, sizeof(*draft->picked), "draft");
    return draft->asking == NULL || draft->picked == NULL ? PM_ERR_NOMEM : PM_OK;
}

void pm_draft_finish(pm_draft *draft)
{
    pm_free(draft->picked);
    pm_free(draft->asking);
    pm_batch_finish(&draft->batch);
    pm_kv_pages_destroy(draft->pages);
    draft->pages = NULL;
}

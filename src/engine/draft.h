/* engine/draft.h - guesses of what follows, from a smaller model of the same vocabulary. Floor 5.
 *
 * Before a step is picked, the draft model goes on from each sequence that asks for it: in its
 * first pass it reads what it has not read yet, and each pass gives one token more for all of them
 * together. A guess is picked as the model will pick, with the same seed at the same position, and
 * checked as each guess is (sched/sequence.h); so answers are what they are without.
 *
 * More to read than a step brings is a prompt: its sequence goes on without guesses until it has been read, in
 * chunks that leave all others their pace (engine/pace.h), and in turns with prompts of the model's own.
 *
 *   0 ........ draft_computed ........ token_count - drafts ........ token_count
 *     KV is in draft_table       known, to be read       guesses
 *
 * The draft model has pages of its own, as many as the model, and they decide nothing: a sequence
 * that finds none free there goes on without guesses, and one that gave way gives them back. What
 * it reads of a prompt is found again by later ones, as the model's pages are.
 * Source: Y. Leviathan et al., "Fast inference from transformers via speculative decoding", ICML
 * 2023, arXiv:2211.17192; that a guess counts when it is the token that the model picks itself, from
 * the same random number, is what needs no correction of the distribution.
 */
#ifndef PM_ENGINE_DRAFT_H
#define PM_ENGINE_DRAFT_H

#include "engine/model.h"
#include "engine/pace.h"
#include "engine/request.h"
#include "model/model_file.h"

typedef struct pm_draft {
    pm_model model;
    pm_kv_pages *pages;            /* NULL = there is no draft model */
    pm_prefix_hash key;            /* of the names of pages */
    pm_batch batch;                /* of the pass at hand */
    pm_request **asking;           /* [asking_count] that get a guess of this pass; room for max_seqs */
    uint32_t asking_count;
    uint32_t room;                 /* guesses that the step has rows for yet */
    pm_pace pace;                  /* of its passes */
    uint32_t prompt_rows;          /* that the last call of pm_draft_guess() has read: the step's prompts wait */
    bool had_turn;                 /* it read prompts before the last step that had rows */
    int32_t *picked;               /* [max_seqs] tokens of a pass */
} pm_draft;

/* Its sizes; checks that each token of the engine's vocabulary says the same in the draft's.
 * Errors: PM_ERR_ARG (they differ: names both files and how), those of pm_hparams_read(),
 * pm_kv_layout_check() and pm_tokenizer_create(). */
PM_MUST_USE pm_result pm_draft_read(pm_engine *engine, const pm_model_file *file);

/* All memory that it will need on the host; the sizes of the engine are known. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_draft_init(pm_engine *engine);
void pm_draft_finish(pm_draft *draft);

/* Guesses for those that want them and have no row in flight; waits for the device. Allocates
 * nothing. Errors: PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_draft_guess(pm_engine *engine);

/* The request's pages are free; without a draft model nothing. */
void pm_draft_release(pm_draft *draft, pm_request *request);

/* The device is lost: no page holds anything. requests: all that are known. */
void pm_draft_reset(pm_draft *draft, pm_request *requests);

#endif /* PM_ENGINE_DRAFT_H */

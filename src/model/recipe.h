/* model/recipe.h - which tensor of a model becomes which type. Floor 3.
 *
 * A recipe has one type for most matrices and wider ones where errors cost most: the output,
 * and, in mixed K recipes, attn_v, ffn_down, attn_output and attn_qkv, in all or in some of the
 * layers. The choices are llama.cpp's, so that a name means to its users what they know.
 *
 * Vectors, norms, routers and other small tensors stay as they are. A row that is no multiple
 * of a type's block falls back: 256 to 32 (Q2_K and Q3_K to Q4_0, Q4_K to Q5_0, Q5_K to Q5_1,
 * Q6_K to Q8_0, IQ4_XS to IQ4_NL), 32 to F16.
 */
#ifndef PM_MODEL_RECIPE_H
#define PM_MODEL_RECIPE_H

#include "gguf/gguf.h"

typedef struct pm_recipe {
    const char *name;              /* "Q4_K_M" */
    const char *text;              /* one line for people */
    pm_dtype type;                 /* of most matrices */
    uint32_t file_type;            /* general.file_type, a fact of the format */
} pm_recipe;

/* NULL when index is past the last. Sorted from wide to narrow. */
const pm_recipe *pm_recipe_at(size_t index);

/* By its name in any case; "Q3_K", "Q4_K" and "Q5_K" are the medium mixes. NULL: none. */
const pm_recipe *pm_recipe_find(const char *name);

/* What of a model a recipe looks at. */
typedef struct pm_recipe_model {
    uint32_t layers, experts;
    uint32_t group;                /* query heads per KV head */
    bool is_falcon;
    bool has_output;               /* an output matrix apart from the embedding */
    bool has_importance;
} pm_recipe_model;

/* Absent keys count as 1. Errors: PM_ERR_FORMAT. */
PM_MUST_USE pm_result pm_recipe_model_read(const pm_gguf *gguf, bool has_importance, pm_recipe_model *out);

/* True for the matrices that a recipe applies to; all else is kept. */
bool pm_recipe_applies(const pm_gguf_tensor *tensor);

/* The type that the recipe gives the tensor, before any fallback. pure: recipe->type for all. */
pm_dtype pm_recipe_pick(const pm_recipe *recipe, const pm_recipe_model *model, const char *name, bool pure);

/* The type itself where rows of k values fit its blocks, else what takes its place. */
pm_dtype pm_recipe_fit(pm_dtype type, uint64_t k);

#endif /* PM_MODEL_RECIPE_H */

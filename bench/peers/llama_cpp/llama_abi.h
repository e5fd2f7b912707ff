/* llama_abi.h - what llama_bench.c, llama_kernels.c and tests/oracle/llama_peer.c call of llama.cpp, as the ABI of v0.5.0 has it.
 *
 * Its prebuilt libraries come without headers. Each struct is declared as far as it is read or written here, with
 * room for the rest, since the library copies no more than its own part of it; the defaults that the library itself
 * fills in show whether it still has this shape (llama_abi_fits()). */
#ifndef LLAMA_ABI_H
#define LLAMA_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct llama_model_params {
    void *devices, *overrides;
    int32_t gpu_layers;
    int32_t kinds[3], main_gpu;
    uint64_t rest[64];
} llama_model_params;

typedef struct llama_context_params {
    uint32_t n_ctx, n_batch, n_ubatch, n_seq_max, unused[3];
    int32_t n_threads, n_threads_batch, kinds[4], flash_attention;
    float rope_base, rope_scale, yarn_ext, yarn[3];
    uint32_t yarn_context;
    float defrag;
    void *eval, *eval_context;
    int32_t type_k, type_v;
    uint64_t rest[48];
} llama_context_params;

typedef struct llama_batch {
    int32_t n_tokens;
    int32_t *token;
    float *embedding;
    int32_t *position, *seq_id_count, **seq_id;
    int8_t *logits;
} llama_batch;

typedef struct ggml_init_params {
    size_t bytes;
    void *memory;
    bool no_alloc;
} ggml_init_params;

typedef void llama_log(int level, const char *text, void *context);

/* type, name, arguments */
#define LLAMA_MAP(X)                                                                \
    X(void, llama_backend_init, (void))                                             \
    X(void, llama_log_set, (llama_log *, void *))                                   \
    X(llama_model_params, llama_model_default_params, (void))                       \
    X(llama_context_params, llama_context_default_params, (void))                   \
    X(void *, llama_model_load_from_file, (const char *, llama_model_params))       \
    X(void *, llama_init_from_model, (void *, llama_context_params))                \
    X(void, llama_free, (void *))                                                   \
    X(void *, llama_get_memory, (const void *))                                     \
    X(void, llama_memory_clear, (void *, bool))                                     \
    X(int32_t, llama_decode, (void *, llama_batch))                                 \
    X(void, llama_synchronize, (void *))                                            \
    X(float *, llama_get_logits_ith, (void *, int32_t))                             \
    X(const void *, llama_model_get_vocab, (const void *))                          \
    X(int32_t, llama_vocab_n_tokens, (const void *))                                \
    X(int32_t, llama_model_n_ctx_train, (const void *))
#define GGML_MAP(X)                                                                 \
    X(void, ggml_backend_load_all_from_path, (const char *))                        \
    X(size_t, ggml_backend_dev_count, (void))                                       \
    X(void *, ggml_backend_dev_get, (size_t))
#define GGML_BASE_MAP(X)                                                            \
    X(const char *, ggml_backend_dev_name, (void *))                                \
    X(const char *, ggml_backend_dev_description, (void *))                         \
    X(void *, ggml_backend_dev_init, (void *, const char *))                        \
    X(void *, ggml_init, (ggml_init_params))                                        \
    X(void *, ggml_new_tensor_2d, (void *, int, int64_t, int64_t))                  \
    X(void *, ggml_new_tensor_4d, (void *, int, int64_t, int64_t, int64_t, int64_t)) \
    X(void *, ggml_mul_mat, (void *, void *, void *))                               \
    X(void *, ggml_flash_attn_ext, (void *, void *, void *, void *, void *, float, float, float)) \
    X(void, ggml_flash_attn_ext_set_prec, (void *, int))                            \
    X(void *, ggml_new_graph, (void *))                                             \
    X(void, ggml_build_forward_expand, (void *, void *))                            \
    X(void *, ggml_backend_alloc_ctx_tensors, (void *, void *))                     \
    X(int, ggml_backend_graph_compute, (void *, void *))

#define X(type, name, arguments) extern type(*name) arguments;
LLAMA_MAP(X) GGML_MAP(X) GGML_BASE_MAP(X)
#undef X

/* Opens the libraries of a folder: libggml-base.*, libggml.*, libllama.*; ends the program with 77 and a line
 * "skipped: why" when one of them or of their functions is not there, or has another shape. */
void llama_abi_load(const char *folder);

#endif /* LLAMA_ABI_H */

/* llama_peer.c - logits from llama.cpp's CPU backend, for llama_cpp.py.
 *
 *   llama_peer LIB_DIR MODEL.gguf TOKENS.bin OUT.bin [f16|f32]
 *
 * TOKENS.bin: int32 [n]. OUT.bin: float32 [n, vocab], one decode of all n as one
 * sequence, no flash attention, K and V as named (f16 without a name).
 * LIB_DIR has libllama.*, libggml.*, libggml-base.* (npm's @node-llama-cpp packages).
 *
 * Exits with 77 where the libraries cannot be had (bench/peers/llama_cpp/llama_abi.h).
 */
#include "llama_abi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = 512, TYPE_F32 = 0, TYPE_F16 = 1 };

static char last_log[512];

static void keep_log(int level, const char *text, void *context)
{
    (void)level;
    (void)context;
    if (strlen(text) > 2)
        snprintf(last_log, sizeof(last_log), "%s", text);
}

static _Noreturn void leave(int status, const char *what, const char *detail)
{
    fprintf(stderr, "llama_peer: %s: %s\n", what, detail);
    exit(status);
}

static int32_t *read_tokens(const char *path, int32_t *count)
{
    static int32_t tokens[TOKENS_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        leave(1, "cannot read", path);
    *count = (int32_t)fread(tokens, sizeof(*tokens), TOKENS_MAX, f);
    fclose(f);
    return tokens;
}

int main(int argc, char **argv)
{
    if (argc < 5)
        leave(2, "usage", "llama_peer LIB_DIR MODEL.gguf TOKENS.bin OUT.bin [f16|f32]");
    llama_abi_load(argv[1]);
    int32_t count = 0;
    int32_t *tokens = read_tokens(argv[3], &count);
    llama_log_set(keep_log, NULL);
    ggml_backend_load_all_from_path(argv[1]);
    llama_backend_init();
    void *model = llama_model_load_from_file(argv[2], llama_model_default_params());
    if (model == NULL)
        leave(1, argv[2], last_log);
    llama_context_params params = llama_context_default_params();
    params.n_threads = params.n_threads_batch = 2;
    params.flash_attention = 0;
    params.type_k = params.type_v = argc > 5 && strcmp(argv[5], "f32") == 0 ? TYPE_F32 : TYPE_F16;
    void *context = llama_init_from_model(model, params);
    if (context == NULL)
        leave(1, "no context", last_log);

    static int32_t position[TOKENS_MAX], seq_id_count[TOKENS_MAX], sequence;
    static int32_t *seq_id[TOKENS_MAX];
    static int8_t wanted[TOKENS_MAX];
    for (int32_t i = 0; i < count; i++) {
        position[i] = i;
        seq_id_count[i] = 1;
        seq_id[i] = &sequence;
        wanted[i] = 1;
    }
    if (llama_decode(context, (llama_batch){.n_tokens = count, .token = tokens, .position = position,
                                            .seq_id_count = seq_id_count, .seq_id = seq_id, .logits = wanted}) != 0)
        leave(1, "decode failed", last_log);
    const size_t vocab = (size_t)llama_vocab_n_tokens(llama_model_get_vocab(model));
    FILE *out = fopen(argv[4], "wb");
    if (out == NULL)
        leave(1, "cannot write", argv[4]);
    for (int32_t i = 0; i < count; i++)
        if (fwrite(llama_get_logits_ith(context, i), sizeof(float), vocab, out) != vocab)
            leave(1, "cannot write", argv[4]);
    if (fclose(out) != 0)
        leave(1, "cannot write", argv[4]);
    fflush(stdout);
    _Exit(0); /* the libraries' own threads need no farewell */
}

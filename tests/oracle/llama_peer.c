/* llama_peer.c - logits from llama.cpp's CPU backend, for llama_cpp.py.
 *
 *   llama_peer LIB_DIR MODEL.gguf TOKENS.bin OUT.bin [f16|f32]
 *
 * TOKENS.bin: int32 [n]. OUT.bin: float32 [n, vocab], one decode of all n as one
 * sequence, no flash attention, K and V as named (f16 without a name).
 * LIB_DIR has libllama.*, libggml.*, libggml-base.* (npm's @node-llama-cpp packages).
 *
 * The libraries come without headers: what is called is declared here as the ABI of
 * v0.5.0 has it. The defaults that the library itself fills in show whether it still
 * has that shape; when not, the exit status is 77, as when a library cannot be opened.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP = 77, TOKENS_MAX = 512, TYPE_F32 = 0, TYPE_F16 = 1 };

/* Passed by value, changed nowhere: only its size matters, and more is harmless. */
typedef struct model_params {
    uint64_t opaque[64];
} model_params;

/* The head, as far as it is read or written here, and room for the rest. */
typedef struct context_params {
    uint32_t n_ctx, n_batch, n_ubatch, n_seq_max, unused[3];
    int32_t n_threads, n_threads_batch, kinds[4], flash_attention;
    float rope_base, rope_scale, yarn_ext, yarn[3];
    uint32_t yarn_context;
    float defrag;
    void *eval, *eval_context;
    int32_t type_k, type_v;
    uint64_t opaque[48];
} context_params;

typedef struct batch {
    int32_t n_tokens;
    int32_t *token;
    float *embedding;
    int32_t *position, *seq_id_count, **seq_id;
    int8_t *logits;
} batch;

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
    fprintf(status == SKIP ? stdout : stderr, "%s%s: %s\n", status == SKIP ? "skipped: " : "llama_peer: ", what,
            detail != NULL ? detail : "");
    exit(status);
}

/* The file of `folder` whose name starts with `prefix`. */
static void *open_library(const char *folder, const char *prefix)
{
    char path[4096] = "";
    DIR *dir = opendir(folder);
    if (dir == NULL)
        leave(SKIP, "no such folder", folder);
    for (struct dirent *entry; path[0] == '\0' && (entry = readdir(dir)) != NULL;)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
    closedir(dir);
    void *library = path[0] != '\0' ? dlopen(path, RTLD_NOW | RTLD_GLOBAL) : NULL;
    if (library == NULL)
        leave(SKIP, prefix, path[0] != '\0' ? dlerror() : "not in the folder");
    return library;
}

/* ISO C has no cast from an object to a function pointer; POSIX has dlsym() all the same. */
#define FIND(function, library, name)                                                              \
    do {                                                                                           \
        void *address = dlsym(library, name);                                                      \
        if (address == NULL)                                                                       \
            leave(SKIP, "no function", name);                                                      \
        memcpy(&(function), &address, sizeof(function));                                           \
    } while (0)

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
    (void)open_library(argv[1], "libggml-base.");
    void *ggml = open_library(argv[1], "libggml."), *llama = open_library(argv[1], "libllama.");
    void (*load_backends)(const char *), (*backend_init)(void), (*log_set)(void (*)(int, const char *, void *), void *);
    model_params (*model_defaults)(void);
    context_params (*context_defaults)(void);
    void *(*load)(const char *, model_params), *(*init)(void *, context_params);
    const void *(*get_vocab)(const void *);
    int32_t (*vocab_size)(const void *), (*decode)(void *, batch);
    float *(*logits_of)(void *, int32_t);
    FIND(load_backends, ggml, "ggml_backend_load_all_from_path");
    FIND(backend_init, llama, "llama_backend_init");
    FIND(log_set, llama, "llama_log_set");
    FIND(model_defaults, llama, "llama_model_default_params");
    FIND(context_defaults, llama, "llama_context_default_params");
    FIND(load, llama, "llama_model_load_from_file");
    FIND(init, llama, "llama_init_from_model");
    FIND(get_vocab, llama, "llama_model_get_vocab");
    FIND(vocab_size, llama, "llama_vocab_n_tokens");
    FIND(decode, llama, "llama_decode");
    FIND(logits_of, llama, "llama_get_logits_ith");

    context_params params = context_defaults();
    if (params.n_ctx != 512 || params.n_batch != 2048 || params.n_ubatch != 512 || params.n_seq_max != 1 ||
        params.flash_attention != -1 || params.yarn_ext != -1.0f || params.defrag != -1.0f || params.eval != NULL ||
        params.type_k != TYPE_F16 || params.type_v != TYPE_F16)
        leave(SKIP, argv[1], "llama_context_params is not laid out as in v0.5.0");
    int32_t count = 0;
    int32_t *tokens = read_tokens(argv[3], &count);
    log_set(keep_log, NULL);
    load_backends(argv[1]);
    backend_init();
    void *model = load(argv[2], model_defaults());
    if (model == NULL)
        leave(1, argv[2], last_log);
    params.n_threads = params.n_threads_batch = 2;
    params.flash_attention = 0;
    params.type_k = params.type_v = argc > 5 && strcmp(argv[5], "f32") == 0 ? TYPE_F32 : TYPE_F16;
    void *context = init(model, params);
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
    if (decode(context, (batch){.n_tokens = count, .token = tokens, .position = position, .seq_id_count = seq_id_count,
                                .seq_id = seq_id, .logits = wanted}) != 0)
        leave(1, "decode failed", last_log);
    const size_t vocab = (size_t)vocab_size(get_vocab(model));
    FILE *out = fopen(argv[4], "wb");
    if (out == NULL)
        leave(1, "cannot write", argv[4]);
    for (int32_t i = 0; i < count; i++)
        if (fwrite(logits_of(context, i), sizeof(float), vocab, out) != vocab)
            leave(1, "cannot write", argv[4]);
    if (fclose(out) != 0)
        leave(1, "cannot write", argv[4]);
    fflush(stdout);
    _Exit(0); /* the libraries' own threads need no farewell */
}

/* pumice.h - run GGUF language models on any Vulkan 1.3 device.
 *
 * This is the only pumice header a program outside src/ includes; everything in
 * tools/ is written against it and nothing else.
 *
 * One request, its text as it comes:
 *
 *   pm_engine *e = NULL;
 *   pm_engine_params ep = {.model_path = "model.gguf"};
 *   if (pm_engine_create(&ep, &e) != PM_OK) die(pm_error_message());
 *
 *   pm_request_params rp = {.prompt = "Once", .prompt_len = 4, .max_tokens = 64};
 *   uint64_t id;
 *   if (pm_request_submit(e, &rp, &id) != PM_OK) die(pm_error_message());
 *
 *   pm_event ev[32];
 *   for (size_t n; pm_engine_busy(e);) {
 *       if (pm_engine_step(e, ev, 32, &n) != PM_OK) die(pm_error_message());
 *       for (size_t i = 0; i < n; i++)
 *           fwrite(ev[i].text, 1, ev[i].text_len, stdout);
 *   }
 *   pm_engine_destroy(e);
 *
 * A server: any thread submits and cancels, one thread steps and sleeps when idle:
 *
 *   while (serving()) {
 *       if (!pm_engine_wait(e, 100)) continue;
 *       pm_event ev[64];
 *       size_t n;
 *       if (pm_engine_step(e, ev, 64, &n) != PM_OK) die(pm_error_message());
 *       for (size_t i = 0; i < n; i++)
 *           deliver(ev[i].request_id, ev[i].index, &ev[i]);
 *   }
 *
 * Three sampled answers to one prompt, which is read once, each with its best five
 * alternatives, ended by a text of the caller's or after two seconds:
 *
 *   const char *stop[] = {"\n\n", "User:"};
 *   pm_request_params rp = {.prompt = text, .prompt_len = strlen(text), .n = 3};
 *   rp.stop = stop;
 *   rp.stop_count = 2;
 *   rp.deadline_ms = 2000;
 *   rp.sample.temperature = 0.8f;
 *   rp.sample.top_p = 0.95f;
 *   rp.sample.logprobs = true;
 *   rp.sample.top_logprobs = 5;
 *   uint64_t id;
 *   if (pm_request_submit(e, &rp, &id) != PM_OK) die(pm_error_message());
 *
 * A long answer of a large model, paced by a small one with the same vocabulary: it guesses up
 * to five tokens, which the large one checks in one step. The answer is the same as without:
 *
 *   pm_engine *e = NULL;
 *   pm_engine_params ep = {.model_path = "large.gguf", .draft_path = "small.gguf"};
 *   if (pm_engine_create(&ep, &e) != PM_OK) die(pm_error_message());
 *
 *   pm_request_params rp = {.prompt = "Once", .prompt_len = 4, .max_tokens = 512};
 *   rp.speculate = PM_SPECULATE_DRAFT;
 *   rp.draft_tokens = 5;
 *   uint64_t id;
 *   if (pm_request_submit(e, &rp, &id) != PM_OK) die(pm_error_message());
 *
 * Conventions, everywhere in this header:
 *  - A params struct that is all zero means "the defaults". It and everything
 *    it points to need only live until the call returns.
 *  - Functions that can fail return pm_result; text about the last failure on
 *    this thread is in pm_error_message(). On failure, outputs are untouched.
 *  - "Owned" results are destroyed by the caller. "Borrowed" results belong to
 *    the object they came from and say how long they last.
 *  - Sizes are bytes unless the name says _tokens, _pages, _ms or _us.
 *  - Thread-safety is stated per object; unstated means "one thread at a time".
 */
#ifndef PUMICE_H
#define PUMICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#pragma GCC visibility push(default) /* libpumice.so exports what stands here and nothing else */
#define PM_MUST_USE __attribute__((warn_unused_result))
#else
#define PM_MUST_USE
#endif

/* ---------------------------------------------------------------- errors */

/* One list; the enum, pm_result_name() and the docs table are made from it. */
#define PM_RESULT_MAP(X)                                                       \
    X(OK,           0, "success")                                              \
    X(ERR_ARG,     -1, "a parameter is out of its documented range")           \
    X(ERR_NOMEM,   -2, "host memory exhausted")                                \
    X(ERR_DEVMEM,  -3, "device memory exhausted")                              \
    X(ERR_IO,      -4, "a file or socket operation failed")                    \
    X(ERR_FORMAT,  -5, "a file is malformed")                                  \
    X(ERR_UNSUP,   -6, "well-formed, but not something this build can run")    \
    X(ERR_DEVICE,  -7, "a Vulkan call failed")                                 \
    X(ERR_LOST,    -8, "the device is lost and could not be opened again")     \
    X(ERR_STATE,   -9, "called at a moment the object does not allow")         \
    X(ERR_FULL,   -10, "a fixed-size queue is full; retry after a step")

typedef enum pm_result {
#define X(name, code, text) PM_##name = (code),
    PM_RESULT_MAP(X)
#undef X
} pm_result;

/* "PM_ERR_FORMAT" for PM_ERR_FORMAT. Static storage, never NULL. */
const char *pm_result_name(pm_result r);

/* One line about the last failure on the calling thread, with the object, the
 * expected and the actual value, for example
 *   model.gguf: blk.3.attn_q.weight: shape [4096,4096], expected [2048,4096]
 * Borrowed until the next pumice call on this thread. Never NULL. */
const char *pm_error_message(void);

/* ----------------------------------------------------------- environment */

/* The switches of `pumice --help-env`, in order; false when index is past the
 * last. Static storage. */
bool pm_env_describe(size_t index, const char **variable, const char **text);

/* The kernel variants that PUMICE_VARIANT=op:name forces, in the order of the ops' tables;
 * false when index is past the last. *text: how it computes; *needs: without what it cannot. Static
 * storage. */
bool pm_variant_describe(size_t index, const char **op, const char **name, const char **text, const char **needs);

/* "0.1.0" of the library that was linked. */
const char *pm_version(void);

/* ---------------------------------------------------------------- devices */

#define PM_DEVICE_CAPS_MAX 32

typedef struct pm_device_info {
    uint32_t index;                /* what --device N selects */
    char name[256];
    char vendor[32];               /* "NVIDIA", "AMD", "Intel", "Mesa", "0x1234" */
    char driver[256];              /* driver name and version */
    char type[16];                 /* "discrete", "integrated", "virtual", "cpu", "other" */
    char uuid[37];                 /* 8-4-4-4-12 hex digits */
    uint32_t api_version;          /* VK_MAKE_API_VERSION bits */
    uint64_t memory_bytes;         /* of the device-local heaps */
    uint64_t memory_free_bytes;    /* by VK_EXT_memory_budget; 0 = unknown */
    uint32_t subgroup_min, subgroup_max; /* lanes */
    uint32_t shared_bytes;         /* per workgroup */
    uint32_t workgroup_max;        /* invocations */
    uint32_t cap_count;
    struct { const char *name; bool present, masked; } caps[PM_DEVICE_CAPS_MAX];
    char missing[256];             /* what the floor needs and the device lacks; "" = usable */
} pm_device_info;

/* Physical devices, best first: discrete, integrated, virtual, CPU.
 * infos: [capacity]; may be NULL with capacity 0. *count: devices there are.
 * Errors: PM_ERR_UNSUP (no Vulkan loader or no driver; says how to get one). */
PM_MUST_USE pm_result pm_devices_list(pm_device_info *infos, size_t capacity, size_t *count);

/* ------------------------------------------------------------- model files */

/* The directory of a GGUF file, checked, without its weights' values and without
 * Vulkan. Split files (-00001-of-0000N) open by any of their parts' names. */
typedef struct pm_model_file pm_model_file;

typedef struct pm_model_summary {
    uint32_t gguf_version;
    uint64_t metadata_count, tensor_count;
    uint64_t parameters;           /* elements of all tensors */
    uint64_t tensor_bytes, file_bytes;
    uint32_t files;                /* parts of a split file; else 1 */
    const char *architecture;      /* borrowed; "" when absent */
    const char *name;              /* general.name, borrowed; "" when absent */
} pm_model_summary;

typedef struct pm_model_tensor {
    const char *name;              /* borrowed */
    const char *type;              /* "Q4_K"; static */
    uint32_t dims;                 /* 1..4 */
    uint64_t shape[4];             /* innermost first, as in the file */
    uint64_t offset;               /* bytes from the start of its file's data */
    uint64_t bytes;
} pm_model_tensor;

/* Errors: PM_ERR_IO, PM_ERR_FORMAT (name the file and the field), PM_ERR_UNSUP. */
PM_MUST_USE pm_result pm_model_file_open(const char *path, pm_model_file **out);
void pm_model_file_close(pm_model_file *file);      /* NULL is fine */

void pm_model_file_summary(const pm_model_file *file, pm_model_summary *out);

/* Metadata entry `index` as text: its key, its type ("u32", "str", "arr[str,32000]"),
 * and its value, JSON when json is true. Arrays show at most array_max items,
 * then "...". key and type are borrowed until the file is closed; the value is
 * written to value, NUL-terminated, cut at capacity. Returns the bytes the whole
 * value needs without its NUL, as snprintf() does. index < metadata_count. */
size_t pm_model_file_metadata(const pm_model_file *file, size_t index, bool json, size_t array_max,
                              const char **key, const char **type, char *value, size_t capacity);

/* index < tensor_count. */
void pm_model_file_tensor(const pm_model_file *file, size_t index, pm_model_tensor *out);

/* ---------------------------------------------------------------- quantise */

/* The types and mixes that pm_quantize() makes, from wide to narrow: "Q4_K_M" and a line
 * about it. False when index is past the last. Static storage. */
bool pm_quantize_type(size_t index, const char **name, const char **text);

/* One tensor of the new file. */
typedef struct pm_quantize_tensor {
    const char *name;              /* borrowed for the call, as all text here */
    const char *from, *to;         /* types; the same for what is kept */
    const char *wanted;            /* the type whose blocks do not fit the rows; NULL = it got what it should */
    uint32_t dims;
    uint64_t shape[4];             /* innermost first */
    uint64_t bytes_in, bytes_out;
    bool has_importance;           /* the importance matrix knew it */
    double error;                  /* sqrt(sum (x - y)^2 / sum x^2); 0 for what is kept */
} pm_quantize_tensor;

/* Called in the order of the file, when a tensor is done. */
typedef void pm_quantize_report(void *context, const pm_quantize_tensor *tensor);

/* fraction in [0,1]; return false to stop. */
typedef bool pm_quantize_progress(void *context, double fraction);

typedef struct pm_quantize_params {
    const char *in_path;           /* GGUF file; split ones by the name of any part. Required. */
    const char *out_path;          /* replaced, when it is there. Required. */
    const char *type;              /* a name of pm_quantize_type(), in any case; "Q4_K" is "Q4_K_M" and so on. Required. */
    const char *imatrix_path;      /* importance matrix of llama.cpp, GGUF or older; NULL = none */
    uint32_t jobs;                 /* threads, <= 32; 0 = one per processor */
    bool pure;                     /* the type for every matrix, no mix */
    bool requantize;               /* take quantised tensors, too: their errors add up */
    pm_quantize_progress *progress; /* may be NULL; both are called on this thread */
    pm_quantize_report *report;    /* may be NULL */
    void *context;
} pm_quantize_params;

typedef struct pm_quantize_summary {
    uint64_t tensors, changed;     /* in the file; of them, whose type changed */
    uint64_t fallbacks;            /* whose rows are no multiple of the wanted type's block */
    uint64_t without_importance;   /* made into blocks although the importance matrix has nothing on them */
    uint64_t parameters;           /* elements of all tensors */
    uint64_t bytes_in, bytes_out;  /* of the tensors */
    uint64_t file_bytes_in, file_bytes_out;
    double bits_per_weight;        /* 8 bytes_out / parameters */
} pm_quantize_summary;

/* Makes out_path from in_path with its matrices in another type; everything else, metadata
 * included, is kept byte for byte, except that general.file_type, general.quantization_version
 * and quantize.imatrix.* tell of what was done and split.* is left out. Vectors, norms and
 * routers keep their types. The result is the same for any number of jobs.
 *
 * The new file appears whole, or not at all. Memory: some 10 MB, whatever the model's size.
 * *out: may be NULL.
 * Errors: PM_ERR_ARG (no such type; out_path is the input), PM_ERR_UNSUP (a codebook type; a
 * quantised tensor without `requantize`), PM_ERR_FORMAT (a malformed file; a value that is not
 * finite or does not fit, by tensor and index), PM_ERR_IO (no room on the disk), PM_ERR_NOMEM,
 * PM_ERR_STATE (progress said stop). */
PM_MUST_USE pm_result pm_quantize(const pm_quantize_params *params, pm_quantize_summary *out);

/* --------------------------------------------------------------- tokenizer */

/* Immutable after creation: any number of threads may use one. */
typedef struct pm_tokenizer pm_tokenizer;

/* Reads the file's vocabulary; the file may be closed afterwards. Works on
 * vocabulary-only files. Errors: PM_ERR_FORMAT, PM_ERR_UNSUP (names the model or
 * pre-tokenizer). */
PM_MUST_USE pm_result pm_tokenizer_create(const pm_model_file *file, pm_tokenizer **out);
void pm_tokenizer_destroy(pm_tokenizer *tokenizer);

uint32_t pm_tokenizer_size(const pm_tokenizer *tokenizer);    /* tokens */
int32_t pm_tokenizer_bos(const pm_tokenizer *tokenizer);      /* -1 = none */
int32_t pm_tokenizer_eos(const pm_tokenizer *tokenizer);      /* -1 = none */
bool pm_tokenizer_is_end(const pm_tokenizer *tokenizer, int32_t token); /* eos, eot, eom */

enum {
    PM_TOKENIZE_ADD_BOS = 1,       /* BOS, and EOS at the end, as the file's add_bos_token and
                                      add_eos_token say */
    PM_TOKENIZE_SPECIAL = 2,       /* "<|im_end|>" in the text is that token, not text */
};

/* text: UTF-8 (ill-formed bytes become byte tokens or the unknown token).
 * tokens: [capacity]. *count: tokens the text gives; when it is more than
 * capacity, the first capacity are written and PM_ERR_FULL is returned. A text of
 * n bytes gives at most 3n + 3 tokens (composing to NFC may add bytes; special
 * tokens may add spaces), and with real vocabularies seldom more than n. */
PM_MUST_USE pm_result pm_tokenize(const pm_tokenizer *tokenizer, const char *text, size_t text_len,
                                  uint32_t flags, int32_t *tokens, size_t capacity, size_t *count);

/* The bytes of the tokens, special ones only when `special`; text: [capacity] not
 * NUL-terminated. *len: bytes there are; PM_ERR_FULL as above. PM_ERR_ARG: an id
 * outside the vocabulary. */
PM_MUST_USE pm_result pm_detokenize(const pm_tokenizer *tokenizer, const int32_t *tokens, size_t count,
                                    bool special, char *text, size_t capacity, size_t *len);

/* ------------------------------------------------------------ chat templates */

typedef struct pm_chat_message {
    const char *role;              /* "system", "user", "assistant" */
    const char *content;           /* UTF-8 */
} pm_chat_message;

/* Renders messages with the model's own template, or with the built-in `name`
 * ("chatml", "llama2", "llama3", "mistral", "zephyr"; NULL = recognise the
 * file's). The result holds every special token, BOS included, as text: tokenize
 * it with PM_TOKENIZE_SPECIAL alone. (A template without BOS gets one in front when
 * the file's add_bos_token says that texts begin with it.) Special tokens that a
 * message's content spells become special tokens too. add_assistant: end where the
 * answer starts.
 * *text: owned, pm_string_free().
 * Errors: PM_ERR_UNSUP (template unknown; the message names --template and the
 * built-in ones), PM_ERR_ARG (roles out of order for this template). */
PM_MUST_USE pm_result pm_chat_render(const pm_tokenizer *tokenizer, const char *name,
                                     const pm_chat_message *messages, size_t count, bool add_assistant,
                                     char **text, size_t *len);
void pm_string_free(char *text);

/* ---------------------------------------------------------------- engine */

/* One model on one device, with its KV pages and its scheduler.
 *
 * Sequences share every step: those that decode go on by a token each, prompts are
 * read in chunks beside them. While the device runs one step the next is scheduled,
 * so that an event tells of a token whose successor is already being computed.
 *
 * Thread-safety: pm_request_submit(), pm_request_cancel(), pm_engine_busy(),
 * pm_engine_wait(), pm_engine_wake(), pm_engine_describe() and pm_engine_statistics()
 * may be called from any thread; everything else from one thread at a time. Work
 * happens inside pm_engine_step(). */
typedef struct pm_engine pm_engine;

/* Numbers of the KV pages. q8_0 and q4_0 keep blocks of 32 as integers of 8 and 4 bits with
 * an f16 scale, 53 % and 28 % of f16's bytes; they need a head_dim that is a multiple of 32. */
typedef enum pm_kv_type { PM_KV_F16 = 0, PM_KV_F32, PM_KV_Q8_0, PM_KV_Q4_0 } pm_kv_type;

/* fraction in [0,1] of `stage` ("weights", "pipelines", "warm-up") is done. */
typedef void pm_progress(void *context, const char *stage, double fraction);

/* What pm_engine_create() does before the first step needs it. Kernels are tested before they are used in each case. */
typedef enum pm_warm_up {
    PM_WARM_UP_KERNELS,            /* the kernels of every step there can be are built: no step waits for one */
    PM_WARM_UP_NOTHING,            /* kernels are built when a step first needs them: the first token comes
                                      soonest, and a step of a new size later; a CPU driver's tokens that are
                                      drawn are picked on the host, to the same tokens */
    PM_WARM_UP_STEPS,              /* as KERNELS, and a step of each size runs without tokens: for drivers
                                      that compile a kernel when it first runs, as CPU drivers do */
} pm_warm_up;

typedef struct pm_engine_params {
    const char *model_path;        /* GGUF file. Required. */
    const char *device;            /* index, part of the name, or UUID; NULL = $PUMICE_DEVICE or the first */
    uint32_t max_seqs;             /* sequences in flight, <= 256; 0 = 16 */
    uint32_t max_context_tokens;   /* per sequence; 0 = the model's own limit, at most 4096 */
    uint32_t max_batch_tokens;     /* per step, <= 2048; 0 = what pm_tune() found for the model here, else 512 */
    uint32_t page_tokens;          /* tokens per KV page: 16 or 32; 0 = 16 */
    uint64_t kv_bytes;             /* KV pool; 0 = one full context per 4 sequences, at least
                                      one, at most 90 % of what the weights leave */
    pm_kv_type kv_type;
    bool deterministic;            /* a sequence's logits are the same to the bit alone and in any
                                      batch, slot and prompt chunking, on one device */
    bool profile;                  /* time every dispatch; see pm_engine_profile() */
    pm_progress *progress;         /* may be NULL; called on this thread */
    void *progress_context;
    uint32_t max_queue;            /* requests queued and running; 0 = 4 max_seqs */
    uint64_t swap_bytes;           /* host memory for the pages of sequences that had to give way; 0 =
                                      none: they are computed again */
    uint32_t submit_ms;            /* a submission takes no longer on the device; 0 = 100. Desktop drivers
                                      end long ones. Prompts are read in chunks that keep to it. */
    bool no_prefix_cache;          /* pages of earlier prompts are never used again */
    bool no_overlap;               /* a step is scheduled when the one before has ended */
    bool fail_on_loss;             /* a lost device ends the requests in flight; else they go on from
                                      their tokens on the device opened again */
    const char *draft_path;        /* GGUF file of a smaller model with the same vocabulary, for
                                      PM_SPECULATE_DRAFT; NULL = none. It has as many KV pages of its own. */
    pm_warm_up warm_up;
} pm_engine_params;

/* Maps the file, uploads and repacks the weights and compiles the pipelines the
 * model needs, as warm_up says. Takes seconds; never called on a latency path.
 *
 * *out: owned, pm_engine_destroy().
 * Errors: PM_ERR_IO, PM_ERR_FORMAT (both name file and field), PM_ERR_UNSUP
 * (names the architecture, tensor type or device feature), PM_ERR_NOMEM,
 * PM_ERR_DEVMEM (names the bytes wanted and free), PM_ERR_DEVICE, PM_ERR_ARG (with a
 * draft of another vocabulary: both files and how they differ). */
PM_MUST_USE pm_result pm_engine_create(const pm_engine_params *params, pm_engine **out);

/* Waits for the device, then frees everything. NULL is fine. */
void pm_engine_destroy(pm_engine *engine);

/* Borrowed, for the engine's life. */
const pm_tokenizer *pm_engine_tokenizer(const pm_engine *engine);

typedef struct pm_engine_info {
    char device[256];
    char architecture[32];
    uint32_t vocab;                /* tokens */
    uint32_t context_tokens;       /* most tokens of one sequence here */
    uint32_t model_context_tokens; /* what the model was trained for */
    uint32_t max_seqs, max_batch_tokens, page_tokens, max_queue;
    uint32_t pages;                /* KV pages in the pool */
    uint32_t swap_pages;           /* pages that host memory can hold */
    uint64_t page_bytes;           /* device memory of one page, all layers */
    uint64_t weight_bytes;         /* device memory of the weights */
    uint64_t weight_step_bytes;    /* of them, what one decode step reads */
} pm_engine_info;
void pm_engine_describe(const pm_engine *engine, pm_engine_info *out);

/* Counters since create, and what is there now. */
typedef struct pm_engine_stats {
    uint64_t steps;                /* that ran something */
    uint64_t prompt_tokens;        /* of prompts, computed or cached */
    uint64_t cached_tokens;        /* of them, found in the prefix cache */
    uint64_t recomputed_tokens;    /* read again after a preemption or a lost device */
    uint64_t generated_tokens;     /* that events told of */
    uint64_t drafted_tokens, accepted_tokens; /* by speculation: guessed, and of them right */
    uint64_t draft_steps;          /* passes of the draft model, each for all that ask for it */
    uint32_t queued, running;      /* answers now: that wait for pages or a place, that steps go on with */
    uint32_t pages_used, pages_used_max; /* KV pages that sequences hold now, and at most since create */
    uint32_t pages_cached;         /* that a prompt may find, free ones and held ones */
    uint64_t evicted_pages;        /* that a prompt might have found, handed out for other tokens */
    uint32_t draft_pages_used;     /* of the draft model's own */
    uint32_t preemptions;          /* by recompute or swap */
    uint64_t swapped_pages;        /* that went to host memory */
    uint32_t device_losses;        /* survived */
    uint64_t device_bytes;         /* allocated on the device now: weights, pages, buffers */
    uint32_t chunk_tokens;         /* rows of a step now, see submit_ms */
    double step_us_last;           /* wall time of the last step, microseconds */
    double step_us, host_us, device_wait_us; /* sums over all steps: wall time; of it, this library's
                                      own work; waiting for the device */
} pm_engine_stats;
void pm_engine_statistics(const pm_engine *engine, pm_engine_stats *out);

/* -------------------------------------------------------------- requests */

/* `bias` is added to the token's logit; -INFINITY bans it. */
typedef struct pm_logit_bias {
    int32_t token;
    float bias;
} pm_logit_bias;

#define PM_LOGIT_BIAS_MAX 512      /* of one request */
#define PM_TOP_LOGPROBS_MAX 20

/* How the next token is picked. In this order: logit_bias and token_mask; repeat_,
 * frequency_ and presence_penalty; top_k, top_p, min_p; temperature; a draw. */
typedef struct pm_sample_params {
    float temperature;             /* 0 = greedy */
    float top_p;                   /* (0,1]; 0 = off */
    float min_p;                   /* [0,1); 0 = off */
    uint32_t top_k;                /* 0 = off */
    float repeat_penalty;          /* > 0; 0 or 1 = off; on the last 64 tokens, prompt included */
    uint64_t seed;                 /* 0 = from the request id */
    float presence_penalty;        /* [-2,2], once for each token generated before */
    float frequency_penalty;       /* [-2,2], for each time it was */
    const pm_logit_bias *logit_bias; /* [logit_bias_count], copied; a token at most once */
    uint32_t logit_bias_count;     /* <= PM_LOGIT_BIAS_MAX */
    const uint32_t *token_mask;    /* [ceil(vocab / 32)], copied; bit t % 32 of word t / 32 set = token t may
                                      come; NULL = all may */
    bool logprobs;                 /* events carry the token's log-probability */
    uint32_t top_logprobs;         /* and of so many likely ones, <= PM_TOP_LOGPROBS_MAX */
} pm_sample_params;

/* Where draft tokens come from that one step checks together. The answer is the same as
 * without, greedy or by distribution; only its pace differs. */
typedef enum pm_speculation {
    PM_SPECULATE_NONE = 0,
    PM_SPECULATE_LOOKUP,           /* what followed the last words earlier in the sequence */
    PM_SPECULATE_DRAFT,            /* what the engine's draft model would say; PM_ERR_ARG where it has none */
} pm_speculation;

#define PM_STOP_MAX 16             /* stop strings of one request */
#define PM_STOP_BYTES_MAX 256      /* of one of them */
#define PM_STOP_TOKENS_MAX 64
#define PM_DRAFT_TOKENS_MAX 7

typedef struct pm_request_params {
    const char *prompt;            /* UTF-8, already rendered; may contain \0 */
    size_t prompt_len;
    uint32_t prompt_flags;         /* PM_TOKENIZE_* */
    const int32_t *tokens;         /* [token_count], instead of a prompt when not NULL */
    size_t token_count;
    uint32_t max_tokens;           /* generated tokens; 0 = up to the context */
    bool ignore_end;               /* go on after an end token */
    pm_sample_params sample;
    uint32_t n;                    /* answers, which share the prompt's pages; <= max_seqs and max_queue; 0 = 1. Answer i
                                      draws with seed + i. */
    uint32_t min_tokens;           /* no end token and no stop token before so many */
    const char *const *stop;       /* [stop_count] UTF-8; the answer ends before the first that appears */
    size_t stop_count;             /* <= PM_STOP_MAX, of 1 to PM_STOP_BYTES_MAX bytes each */
    const int32_t *stop_tokens;    /* [stop_token_count]; end the answer as end tokens do */
    size_t stop_token_count;       /* <= PM_STOP_TOKENS_MAX */
    bool echo;                     /* the first event of each answer is the prompt's text, with logprobs
                                      those of its tokens */
    int32_t priority;              /* greater first; a waiting request gains on those in front */
    uint32_t deadline_ms;          /* from submit; 0 = none */
    const char *cache_salt;        /* pages are found again only under the same salt; "" */
    size_t cache_salt_len;
    bool no_prefix_cache;          /* pages are neither looked up nor left to be found */
    pm_speculation speculate;
    uint32_t draft_tokens;         /* at most, a step; 0 = 4, <= PM_DRAFT_TOKENS_MAX */
} pm_request_params;

/* Queues a request; the first token comes out of a later pm_engine_step(). All memory
 * that its answers will need is made here.
 *
 * *id: unique for the engine's lifetime, never reused, never 0.
 * Errors: PM_ERR_ARG (an empty prompt, a token outside the vocabulary, a parameter
 * outside its range, a prompt that leaves no room in the context or the KV pool: the
 * message has the tokens wanted and there), PM_ERR_FULL (max_queue answers are queued
 * or running), PM_ERR_NOMEM, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_request_submit(pm_engine *engine, const pm_request_params *params, uint64_t *id);

/* All answers of the request end with PM_FINISH_CANCELLED at the next step, queued, in
 * their prompt or decoding. Unknown or already finished ids are ignored, so that a
 * disconnect never races a finish. */
void pm_request_cancel(pm_engine *engine, uint64_t id);

/* ------------------------------------------------------------------ step */

typedef enum pm_finish {
    PM_FINISH_NONE = 0,            /* more tokens will come */
    PM_FINISH_STOP,                /* an end token, a stop token or a stop string */
    PM_FINISH_LENGTH,              /* max_tokens */
    PM_FINISH_CONTEXT,             /* the sequence's context or the KV pool is full */
    PM_FINISH_CANCELLED,
    PM_FINISH_ERROR,               /* see pm_event.error */
    PM_FINISH_DEADLINE,            /* deadline_ms have passed */
} pm_finish;

/* "stop", "length", ... Static storage. */
const char *pm_finish_name(pm_finish finish);

typedef struct pm_logprob {
    int32_t token;
    float logprob;                 /* log of the probability, by the model's own logits: before bias, mask,
                                      penalties and temperature */
} pm_logprob;

/* Of one position. */
typedef struct pm_logprobs {
    pm_logprob chosen;             /* the token that stands there */
    uint32_t top_count;
    pm_logprob top[PM_TOP_LOGPROBS_MAX]; /* [top_count] most likely first */
} pm_logprobs;

typedef struct pm_event {
    uint64_t request_id;
    int32_t token;                 /* -1 on events that carry no token */
    pm_finish finish;
    pm_result error;               /* PM_OK unless finish is PM_FINISH_ERROR */
    const char *text;              /* whole UTF-8 characters; may be empty. What may yet become a stop string
                                      is held back. */
    size_t text_len;               /* bytes */
    uint32_t prompt_tokens;        /* of the request */
    uint32_t generated_tokens;     /* so far, this one included */
    uint32_t index;                /* answer, 0 to n - 1 */
    uint32_t cached_tokens;        /* of the prompt, from the prefix cache */
    int32_t stop_index;            /* the stop string that ended the answer; -1 = none did */
    bool echo;                     /* the text is the prompt's */
    uint32_t logprobs_count;       /* 1 with a token, prompt_tokens with an echo, else 0 */
    const pm_logprobs *logprobs;   /* [logprobs_count]; a prompt's first has no top and logprob 0 */
} pm_event;

/* True while a request is queued or running, or an event waits to be handed out. */
bool pm_engine_busy(const pm_engine *engine);

/* Sleeps until the engine is busy, pm_engine_wake() is called or timeout_ms have passed;
 * returns pm_engine_busy(). */
bool pm_engine_wait(pm_engine *engine, uint32_t timeout_ms);
void pm_engine_wake(pm_engine *engine);

/* One scheduler iteration: pick a batch and submit it, wait for the one before, tell
 * what it brought.
 *
 * events: [capacity], at least 1, else PM_ERR_ARG; those that do not fit are handed out
 * by the next calls, before anything else happens. Texts and logprobs are borrowed until
 * the next pm_engine_step().
 * *count: events written; 0 is normal while a long prompt is being read.
 * A failure of one request is not an error here: it is that request's PM_FINISH_ERROR.
 * A lost device is opened again and the requests go on (or end, see fail_on_loss).
 * Errors: PM_ERR_LOST (it could not be), PM_ERR_DEVICE, and with PM_WARM_UP_NOTHING PM_ERR_NOMEM and
 * PM_ERR_UNSUP (kernels that are needed now): every request has ended, and only
 * pm_engine_destroy() is left. */
PM_MUST_USE pm_result pm_engine_step(pm_engine *engine, pm_event *events, size_t capacity, size_t *count);

/* --------------------------------------------------------------- scoring */

/* Called once per scored position, in order; logits: [vocab] f32, borrowed for
 * the call. Return false to stop. */
typedef bool pm_logits_sink(void *context, uint32_t position, const float *logits);

/* Runs the tokens as one sequence, from an empty KV cache, and hands out the
 * logits of positions first .. count - 1. The engine must not be busy.
 * Errors: PM_ERR_STATE (busy), PM_ERR_ARG (count is 0 or past the context, a token
 * outside the vocabulary), PM_ERR_DEVICE, PM_ERR_LOST. */
PM_MUST_USE pm_result pm_engine_score(pm_engine *engine, const int32_t *tokens, uint32_t count, uint32_t first,
                                      pm_logits_sink *sink, void *context);

/* ------------------------------------------------------------- measuring */

typedef struct pm_profile_row {
    char op[48];                   /* "matmul.q8_0" */
    uint64_t dispatches;
    uint64_t ns;                   /* device time, all dispatches */
    uint64_t bytes;                /* that they must move at least */
    uint64_t flops;
} pm_profile_row;

/* Device time per op since the engine was created, most time first; rows:
 * [capacity]; *count: rows there are. Errors: PM_ERR_STATE (profile was off). */
PM_MUST_USE pm_result pm_engine_profile(pm_engine *engine, pm_profile_row *rows, size_t capacity, size_t *count);

/* Bytes per second that the device's memory moves: the better of a kernel that reads a
 * buffer of 256 MiB (less where memory is short) with 16-byte loads and of a copy of one
 * half of it over the other, best of five each. (CPU drivers load lane by lane: there the
 * copy shows what the memory can do.) */
PM_MUST_USE pm_result pm_engine_bandwidth(pm_engine *engine, double *bytes_per_second);

/* -------------------------------------------------------------- verifying */

typedef enum pm_verdict {
    PM_VERDICT_PASS = 0,
    PM_VERDICT_FAIL,
    PM_VERDICT_UNSUPPORTED,        /* the device or the build cannot run it: never a pass */
} pm_verdict;

/* "pass", "FAIL", "not supported". Static storage. */
const char *pm_verdict_name(pm_verdict verdict);

/* One variant of one op with one type of weights or KV pages, over all its shapes. */
typedef struct pm_verify_row {
    const char *op, *type, *variant; /* "matmul", "q4_k", "rows8"; static */
    pm_verdict verdict;
    uint32_t shapes;               /* that ran */
    uint64_t elements;             /* compared */
    double error;                  /* the worst, relative to the sum of |terms| that made the element */
    double bound;                  /* on it; 0 = exact */
    double gb_per_s, gflop_per_s;  /* of the largest shape, by the device's clock; 0 = it has none */
    char detail[256];              /* what is wrong, or what is lacking; else "" */
} pm_verify_row;

typedef void pm_verify_sink(void *context, const pm_verify_row *row);

typedef struct pm_verify_params {
    const char *device;            /* as in pm_engine_params */
    bool full;                     /* every variant with every type, more shapes, inputs from `seed`,
                                      references computed now; else results recorded beforehand */
    uint64_t seed;                 /* 0 = 1 */
} pm_verify_params;

typedef struct pm_verify_summary {
    char device[256], driver[256];
    uint32_t passed, failed, unsupported; /* rows */
    double seconds;
} pm_verify_summary;

/* Holds every op on the device to plain C in double: results within the op's bound, and
 * nothing else written. Rows come in the order of ops and types. A failed row is no error.
 * Errors: as pm_engine_create()'s about devices and memory. */
PM_MUST_USE pm_result pm_verify(const pm_verify_params *params, pm_verify_sink *sink, void *context,
                                pm_verify_summary *summary);

/* ------------------------------------------------------------ benchmarks */

/* What a device can do at most, measured by the library's own kernels; a multiply-add is two
 * operations; 0 = the device or this build has none. */
typedef struct pm_bench_peaks {
    char device[256], driver[256];
    bool is_cpu;
    double read_bytes_per_s, copy_bytes_per_s; /* of device memory; a copy's bytes are read and written */
    double f32_per_s, f16_per_s;   /* multiply-adds */
    double int8_per_s;             /* packed dot products of 4 bytes */
    double matrix_per_s;           /* cooperative matrices, f16 x f16 -> f32 */
    char matrix[24];               /* the fastest shape of those, "16x16x16"; "" */
} pm_bench_peaks;

#define PM_BENCH_ROWS_MAX 16       /* row counts of pm_bench_params */

/* device: as in pm_engine_params. Errors: as pm_engine_create()'s about devices and memory. */
PM_MUST_USE pm_result pm_bench_device(const char *device, pm_bench_peaks *out);

/* One op with one type of weights or KV pages, one variant and one shape. */
typedef struct pm_bench_row {
    const char *op, *type, *variant; /* "matmul", "q4_k", "rows8"; static */
    char shape[64];                /* "16 x 2048 x 2048" */
    bool picked;                   /* the variant that an engine takes here */
    double us, us_min, us_max;     /* device time: the median of the runs, and their bounds */
    uint64_t bytes, flops;         /* that it must move and do at least; 0 where the device has no clock */
    double gb_per_s, gflop_per_s;
    const char *bound;             /* what limits it at the peaks: "memory", "f32", "f16", "int8" or "matrix"; static */
    double percent;                /* of that limit reached; more than 100 where caches serve */
    double error;                  /* the worst on a small part of the shape, relative to the sum of |terms| that
                                      made the element; negative = not compared */
} pm_bench_row;

/* Return false to stop. */
typedef bool pm_bench_sink(void *context, const pm_bench_row *row);

typedef struct pm_bench_params {
    const char *device;            /* as in pm_engine_params */
    const char *ops, *types, *variants; /* names with commas; NULL = all ops; types that are in most files; the
                                      variants that an engine would take */
    const uint32_t *rows;          /* [row_count] of x; NULL = 1, 16 and a prompt's */
    uint32_t row_count;
    uint32_t n, k;                 /* of matrices, k a multiple of 256; 0 = the device's size */
    bool full;                     /* every type and variant that is not named otherwise */
    uint32_t runs;                 /* of each, <= 64; 0 = 5 */
} pm_bench_params;

/* Times every op by the device's clock, from memory that no cache holds. peaks: of the same device.
 * Errors: PM_ERR_ARG (a name that is none; lists them), PM_ERR_UNSUP (nothing of it runs here), and as above. */
PM_MUST_USE pm_result pm_bench_ops(const pm_bench_params *params, const pm_bench_peaks *peaks, pm_bench_sink *sink,
                                   void *context);

/* ----------------------------------------------------------------- tuning */

/* One free choice of an op's variant table: what an engine would take, and what is faster here. */
typedef struct pm_tune_row {
    const char *op, *type;         /* "matmul", "q4_k"; static */
    char shape[64];                /* "2048x5632", "32/8x128 decode", "every shape" */
    uint32_t rows_first, rows_last; /* of a step, that the choice is for */
    char usual[64], chosen[64];    /* "dot8 lanes 32 slices 4"; the same where nothing beats it */
    double usual_us, chosen_us;    /* medians of interleaved runs */
} pm_tune_row;

/* Return false to stop: what was chosen until then is kept. */
typedef bool pm_tune_sink(void *context, const pm_tune_row *row);

#define PM_TUNE_SECONDS 60         /* the most that pm_tune() takes; a kernel that the driver is compiling then is
                                      waited for */

typedef struct pm_tune_params {
    const char *model_path;        /* GGUF file whose shapes are measured; NULL = shapes and types that are in most
                                      files, for choices that serve every shape without one of its own */
    const char *device;            /* as in pm_engine_params */
    pm_kv_type kv_type;
    float seconds;                 /* of measuring, at most PM_TUNE_SECONDS; 0 = that */
    pm_progress *progress;         /* "tuning"; may be NULL */
    void *progress_context;
} pm_tune_params;

typedef struct pm_tune_summary {
    char device[256], driver[256];
    char path[4096];               /* of the file that keeps the choices */
    uint32_t planned, measured, chosen; /* rows there could be; that came; whose choice is not the usual one */
    double seconds;
} pm_tune_summary;

/* Times the free choices of the ops' variant tables on the device in interleaved repeats: variants, with 8-bit
 * integers or without, lanes of a subgroup, slices of k, splits of a context, rows of a step. One replaces
 * what an engine takes by itself only where it is faster by clearly more than the noise, and right against
 * plain C: within the bounds of its own arithmetic, which may round activations to 8 bits or f16.
 *
 * The winners are kept beside the pipeline cache, for this device, driver and build: engines use them from
 * their next start, except where they are deterministic, where PUMICE_VARIANT forces a variant, and with
 * PUMICE_TUNE=0. What was found for other shapes is kept. What ships for the device's family (pm_tune_list()) is
 * usual there: it is raced, and gives way to a winner.
 * Errors: as pm_engine_create()'s about files and devices; PM_ERR_ARG, PM_ERR_STATE (PUMICE_CACHE=0; kernels or
 * capabilities are forced by PUMICE_VARIANT, PUMICE_SUBGROUP, PUMICE_CAPS), PM_ERR_IO. */
PM_MUST_USE pm_result pm_tune(const pm_tune_params *params, pm_tune_sink *sink, void *context,
                              pm_tune_summary *summary);

/* source: "tuned", or the family of devices that the choice ships for ("AMD RDNA 3 and 4 by RADV"); choice: a line as
 * the file of pm_tune() has it, "matmul iq4_nl 0x0 rows 1-1: rows1 lanes 0 slices 0", 0x0 for every shape. Both last
 * for the call. Returns false to stop. */
typedef bool pm_tune_list_sink(void *context, const char *source, const char *choice);

/* What engines take on the device in place of their usual choices, in the order in which they look: what pm_tune() kept
 * (PUMICE_TUNE=0: nothing), then what ships for the device's family (PUMICE_PRESETS=0: nothing). device: as in
 * pm_engine_params. Errors: as pm_engine_create()'s about devices. */
PM_MUST_USE pm_result pm_tune_list(const char *device, pm_tune_list_sink *sink, void *context);

#if defined(__GNUC__) || defined(__clang__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif /* PUMICE_H */

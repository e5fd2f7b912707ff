/* gguf/writer.h - writes a GGUF file as a stream. Floor 1.
 *
 * First the metadata and the directory are named, then the tensors' bytes follow in the
 * order of the directory, in pieces of any size; nothing but the directory is held in memory.
 * The file appears when it is committed, whole; what is closed before leaves nothing.
 * Version 3, little endian. Source: the GGUF specification (ggml, docs/gguf.md).
 */
#ifndef PM_GGUF_WRITER_H
#define PM_GGUF_WRITER_H

#include "gguf/gguf.h"

typedef struct pm_gguf_writer pm_gguf_writer;

/* alignment: of the tensors' data, a power of two from 8; what differs from 32 must also be
 * among the metadata as general.alignment. *out: owned, pm_gguf_writer_close().
 * Errors: PM_ERR_IO, PM_ERR_ARG, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_gguf_writer_open(const char *path, uint32_t alignment, pm_gguf_writer **out);

/* One entry of the metadata: of another file, byte for byte; an integer; text. No key may come
 * twice. Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_gguf_writer_copy(pm_gguf_writer *writer, const pm_gguf_value *value);
PM_MUST_USE pm_result pm_gguf_writer_u32(pm_gguf_writer *writer, const char *key, uint32_t value);
PM_MUST_USE pm_result pm_gguf_writer_text(pm_gguf_writer *writer, const char *key, const char *text);

/* One entry of the directory. shape[0] is a multiple of the type's block; the bytes fit 63
 * bits (asserted). Errors: PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_gguf_writer_tensor(pm_gguf_writer *writer, const char *name, uint32_t dims,
                                            const uint64_t shape[4], pm_dtype type);

/* The next bytes of the tensor whose turn it is, not beyond its end (asserted). The first call
 * ends the metadata and the directory. Errors: PM_ERR_IO, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_gguf_writer_data(pm_gguf_writer *writer, const void *data, uint64_t bytes);

/* Every tensor is complete (asserted). *bytes: of the file. Errors: PM_ERR_IO, PM_ERR_NOMEM. */
PM_MUST_USE pm_result pm_gguf_writer_commit(pm_gguf_writer *writer, uint64_t *bytes);

/* Frees it, and removes a file that was not committed. NULL is fine. */
void pm_gguf_writer_close(pm_gguf_writer *writer);

#endif /* PM_GGUF_WRITER_H */

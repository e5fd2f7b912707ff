/* vectors.c - vectors to and from files. */
#include "cuda/vectors.h"

#include "cuda/sha256.h"

#include <inttypes.h>
#include <stdlib.h>

#define MAGIC "pumice-vector 1"

bool cuda_vector_write(const char *path, const cuda_vector *v, char *why, size_t capacity)
{
    char hex[65], header[1024];
    sha256_hex(v->values, v->count * sizeof(float), hex);
    const int length = snprintf(
        header, sizeof(header),
        MAGIC "\ncase %s\nkernel %s\norigin %s\ndevice %s\ndriver %s\nruntime %s\ndate %s\nseed %" PRIu64
        "\ninputs %016" PRIx64 "\nelements %" PRIu64 "\nvalues %u\nsha256 %s\n\n",
        v->name, v->kernel, v->origin, v->device, v->driver, v->runtime, v->date, v->seed, v->inputs, v->elements, v->count, hex);
    if (length < 0 || (size_t)length >= sizeof(header) || (size_t)length + v->count * sizeof(float) > CUDA_VECTOR_BYTES_MAX) {
        snprintf(why, capacity, "%s: a vector has at most %u bytes", path, CUDA_VECTOR_BYTES_MAX);
        return false;
    }
    FILE *file = fopen(path, "wb");
    bool whole = file != NULL && fwrite(header, 1, (size_t)length, file) == (size_t)length &&
                 fwrite(v->values, sizeof(float), v->count, file) == v->count;
    if (file != NULL && fclose(file) != 0)
        whole = false;
    if (!whole)
        snprintf(why, capacity, "%s: cannot write", path);
    return whole;
}

/* The value of the line "key value"; moves on; NULL when another line stands there. */
static char *line_of(char **at, char *end, const char *key)
{
    char *line = *at, *stop = memchr(line, '\n', (size_t)(end - line));
    const size_t length = strlen(key);
    if (stop == NULL || (size_t)(stop - line) <= length || memcmp(line, key, length) != 0 || line[length] != ' ')
        return NULL;
    *stop = '\0';
    *at = stop + 1;
    return line + length + 1;
}

static bool text_line(char **at, char *end, const char *key, char *text, size_t capacity)
{
    const char *value = line_of(at, end, key);
    return value != NULL && (size_t)snprintf(text, capacity, "%s", value) < capacity;
}

static bool number_line(char **at, char *end, const char *key, int base, uint64_t *number)
{
    const char *value = line_of(at, end, key);
    char *rest = NULL;
    if (value != NULL)
        *number = strtoull(value, &rest, base);
    return value != NULL && rest != value && *rest == '\0';
}

static bool parse(char *data, size_t bytes, cuda_vector *v, const char **wrong)
{
    char *at = data, *end = data + bytes, digest[65], hex[65];
    uint64_t count = 0;
    *wrong = "header";
    if (bytes < sizeof(MAGIC) || memcmp(data, MAGIC "\n", sizeof(MAGIC)) != 0)
        return false;
    at += sizeof(MAGIC);
    if (!text_line(&at, end, "case", v->name, sizeof(v->name)) || !text_line(&at, end, "kernel", v->kernel, sizeof(v->kernel)) ||
        !text_line(&at, end, "origin", v->origin, sizeof(v->origin)) ||
        !text_line(&at, end, "device", v->device, sizeof(v->device)) ||
        !text_line(&at, end, "driver", v->driver, sizeof(v->driver)) ||
        !text_line(&at, end, "runtime", v->runtime, sizeof(v->runtime)) ||
        !text_line(&at, end, "date", v->date, sizeof(v->date)) || !number_line(&at, end, "seed", 10, &v->seed) ||
        !number_line(&at, end, "inputs", 16, &v->inputs) || !number_line(&at, end, "elements", 10, &v->elements) ||
        !number_line(&at, end, "values", 10, &count) || !text_line(&at, end, "sha256", digest, sizeof(digest)))
        return false;
    *wrong = "origin: expected CUDA or host";
    if (strcmp(v->origin, "CUDA") != 0 && strcmp(v->origin, "host") != 0)
        return false;
    *wrong = "size of the payload";
    if (at == end || *at++ != '\n' || count == 0 || count > v->elements || count > CUDA_VECTOR_BYTES_MAX ||
        (size_t)(end - at) != count * sizeof(float))
        return false;
    *wrong = "sha256 of the payload";
    sha256_hex(at, count * sizeof(float), hex);
    if (strcmp(hex, digest) != 0)
        return false;
    *wrong = "memory";
    v->count = (uint32_t)count;
    v->values = malloc(count * sizeof(float));
    if (v->values != NULL)
        memcpy(v->values, at, count * sizeof(float));
    return v->values != NULL;
}

bool cuda_vector_read(const char *path, cuda_vector *v, char *why, size_t capacity)
{
    static char data[CUDA_VECTOR_BYTES_MAX + 1];
    const char *wrong = "cannot read";
    memset(v, 0, sizeof(*v));
    FILE *file = fopen(path, "rb");
    const size_t bytes = file != NULL ? fread(data, 1, sizeof(data), file) : 0;
    if (file != NULL)
        fclose(file);
    if (bytes > CUDA_VECTOR_BYTES_MAX)
        wrong = "more than 64 KiB";
    if (bytes > 0 && bytes <= CUDA_VECTOR_BYTES_MAX && parse(data, bytes, v, &wrong))
        return true;
    snprintf(why, capacity, "%s: wrong %s", path, wrong);
    return false;
}

void cuda_vector_free(cuda_vector *v)
{
    free(v->values);
    memset(v, 0, sizeof(*v));
}

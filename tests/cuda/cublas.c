/* cublas.c - cuBLAS, found at run time, so that nothing here is linked to it.
 * Source: the cuBLAS library's documentation (function signatures and values of enumerations). */
#include "cuda/cublas.h"

#include "base/half.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OP_N = 0, OP_T = 1, R_32F = 0, R_16F = 2, COMPUTE_32F = 68, GEMM_DEFAULT = -1 };

static struct {
    void *handle;
    int (*create)(void **handle);
    int (*gemm)(void *handle, int transa, int transb, int m, int n, int k, const void *alpha, const void *a, int atype, int lda,
                const void *b, int btype, int ldb, const void *beta, void *c, int ctype, int ldc, int compute, int algo);
} cublas;

static bool find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

bool cuda_cublas_open(char *why, size_t capacity)
{
    static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so",
                                        "/usr/local/cuda/lib64/libcublas.so"};
    void *library = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(why, capacity, "no cuBLAS: %s", dlerror());
        return false;
    }
    if (!find(library, "cublasCreate_v2", &cublas.create) || !find(library, "cublasGemmEx", &cublas.gemm) ||
        cublas.create(&cublas.handle) != 0) {
        snprintf(why, capacity, "cuBLAS is there, but gives no handle");
        return false;
    }
    return true;
}

/* Column-major, as cuBLAS sees it: y [n, rows] = (W [k, n])^T x [k, rows]. */
bool cuda_cublas_run(const cuda_kernels *kernels, const cuda_case *c, const cuda_inputs *in, float *out)
{
    pm_assert(c->op == CUDA_MATMUL && c->type == PM_DTYPE_F16 && c->half_x && !c->option);
    const uint64_t out_bytes = (uint64_t)c->rows * c->n * 4;
    const float one = 1.0f, zero = 0.0f;
    uint16_t *half = malloc(in->x_count * 2);
    void *w = kernels->alloc(in->blocks_bytes), *x = kernels->alloc(in->x_count * 2), *y = kernels->alloc(out_bytes);
    bool ran = half != NULL && w != NULL && x != NULL && y != NULL;
    for (uint64_t i = 0; i < in->x_count && ran; i++)
        half[i] = pm_f16_from_f32(in->x[i]);
    ran = ran && kernels->put(w, in->blocks, in->blocks_bytes) && kernels->put(x, half, in->x_count * 2) &&
          cublas.gemm(cublas.handle, OP_T, OP_N, (int)c->n, (int)c->rows, (int)c->k, &one, w, R_16F, (int)c->k, x, R_16F,
                      (int)c->k, &zero, y, R_32F, (int)c->n, COMPUTE_32F, GEMM_DEFAULT) == 0 &&
          kernels->get(out, y, out_bytes);
    free(half);
    kernels->release(w);
    kernels->release(x);
    kernels->release(y);
    return ran;
}

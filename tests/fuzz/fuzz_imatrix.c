/* tests/fuzz/fuzz_imatrix.c - any bytes as an importance matrix, of either form.
 *
 * Held: what an opened one has is found under its name, finite and not negative. */
#include "gguf/imatrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a", "blk.0.attn_q.weight", "blk.0.ffn_down_exps.weight"};
    pm_imatrix *m = NULL;
    if (pm_imatrix_open_memory(data, size, "fuzz", &m) != PM_OK)
        return 0;
    volatile size_t len = strlen(pm_imatrix_dataset(m));
    (void)len;
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
        for (uint64_t k = 1; k <= 64; k++) {
            const float *importance = NULL;
            if (pm_imatrix_find(m, names[n], k, k % 3 + 1, &importance) != PM_OK || importance == NULL)
                continue;
            for (uint64_t i = 0; i < k * (k % 3 + 1); i++)
                if (!(importance[i] >= 0.0f && isfinite(importance[i]))) {
                    fprintf(stderr, "%s: value %llu is %g\n", names[n], (unsigned long long)i, (double)importance[i]);
                    abort();
                }
        }
    pm_imatrix_close(m);
    return 0;
}

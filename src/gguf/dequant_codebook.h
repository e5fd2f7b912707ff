/* gguf/dequant_codebook.h - blocks of the codebook types to values, for dequant.c. Floor 1. */
#ifndef PM_GGUF_DEQUANT_CODEBOOK_H
#define PM_GGUF_DEQUANT_CODEBOOK_H

/* One block, at any byte, to 256 values. */
void pm_dequant_iq1_s(const void *block, float *y);
void pm_dequant_iq1_m(const void *block, float *y);
void pm_dequant_iq2_xxs(const void *block, float *y);
void pm_dequant_iq2_xs(const void *block, float *y);
void pm_dequant_iq2_s(const void *block, float *y);
void pm_dequant_iq3_xxs(const void *block, float *y);
void pm_dequant_iq3_s(const void *block, float *y);

#endif /* PM_GGUF_DEQUANT_CODEBOOK_H */

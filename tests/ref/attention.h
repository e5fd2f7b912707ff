/* ref/attention.h - the reference of attention is the one that `pumice verify` has, too. */
#ifndef PM_TEST_REF_ATTENTION_H
#define PM_TEST_REF_ATTENTION_H

#include "verify/ref_attention.h"

#endif /* PM_TEST_REF_ATTENTION_H */

/* base/hash.h - non-cryptographic hashes. Floor 0. */
#ifndef PM_BASE_HASH_H
#define PM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define PM_HASH_SEED UINT64_C(0xcbf29ce484222325)

/* 64-bit FNV-1a over bytes; chain calls by passing the last result as seed.
 * Source: G. Fowler, L. C. Noll, K.-P. Vo, IETF draft-eastlake-fnv. */
static inline uint64_t pm_hash64(const void *data, size_t bytes, uint64_t seed)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++)
        seed = (seed ^ p[i]) * UINT64_C(0x100000001b3);
    return seed;
}

/* Mixes one 64-bit word so that every input bit reaches every output bit.
 * Source: S. Vigna, splitmix64, public domain reference. */
static inline uint64_t pm_mix64(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

#endif /* PM_BASE_HASH_H */

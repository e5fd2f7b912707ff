/* kv/prefix.c - what a page's content is called. */
#include "kv/prefix.h"

#include "base/clock.h"
#include "base/hash.h"

#include <string.h>
#include <unistd.h>

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void rounds(uint64_t v[4], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate_left(v[1], 13) ^ v[0];
        v[3] = rotate_left(v[3], 16) ^ v[2];
        v[0] = rotate_left(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate_left(v[1], 17) ^ v[2];
        v[3] = rotate_left(v[3], 21) ^ v[0];
        v[2] = rotate_left(v[2], 32);
    }
}

static void absorb(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
}

/* Up to 8 bytes as a little-endian number. */
static uint64_t load(const unsigned char *p, size_t bytes)
{
    uint64_t word = 0;
    for (size_t i = bytes; i-- > 0;)
        word = word << 8 | p[i];
    return word;
}

static void begin(uint64_t v[4], pm_prefix_hash key)
{
    v[0] = key.word[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = key.word[1] ^ UINT64_C(0x646f72616e646f6d) ^ 0xee;
    v[2] = key.word[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = key.word[1] ^ UINT64_C(0x7465646279746573);
}

/* `tail`: the bytes after the last whole word, and the length's low byte on top. */
static pm_prefix_hash end(uint64_t v[4], uint64_t tail)
{
    pm_prefix_hash out;
    absorb(v, tail);
    v[2] ^= 0xee;
    rounds(v, 4);
    out.word[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
    v[1] ^= 0xdd;
    rounds(v, 4);
    out.word[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
    return out;
}

pm_prefix_hash pm_prefix_siphash(pm_prefix_hash key, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    uint64_t v[4];
    begin(v, key);
    for (size_t i = 0; i + 8 <= bytes; i += 8)
        absorb(v, load(p + i, 8));
    const size_t rest = bytes % 8;
    return end(v, (uint64_t)bytes << 56 | (rest > 0 ? load(p + bytes - rest, rest) : 0));
}

pm_prefix_hash pm_prefix_key_draw(void)
{
    pm_prefix_hash key;
    if (getentropy(&key, sizeof(key)) != 0) { /* a kernel without it: as good as the clock is fine */
        key.word[0] = pm_mix64(pm_clock_ns());
        key.word[1] = pm_mix64(key.word[0] ^ (uint64_t)getpid());
    }
    return key;
}

pm_prefix_hash pm_prefix_root(pm_prefix_hash key, uint32_t adapter, const void *salt, size_t bytes)
{
    const pm_prefix_hash tenant = pm_prefix_siphash(key, salt, bytes);
    const uint64_t words[3] = {tenant.word[0], tenant.word[1], (uint64_t)adapter << 1 | (bytes > 0)};
    return pm_prefix_siphash(key, words, sizeof(words));
}

/* The same as pm_prefix_siphash() of parent and tokens in a row, each as little-endian words. */
pm_prefix_hash pm_prefix_next(pm_prefix_hash key, pm_prefix_hash parent, const int32_t *tokens, uint32_t count)
{
    uint64_t v[4];
    begin(v, key);
    absorb(v, parent.word[0]);
    absorb(v, parent.word[1]);
    for (uint32_t i = 0; i + 2 <= count; i += 2)
        absorb(v, (uint32_t)tokens[i] | (uint64_t)(uint32_t)tokens[i + 1] << 32);
    const uint64_t length = (uint64_t)(16 + 4 * (count & 0x3f)) << 56;
    return end(v, length | (count % 2 != 0 ? (uint32_t)tokens[count - 1] : 0));
}

// kv.glsl - where things are in a KV page, as src/op/kv_layout.h lays it out
//
// KV_<type> names the type; KV_HEADS, KV_HEAD_DIM and KV_PAGE (tokens) are the includer's.
// All offsets are in bytes from the start of a page.
#ifndef KV_GLSL
#define KV_GLSL

#if defined(KV_F32)
#define KV_PIECE 4u                // elements in 16 bytes
#elif defined(KV_F16)
#define KV_PIECE 8u
#elif defined(KV_Q8_0)
#define KV_PIECE 16u
#define KV_SCALES
#elif defined(KV_Q4_0)
#define KV_PIECE 32u
#define KV_SCALES
#else
#error "no KV type"
#endif
#define KV_BLOCK 32u               // elements that share a scale

// Bytes of K, or of V, of one head.
uint kv_head_bytes()
{
    return KV_HEAD_DIM / KV_PIECE * KV_PAGE * 16u;
}

uint k_offset(uint kv_head)
{
    return kv_head * kv_head_bytes();
}

uint v_offset(uint kv_head)
{
    return (KV_HEADS + kv_head) * kv_head_bytes();
}

uint scale_offset(uint kv_head)
{
    return 2u * KV_HEADS * kv_head_bytes() + kv_head * (KV_HEAD_DIM / KV_BLOCK) * KV_PAGE * 4u;
}
#endif

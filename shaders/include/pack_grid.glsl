// pack_grid.glsl - the codebook types: blocks {f16 d; uint32 words[W]}, two to 2 W + 1 scale words, the
// last with both d; IQ1_M, whose blocks have no d of their own, one to W. The words stay as in the file.
layout(constant_id = PM_SPEC_PACK_BYTES) const uint BYTES = 56;
const uint WORDS = BYTES / 4;
const bool HAS_D = BYTES % 4 == 2;
const uint UNIT = HAS_D ? 512 : 256;

void pack_unit(uint unit)
{
    const uint blocks = UNIT / 256, base = unit * (blocks * WORDS + uint(HAS_D));
    uint d = 0;
    for (uint b = 0; b < blocks && unit * UNIT + b * 256 < p.k; b++) {
        const uint at = (unit * blocks + b) * BYTES;
        if (HAS_D)
            d |= raw_u16(at) << (16 * b);
        for (uint i = 0; i < WORDS; i++)
            put_scale(base + b * WORDS + i, raw_u32(at + uint(HAS_D) * 2 + 4 * i));
    }
    if (HAS_D)
        put_scale(base + blocks * WORDS, d);
}

#!/usr/bin/env python3
"""Quantised weights of any bit pattern: GGUF through `pumice logits` against transformers.

  hf_quant.py --pumice PROGRAM [--models N] [--seed S] [--type T] [--tokens N]
  hf_quant.py --record OUT_DIR [--seed S]

Every matrix of a random Llama or Qwen2 model gets a tensor type of its own among those
that its rows allow, mixed in one file, and blocks of random bits: all scales, negative and
subnormal ones too. The gguf package expands the blocks, transformers runs the expansion in
float32. NMSE of the logits with f32 KV below 1e-9: a kernel that reads a block reads it
exactly, and no activation is rounded. Exits with 77 where torch, transformers or gguf is
absent. The second form writes OUT_DIR/mixed-quants and OUT_DIR/more-quants as hf_models.py does (tests/data/hf).
"""
import argparse
import os
import sys
import tempfile

import hf_models
import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from pumice_logits import nmse, pumice_logits

NAMES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K", "Q6_K", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q5_K", "IQ4_NL",
         "IQ4_XS", "MXFP4", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"]
TYPES = {name: Type[name] for name in NAMES}


def scales(rng, shape, typical):
    """float16 around `typical`, of both signs, as bytes [shape, 2]."""
    values = typical * rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
    return values.astype("<f2")[..., None].view(np.uint8)


def with_minimum(rng, shape, typical, ratio):
    """d and its companion `ratio` times as great, which moves the mean of the values to about 0."""
    d = np.abs(scales(rng, shape, typical).view("<f2"))
    return [d.view(np.uint8), (d.astype(np.float32) * ratio).astype("<f2").view(np.uint8)]


def bits(rng, shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def random_blocks(rng, dtype, shape, typical):
    """uint8 [shape, bytes of a block]: any bits, and scales around `typical`."""
    size = gguf.GGML_QUANT_SIZES[dtype][1]

    def rest(used):
        return bits(rng, (*shape, size - used))

    if dtype in (Type.Q4_1, Type.Q5_1):    # d, m f16, then the quants: d q + m
        parts = [*with_minimum(rng, shape, typical, -7.5 if dtype == Type.Q4_1 else -15.5), rest(4)]
    elif dtype in (Type.Q4_K, Type.Q5_K):  # d, dmin f16, 6-bit scales and minima, quants: d s q - dmin m
        parts = [*with_minimum(rng, shape, typical, 7.5 if dtype == Type.Q4_K else 15.5), rest(4)]
    elif dtype == Type.Q2_K:               # 4-bit scales and minima, quants, d, dmin
        parts = [rest(4), *with_minimum(rng, shape, typical, 1.5)]
    elif dtype in (Type.Q3_K, Type.Q6_K):  # d comes last
        parts = [rest(2), scales(rng, shape, typical)]
    elif dtype == Type.MXFP4:              # e: 2^(e - 127)
        parts = [np.rint(127 + np.log2(typical) + rng.uniform(-1, 1, shape)).astype(np.uint8)[..., None], rest(1)]
    elif dtype == Type.IQ1_M:              # d in the high nibbles of the last four 16-bit words
        block, d = rest(0), scales(rng, shape, typical).view("<u2")
        for i in range(4):
            block[..., 49 + 2 * i] = block[..., 49 + 2 * i] & 15 | (d[..., 0] >> (4 * i) & 15) << 4
        parts = [block]
    else:                                  # d comes first
        parts = [scales(rng, shape, typical), rest(2)]
    out = np.concatenate(parts, axis=-1)
    assert out.shape == (*shape, size)
    return out


UNIT = {}  # type: deviation of the values of random_blocks(typical=1)


def blocks(rng, dtype, rows, k, deviation):
    """uint8 [rows, bytes of a row] whose values have about this deviation."""
    if dtype not in UNIT:
        UNIT[dtype] = gguf.quants.dequantize(random_blocks(np.random.default_rng(0), dtype, (1000,), 1.0), dtype).std()
    items = gguf.GGML_QUANT_SIZES[dtype][0]
    return random_blocks(rng, dtype, (rows, k // items), deviation / UNIT[dtype]).reshape(rows, -1)


def encode(rng, name, weights):
    """Raw bytes of a matrix [rows, k] in the type called `name`, or blocks like it."""
    dtype = TYPES[name]
    if name in ("F32", "F16", "BF16"):
        return gguf.quants.quantize(weights, dtype)
    return blocks(rng, dtype, *weights.shape, float(weights.std()))


def legal(name, k):
    return k % gguf.GGML_QUANT_SIZES[TYPES[name]][0] == 0


def separate(weight, heads):
    """What hf_models.interleave() does, undone."""
    rows = weight.shape[0] // heads
    return weight.reshape(heads, rows // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def quantize(model, rng, choose):
    """Replaces every matrix by what its blocks expand to; returns GGUF name -> (bytes, type).

    choose(GGUF name, row length): a key of TYPES."""
    config, raw = model.config, {}
    swap = config.model_type != "qwen2"
    for key, p in model.named_parameters():
        if p.dim() != 2:
            continue
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(key.split(".")[-2])
        value = p.detach().numpy()
        if swap and heads:
            value = hf_models.interleave(value, heads)
        name = choose(hf_models.gguf_name(key), value.shape[1])
        data = encode(rng, name, np.ascontiguousarray(value))
        raw[hf_models.gguf_name(key)] = (data, TYPES[name])
        value = gguf.quants.dequantize(data, TYPES[name]).reshape(value.shape)
        with torch.no_grad():
            p.copy_(torch.from_numpy(separate(value, heads) if swap and heads else value))
    return raw


def config_of(rng):
    heads, kv_heads, dim = [(8, 2, 256), (4, 4, 512), (9, 3, 288), (6, 2, 96), (8, 4, 512), (4, 1, 256)][rng.integers(6)]
    shape = dict(hf_models.SMALL, num_hidden_layers=int(rng.integers(1, 4)), hidden_size=dim,
                 intermediate_size=int(rng.choice([256, 320, 512, 768, 100])), num_attention_heads=heads,
                 num_key_value_heads=kv_heads, tie_word_embeddings=bool(rng.integers(2)),
                 rope_parameters=hf_models.plain(10000.0), rms_norm_eps=1e-5)
    if rng.integers(3) == 0:
        return hf_models.Qwen2ForCausalLM, hf_models.Qwen2Config(**shape)
    return hf_models.LlamaForCausalLM, hf_models.LlamaConfig(**shape)


def check(pumice, seed, count, only):
    rng = np.random.default_rng(seed)
    cls, config = config_of(rng)
    config._attn_implementation = "eager"
    model = cls(config).to(torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    hf_models.randomize(model, generator)

    def choose(_, k):
        if only and legal(only, k):
            return only
        return rng.choice([name for name in TYPES if legal(name, k)])

    raw = quantize(model, rng, choose)
    tokens = [1] + torch.randint(3, hf_models.VOCAB, (count - 1,), generator=generator).tolist()
    expected = hf_models.run(model, tokens).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        hf_models.write_gguf(path, f"quantised {seed}", model, raw)
        got = pumice_logits(pumice, path, tokens, ["--kv-type", "f32"])
    error = nmse(got, expected)
    used = ", ".join(f"{sum(t == dtype for _, t in raw.values())} {name}" for name, dtype in TYPES.items()
                     if any(t == dtype for _, t in raw.values()))
    print(f"{'ok  ' if error < 1e-9 else 'FAIL'} seed {seed}: {hf_models.describe(config)}: {used}: "
          f"std {expected.std():.2f}, NMSE {error:.2e}", flush=True)
    return bool(error < 1e-9)


RECORDED = {  # tests/data/hf/NAME: hidden_size, intermediate_size, layers, and the types, several in what one dispatch may read
    "mixed-quants": (256, 288, 1, {
        "token_embd": "Q6_K", "attn_q": "Q8_0", "attn_k": "Q4_0", "attn_v": "F16", "attn_output": "BF16",
        "ffn_gate": "Q4_K", "ffn_up": "Q6_K", "ffn_down": "Q8_0", "output": "Q4_K"}),
    "more-quants": (256, 256, 2, {
        "token_embd": "IQ2_XS", "blk.0.attn_q": "Q2_K", "blk.0.attn_k": "Q5_0", "blk.0.attn_v": "Q3_K",
        "blk.0.attn_output": "Q5_K", "blk.0.ffn_gate": "IQ4_NL", "blk.0.ffn_up": "IQ4_XS", "blk.0.ffn_down": "Q5_1",
        "blk.1.attn_q": "IQ1_S", "blk.1.attn_k": "IQ1_M", "blk.1.attn_v": "Q4_1", "blk.1.attn_output": "IQ2_XXS",
        "blk.1.ffn_gate": "MXFP4", "blk.1.ffn_up": "IQ3_XXS", "blk.1.ffn_down": "IQ2_S", "output": "IQ3_S"}),
}


def record(out_dir, seed):
    for name, (hidden, intermediate, layers, types) in RECORDED.items():
        config = hf_models.LlamaConfig(**hf_models.SMALL | dict(num_hidden_layers=layers), hidden_size=hidden,
                                       intermediate_size=intermediate, num_attention_heads=4, num_key_value_heads=2,
                                       tie_word_embeddings=False, rope_parameters=hf_models.plain(10000.0))
        rng = np.random.default_rng(seed)
        hf_models.MODELS[name] = (hf_models.LlamaForCausalLM, config)

        def choose(tensor, _, types=types):
            stem = tensor.removesuffix(".weight")
            return types.get(stem) or types[stem.split(".")[-1]]

        hf_models.make(name, out_dir, seed, 96, lambda model, rng=rng, choose=choose: quantize(model, rng, choose),
                       f"tests/oracle/hf_quant.py --record tests/data/hf --seed {seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pumice", default="pumice")
    parser.add_argument("--record", metavar="OUT_DIR")
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--type", choices=list(TYPES))
    parser.add_argument("--tokens", type=int, default=40)
    args = parser.parse_args()
    if args.record:
        record(args.record, args.seed)
        return 0
    if not os.access(args.pumice, os.X_OK):
        print(f"skipped: {args.pumice} is not there")
        return 77
    torch.set_num_threads(1)
    good = [check(args.pumice, args.seed + i, args.tokens, args.type) for i in range(args.models)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

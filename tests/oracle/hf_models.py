#!/usr/bin/env python3
"""Tiny random models in Hugging Face transformers: F32 GGUF files and the logits they must give.

  hf_models.py OUT_DIR [--seed S] [--only NAME,...] [--tokens N]

For each model of MODELS writes OUT_DIR/NAME/:
  model.gguf      every tensor F32, a made-up vocabulary
  tokens.bin      int32 [N], little endian, token 0 is BOS
  logits.bin      float32 [N, vocab]: what transformers gives, eager attention in float32
  PROVENANCE      how it was made, and how far float64 and rounded K and V are from it

tests/data/hf was made by this script; tests/model/test_hf_logits.c reads it, hf_live.py
runs it again with other seeds. Needs torch, transformers (5.x), gguf and numpy:
tests/oracle/setup.sh makes such a venv. Exits with 77 where they are absent.

Q and K rows of `llama` files are reordered from halves (i, i + d/2) to neighbours (2i,
2i + 1), because that architecture rotates neighbours in GGUF; `qwen2` files keep halves.
"""
import argparse
import os
import random
import sys

# This folder last: tokenizers.py here is not the package that transformers imports.
sys.path.sort(key=lambda p: os.path.abspath(p or ".") == os.path.dirname(os.path.abspath(__file__)))

try:
    import gguf
    import numpy as np
    import torch
    import transformers
    from transformers import (LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, Qwen2Config,
                              Qwen2ForCausalLM)
except ImportError as missing:
    print(f"skipped: {missing}; tests/oracle/setup.sh venv DIR makes a venv that has it, PUMICE_TEST_VENV=DIR names it")
    sys.exit(77)

VOCAB = 160
SMALL = dict(vocab_size=VOCAB, num_hidden_layers=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2,
             pad_token_id=None, attention_dropout=0.0)


def plain(theta):
    return {"rope_type": "default", "rope_theta": theta}


# name: (model class, configuration). Every one differs from the others in what its name says; sizes that are no
# multiple of 32 or 64, groups of 1 to 4 query heads, and an epsilon that is large enough to be missed come along.
MODELS = {
    "llama-gqa": (LlamaForCausalLM, LlamaConfig(
        **SMALL, hidden_size=64, intermediate_size=172, num_attention_heads=4, num_key_value_heads=2,
        rms_norm_eps=1e-5, tie_word_embeddings=False, rope_parameters=plain(10000.0))),
    "llama-tied": (LlamaForCausalLM, LlamaConfig(
        **SMALL, hidden_size=96, intermediate_size=88, num_attention_heads=6, num_key_value_heads=2,
        rms_norm_eps=1e-6, tie_word_embeddings=True, rope_parameters=plain(500000.0))),
    "llama-rope3": (LlamaForCausalLM, LlamaConfig(
        **SMALL, hidden_size=64, intermediate_size=96, num_attention_heads=2, num_key_value_heads=1,
        rms_norm_eps=1e-5, tie_word_embeddings=True, rope_parameters={
            "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64})),
    "llama-linear": (LlamaForCausalLM, LlamaConfig(
        **SMALL, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=1,
        rms_norm_eps=1e-5, tie_word_embeddings=False, rope_parameters={
            "rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0})),
    "llama-headdim": (LlamaForCausalLM, LlamaConfig(
        **SMALL, hidden_size=56, intermediate_size=72, num_attention_heads=4, num_key_value_heads=2, head_dim=40,
        rms_norm_eps=0.02, tie_word_embeddings=False, rope_parameters=plain(10000.0))),
    "llama-biases": (LlamaForCausalLM, LlamaConfig(
        **SMALL, hidden_size=48, intermediate_size=68, num_attention_heads=3, num_key_value_heads=3,
        attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5, tie_word_embeddings=False,
        rope_parameters=plain(10000.0))),
    "mistral-window": (MistralForCausalLM, MistralConfig(
        **SMALL, hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2,
        sliding_window=21, rms_norm_eps=1e-5, tie_word_embeddings=False, rope_parameters=plain(10000.0))),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(
        **SMALL, hidden_size=64, intermediate_size=104, num_attention_heads=4, num_key_value_heads=2,
        rms_norm_eps=1e-6, tie_word_embeddings=False, rope_parameters=plain(1000000.0))),
}


def random_model(seed):
    """A model class and configuration of any legal shape, for hf_live.py."""
    r = random.Random(seed)
    kv_heads, group, head_dim = r.randint(1, 4), r.randint(1, 6), 8 * r.randint(2, 12)
    if r.random() < 0.15:
        kv_heads, group, head_dim = 1, r.randint(1, 2), r.choice([128, 192, 256])
    heads = kv_heads * group
    dim = heads * r.randint(-(-24 // heads), max(160 // heads, -(-24 // heads)))  # transformers wants a multiple
    cls = r.choice([LlamaForCausalLM, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM])
    if cls is Qwen2ForCausalLM:
        dim = heads * head_dim
    rope = plain(r.choice([1000.0, 10000.0, 1000000.0]))
    if cls is LlamaForCausalLM and r.random() < 0.3:
        rope = {"rope_type": "linear", "rope_theta": 10000.0, "factor": r.uniform(1.0, 8.0)}
    elif cls is LlamaForCausalLM and r.random() < 0.3:
        rope = dict(MODELS["llama-rope3"][1].rope_parameters, original_max_position_embeddings=r.choice([32, 64, 100]))
    shape = dict(SMALL, num_hidden_layers=r.randint(1, 3), hidden_size=dim, intermediate_size=r.randint(16, 240),
                 num_attention_heads=heads, num_key_value_heads=kv_heads, rope_parameters=rope,
                 rms_norm_eps=r.choice([1e-6, 1e-5, 0.01]), tie_word_embeddings=r.random() < 0.4)
    if cls is Qwen2ForCausalLM:
        return cls, Qwen2Config(**shape)
    if cls is MistralForCausalLM:
        return cls, MistralConfig(**shape, head_dim=head_dim, sliding_window=r.randint(1, 120))
    return cls, LlamaConfig(**shape, head_dim=head_dim, attention_bias=r.random() < 0.3, mlp_bias=r.random() < 0.3)


def describe(config):
    rope = config.rope_parameters["rope_type"]
    window = getattr(config, "sliding_window", None)
    return (f"{config.model_type} dim {config.hidden_size}, hidden {config.intermediate_size}, "
            f"{config.num_hidden_layers} layers, {config.num_attention_heads}/{config.num_key_value_heads} heads of "
            f"{head_dim_of(config)}, rope {rope}" + (f", window {window}" if window else "")
            + (", tied" if config.tie_word_embeddings else ""))


def head_dim_of(config):
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def randomize(model, generator):
    """Unit-variance activations, attention scores with a deviation near 2, logits with one near 2."""
    gain = {"q_proj": 1.5, "k_proj": 1.5, "v_proj": 1.2, "o_proj": 1.2, "lm_head": 2.0}
    tied = model.config.tie_word_embeddings
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name:
                p.copy_(0.5 + torch.rand(p.shape, generator=generator))
            elif name.endswith(".bias"):
                p.copy_(0.5 * noise)
            elif "embed_tokens" in name:
                p.copy_(noise * (2.0 / p.shape[1] ** 0.5 if tied else 1.0))
            else:
                p.copy_(noise * next((g for key, g in gain.items() if key in name), 1.0) / p.shape[1] ** 0.5)
            p.copy_(p.to(torch.bfloat16))  # still F32 in the file; half of its bytes are zero


def interleave(weight, heads):
    """Rows of each head from (first half, second half) to neighbouring pairs."""
    rows = weight.shape[0] // heads
    return weight.reshape(heads, 2, rows // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def llama3_factors(config):
    """What each frequency is divided by: the definition published with Llama 3.1."""
    rope, dim = config.rope_parameters, head_dim_of(config)
    low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
    high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
    factors = []
    for i in range(dim // 2):
        wavelength = 2 * np.pi * rope["rope_theta"] ** (2 * i / dim)
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(rope["factor"])
        else:
            smooth = ((rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"])
                      / (rope["high_freq_factor"] - rope["low_freq_factor"]))
            factors.append(1.0 / ((1.0 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)


NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name):
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in fixed:
        return fixed[name]
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{kind}"


def write_gguf(path, name, model, raw=None):
    """raw: GGUF name -> (bytes, type) of the tensors that are not to be written as F32."""
    config = model.config
    arch = "qwen2" if isinstance(model, Qwen2ForCausalLM) else "llama"
    w = gguf.GGUFWriter(path, arch)
    w.add_name(f"random {name}")
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    w.add_vocab_size(config.vocab_size)
    rope, dim = config.rope_parameters, head_dim_of(config)
    w.add_rope_freq_base(rope["rope_theta"])
    w.add_rope_dimension_count(dim)
    if dim != config.hidden_size // config.num_attention_heads:
        w.add_key_length(dim)
        w.add_value_length(dim)
    if rope["rope_type"] == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_factors(config))
    if isinstance(model, MistralForCausalLM):
        w.add_sliding_window(config.sliding_window)
    letters = [chr(0x21 + i) for i in range(94)]
    pieces = ["<unk>", "<s>", "</s>", "\u2581"] + letters + ["\u2581" + c for c in letters[: VOCAB - 98]]
    w.add_tokenizer_model("llama")
    w.add_token_list(pieces)
    w.add_token_scores([0.0] * 3 + [-float(i) for i in range(VOCAB - 3)])
    w.add_token_types([2, 3, 3] + [1] * (VOCAB - 3))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_bos_token(True)
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if raw and gguf_name(key) in raw:
            data, dtype = raw[gguf_name(key)]
            w.add_tensor(gguf_name(key), data, raw_dtype=dtype)
            continue
        value = value.to(torch.float32).numpy()
        if arch == "llama" and (".q_proj." in key or ".k_proj." in key):
            value = interleave(value, config.num_attention_heads if ".q_proj." in key else config.num_key_value_heads)
        w.add_tensor(gguf_name(key), np.ascontiguousarray(value))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def nmse(got, expected):
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    return float(((got - expected) ** 2).sum() / (expected ** 2).sum())


def run(model, tokens):
    with torch.no_grad():
        return model(torch.tensor(tokens, dtype=torch.long)[None], use_cache=False).logits[0]


class RoundedKV:
    """Attention whose K and V went through float16, to see what that alone costs."""
    def __enter__(self):
        self.modules = [sys.modules[cls.__module__] for cls in (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM)]
        self.plain = [m.eager_attention_forward for m in self.modules]

        def rounded(plain):
            return lambda module, q, k, v, *args, **kwargs: plain(
                module, q, k.to(torch.float16).to(k.dtype), v.to(torch.float16).to(v.dtype), *args, **kwargs)
        for m, f in zip(self.modules, self.plain):
            m.eager_attention_forward = rounded(f)

    def __exit__(self, *_):
        for m, f in zip(self.modules, self.plain):
            m.eager_attention_forward = f


def make(name, out_dir, seed, count, change=None, command=None):
    """Writes OUT_DIR/NAME; returns (path, tokens, logits, NMSE that K and V in float16 cost).

    name: of MODELS, or "random": any shape. change(model): changes it and returns `raw` of write_gguf()."""
    cls, config = MODELS[name] if name in MODELS else random_model(seed)
    generator = torch.Generator().manual_seed(seed * 1000 + (list(MODELS) + ["random"]).index(name))
    config._attn_implementation = "eager"
    model = cls(config).to(torch.float32).eval()
    randomize(model, generator)
    raw = change(model) if change else None
    tokens = [1] + torch.randint(3, VOCAB, (count - 1,), generator=generator).tolist()
    logits = run(model, tokens).numpy()
    with RoundedKV():
        rounded = nmse(run(model, tokens).numpy(), logits)
    os.makedirs(os.path.join(out_dir, name), exist_ok=True)
    path = os.path.join(out_dir, name, "model.gguf")
    write_gguf(path, name, model, raw)
    np.array(tokens, "<i4").tofile(os.path.join(out_dir, name, "tokens.bin"))
    logits.astype("<f4").tofile(os.path.join(out_dir, name, "logits.bin"))
    double = nmse(run(model.to(torch.float64), tokens).numpy(), logits)
    with open(os.path.join(out_dir, name, "PROVENANCE"), "w") as f:
        f.write(f"{cls.__name__}, random weights, {count} tokens; made by:\n"
                f"  {command or f'tests/oracle/hf_models.py tests/data/hf --seed {seed}'}\n"
                f"torch {torch.__version__}, transformers {transformers.__version__}, numpy {np.__version__}, "
                f"gguf {__import__('importlib.metadata').metadata.version('gguf')}\n"
                f"standard deviation of the logits: {logits.std():.3f}\n"
                f"NMSE of transformers in float64 against these logits: {double:.1e}\n"
                f"NMSE with K and V rounded to float16 in transformers: {rounded:.1e}\n")
    print(f"{name}: {describe(config)}: std {logits.std():.2f}, float64 {double:.1e}, f16 KV {rounded:.1e}, "
          f"{os.path.getsize(path)} bytes", file=sys.stderr, flush=True)
    return path, tokens, logits, rounded


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(MODELS))
    parser.add_argument("--tokens", type=int, default=96)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.only.split(","):
        make(name, args.out_dir, args.seed, args.tokens)


if __name__ == "__main__":
    main()

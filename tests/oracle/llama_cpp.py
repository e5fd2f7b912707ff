#!/usr/bin/env python3
"""Seeded random `llama` models: `pumice logits` against llama.cpp's CPU backend.

  llama_cpp.py --pumice PROGRAM --make-model PROGRAM --harness PROGRAM
               [--peer DIR] [--only DIM-TYPE,...] [--seed S] [--positions N] [--keep DIR]

DIR (default $PUMICE_TEST_PEER) is where `tests/oracle/setup.sh peer DIR` put the libraries;
--harness is llama_peer.c, built. Every model has 32,000 words, grouped heads and one tensor
type. For each position of one sequence, f16 KV on both sides:

  NMSE of the logits   below 1e-6 for F32, 1e-5 for F16, 1e-4 for BF16, where llama.cpp
                       rounds activations to BF16 and Pumice does not (2.2e-5 was the worst),
                       below 1e-3 for quantised types, where it rounds them to 8 bits in
                       blocks (2.7e-4 was the worst of a position in 20 types)
  the greatest logit   is the same, except at near ties: where llama.cpp's own logit of the
                       token that Pumice prefers is within NEAR_TIE standard deviations
                       (of the position's logits) of its greatest

Exits with 77 and the reason where numpy or the libraries are absent.
"""
import argparse
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from pumice_logits import nmse, pumice_logits
except ImportError as missing:
    print(f"skipped: {missing}; tests/oracle/setup.sh venv DIR makes a venv that has it, PUMICE_TEST_VENV=DIR names it")
    sys.exit(77)

try:
    import gguf
except ImportError:
    gguf = None

VOCAB = 32000
SHAPES = {  # dim: hidden, layers, heads, KV heads
    288: (768, 4, 9, 3),    # head_dim 32; rows are no multiple of 256, so there are only types with blocks of 32
    768: (2048, 1, 12, 4),  # head_dim 64
}
BLOCK = {"F32": 1, "F16": 1, "BF16": 1, "Q8_0": 32, "Q4_0": 32, "Q4_1": 32, "Q5_0": 32, "Q5_1": 32, "IQ4_NL": 32, "MXFP4": 32, "Q2_K": 256,
         "Q3_K": 256, "Q4_K": 256, "Q5_K": 256, "Q6_K": 256, "IQ4_XS": 256, "IQ1_S": 256, "IQ1_M": 256, "IQ2_XXS": 256,
         "IQ2_XS": 256, "IQ2_S": 256, "IQ3_XXS": 256, "IQ3_S": 256}
NMSE_MAX = dict.fromkeys(BLOCK, 1e-3) | {"F32": 1e-6, "F16": 1e-5, "BF16": 1e-4}
NEAR_TIE = dict.fromkeys(BLOCK, 0.1) | {"F32": 0.01, "F16": 0.01, "BF16": 0.03}
EXACT_MAX = 1e-9  # against the expansion


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def find_libraries(folder):
    if not folder:
        skip("PUMICE_TEST_PEER is not set; tests/oracle/setup.sh peer DIR gets llama.cpp's libraries from npm")
    for pattern in ("", "bins/*", "node_modules/@node-llama-cpp/*/bins/*"):
        for path in sorted(glob.glob(os.path.join(folder, pattern))):
            if glob.glob(os.path.join(path, "libllama.*")):
                return path
    skip(f"no libllama.* below {folder}")


def make_model(program, path, dim, dtype, seed):
    hidden, layers, heads, kv_heads = SHAPES[dim]
    subprocess.run([program, path, "--dim", str(dim), "--hidden", str(hidden), "--layers", str(layers),
                    "--heads", str(heads), "--kv-heads", str(kv_heads), "--vocab", str(VOCAB), "--type", dtype,
                    "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)


def expand(source, path):
    """The same model with every tensor in F32."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            array = field.types[0] == gguf.GGUFValueType.ARRAY
            writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if array else None)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, values.reshape([int(n) for n in reversed(tensor.shape)]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def peer_logits(harness, libraries, model, tokens, folder, kv="f16"):
    tokens_path, out = os.path.join(folder, "tokens.bin"), os.path.join(folder, "peer.bin")
    np.array(tokens, "<i4").tofile(tokens_path)
    done = subprocess.run([harness, libraries, model, tokens_path, out, kv], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 77:
        skip(done.stdout.replace("skipped: ", "").strip())
    if done.returncode != 0:
        raise RuntimeError(f"{harness}: exit status {done.returncode}")
    return np.fromfile(out, "<f4").reshape(len(tokens), -1)


def compare(name, dtype, ours, peer):
    """True when they agree. Rows are positions."""
    errors = nmse(ours, peer, axis=1)
    rows = np.arange(len(peer))
    deviation = peer.std(axis=1)
    our_best, peer_best = ours.argmax(axis=1), peer.argmax(axis=1)
    gap = (peer[rows, peer_best] - peer[rows, our_best]) / deviation
    second = np.partition(peer, -2, axis=1)[:, -2]
    ties = int(((peer[rows, peer_best] - second) / deviation < NEAR_TIE[dtype]).sum())
    differ = int((our_best != peer_best).sum())
    ok = bool((errors < NMSE_MAX[dtype]).all() and (gap < NEAR_TIE[dtype]).all())
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {len(peer)} positions, logits' deviation {deviation.mean():.2f}, "
          f"NMSE median {np.median(errors):.1e} worst {errors.max():.1e} (bound {NMSE_MAX[dtype]:.0e}), "
          f"argmax differs at {differ} (gap at most {gap.max():.3f} deviations; {ties} near ties)", flush=True)
    return ok


def compare_expanded(name, ours, peer):
    errors = nmse(ours, peer, axis=1)
    ok = bool((errors < EXACT_MAX).all())
    print(f"{'ok  ' if ok else 'FAIL'} {name} against llama.cpp on its F32 expansion, f32 KV: NMSE median "
          f"{np.median(errors):.1e} worst {errors.max():.1e} (bound {EXACT_MAX:.0e})", flush=True)
    return ok


def main():
    names = [f"{dim}-{dtype}" for dim in SHAPES for dtype in BLOCK if dim % BLOCK[dtype] == 0]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pumice", required=True)
    parser.add_argument("--make-model", required=True)
    parser.add_argument("--harness", required=True)
    parser.add_argument("--peer", default=os.environ.get("PUMICE_TEST_PEER"))
    parser.add_argument("--only", default=",".join(names))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--positions", type=int, default=64)
    parser.add_argument("--keep", help="leave the models here, and use those that are here")
    args = parser.parse_args()
    libraries = find_libraries(args.peer)
    for program in (args.pumice, args.make_model, args.harness):
        if not os.access(program, os.X_OK):
            skip(f"{program} is not there")
    rng = np.random.default_rng(args.seed)
    tokens = [1] + rng.integers(259, VOCAB, args.positions - 1).tolist()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.only.split(","):
            dim, dtype = int(name.split("-")[0]), name.split("-")[1]
            if dim % BLOCK[dtype] != 0:
                print(f"     {name}: not a legal file, rows of {dim} are no multiple of {BLOCK[dtype]}")
                continue
            model = os.path.join(args.keep or folder, f"{name}-{args.seed}.gguf")
            if not os.path.exists(model):
                make_model(args.make_model, model, dim, dtype, args.seed)
            peer = peer_logits(args.harness, libraries, model, tokens, folder)
            bad += not compare(name, dtype, pumice_logits(args.pumice, model, tokens), peer)
            if gguf is None:
                print(f"     {name}: not expanded to F32, the gguf package is absent")
            else:
                expanded = os.path.join(folder, "expanded.gguf")
                expand(model, expanded)
                peer = peer_logits(args.harness, libraries, expanded, tokens, folder, "f32")
                ours = pumice_logits(args.pumice, model, tokens, ["--kv-type", "f32"])
                bad += not compare_expanded(name, ours, peer)
                os.remove(expanded)
            if not args.keep:
                os.remove(model)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

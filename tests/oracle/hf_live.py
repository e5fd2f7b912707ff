#!/usr/bin/env python3
"""New random models in Hugging Face transformers, as GGUF through `pumice logits`.

  hf_live.py --pumice PROGRAM [--seeds 2,3] [--only NAME,...] [--random N] [--tokens N]

What tests/model/test_hf_logits.c does with recorded logits, with weights that nobody has
seen before, and with N models of random shape. NMSE below 1e-9 with f32 KV; with f16 KV
below 1e-6, or below twice what rounding K and V to float16 costs inside transformers where
a model is more sensitive than that. Exits with 77 where torch or transformers is absent.
"""
import argparse
import os
import sys
import tempfile

import hf_models
import torch
from pumice_logits import nmse, pumice_logits


def check(pumice, name, seed, count):
    """How many of the two kinds of KV disagree."""
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        path, tokens, logits, rounding = hf_models.make(name, folder, seed, count)
        for kv, bound in (("f32", 1e-9), ("f16", max(1e-6, 2 * rounding))):
            error = nmse(pumice_logits(pumice, path, tokens, ["--kv-type", kv]), logits)
            bad += not error < bound
            print(f"{'ok  ' if error < bound else 'FAIL'} seed {seed} {name}, {kv} KV: NMSE {error:.2e}, "
                  f"bound {bound:.1e}", flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pumice", required=True)
    parser.add_argument("--seeds", default="2,3")
    parser.add_argument("--only", default=",".join(hf_models.MODELS))
    parser.add_argument("--random", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=96)
    args = parser.parse_args()
    if not os.access(args.pumice, os.X_OK):
        print(f"skipped: {args.pumice} is not there")
        return 77
    torch.set_num_threads(1)
    seeds = [int(seed) for seed in args.seeds.split(",")]
    bad = sum(check(args.pumice, name, seed, args.tokens) for seed in seeds for name in args.only.split(",") if name)
    bad += sum(check(args.pumice, "random", 1000 * seeds[0] + i, args.tokens) for i in range(args.random))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

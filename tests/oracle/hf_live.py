#!/usr/bin/env python3
"""New random models in Hugging Face transformers, as GGUF through `pumice logits`.

  hf_live.py --pumice PROGRAM [--seeds 2,3] [--only NAME,...]

What tests/model/test_hf_logits.c does with recorded logits, with models that nobody has
seen before: NMSE below 1e-9 with f32 KV; with f16 KV below 1e-6, or below 4 times what
rounding K and V to float16 costs inside transformers where a model is more sensitive.
Exits with 77 where torch or transformers is absent.
"""
import argparse
import re
import subprocess
import sys
import tempfile
import os

import hf_models
import torch
from pumice_logits import nmse, pumice_logits


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pumice", required=True)
    parser.add_argument("--seeds", default="2,3")
    parser.add_argument("--only", default=",".join(hf_models.MODELS))
    parser.add_argument("--tokens", type=int, default=96)
    args = parser.parse_args()
    if not os.access(args.pumice, os.X_OK):
        print(f"skipped: {args.pumice} is not there")
        return 77
    torch.set_num_threads(1)
    bad = 0
    for seed in map(int, args.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            for name in args.only.split(","):
                path, tokens, logits = hf_models.make(name, folder, seed, args.tokens)
                with open(os.path.join(folder, name, "PROVENANCE")) as f:
                    rounding = float(re.search(r"rounded to float16 in transformers: (\S+)", f.read()).group(1))
                for kv, bound in (("f32", 1e-9), ("f16", max(1e-6, 4 * rounding))):
                    error = nmse(pumice_logits(args.pumice, path, tokens, ["--kv-type", kv]), logits)
                    ok = error < bound
                    bad += not ok
                    print(f"{'ok  ' if ok else 'FAIL'} seed {seed} {name}, {kv} KV: NMSE {error:.2e}, "
                          f"bound {bound:.1e}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""pm_dequant_row() against the gguf package, bit for bit, on blocks of random bits.

  dequant.py --program DEQUANT_BLOCKS [--seed S] [--blocks N] [--only TYPE,...]
  dequant.py --record

Every type that both know, N blocks each: all scales, negative, subnormal and infinite ones
too; a value that is NaN on both sides agrees. F64 and the integers are no weights. Where the
gguf package is absent: 77 and the reason. The second form prints the rows of
tests/unit/test_dequant.c: what the gguf package makes of blocks that the test makes too.
"""
import argparse
import os
import subprocess
import sys

try:
    import gguf
    import numpy as np
except ImportError as missing:
    print(f"skipped: {missing}; tests/oracle/setup.sh venv DIR makes a venv that has it, PUMICE_TEST_VENV=DIR names it")
    sys.exit(77)

NAMES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
         "IQ4_XS", "MXFP4", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"]


def check(program, name, rng, count):
    dtype = gguf.GGMLQuantizationType[name]
    items, size = gguf.GGML_QUANT_SIZES[dtype]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    with np.errstate(all="ignore"):
        want = gguf.quants.dequantize(blocks, dtype).astype("<f4").reshape(count, items)
    done = subprocess.run([program, name], input=blocks.tobytes(), stdout=subprocess.PIPE, check=False)
    got = np.frombuffer(done.stdout, "<f4")
    if done.returncode != 0 or got.size != want.size:
        print(f"FAIL {name}: exit status {done.returncode}, {got.size} values, expected {want.size}")
        return False
    got = got.reshape(want.shape)
    wrong = (got.view("<u4") != want.view("<u4")) & ~(np.isnan(got) & np.isnan(want))
    if wrong.any():
        block, i = np.argwhere(wrong)[0]
        print(f"FAIL {name}: {wrong.sum()} of {want.size} values differ; the first is {got[block, i]:.9g} at {i} of block "
              f"{block}, expected {want[block, i]:.9g}: {blocks[block].tobytes().hex()}")
        return False
    print(f"ok   {name}: {want.size} values, {len(np.unique(want[np.isfinite(want)]))} different ones")
    return True


def record(name, count=64):
    """{type, three values of the first block, FNV-1a of the bits of all values of 64 blocks}."""
    dtype = gguf.GGMLQuantizationType[name]
    items, size = gguf.GGML_QUANT_SIZES[dtype]
    state, stream = int(dtype), bytearray()
    for _ in range(count * size):
        state = (state * 1664525 + 1013904223) & 0xffffffff
        stream.append(state >> 24)
    with np.errstate(all="ignore"):
        values = gguf.quants.dequantize(np.frombuffer(bytes(stream), np.uint8).reshape(count, size), dtype).astype("<f4")
    bits = values.reshape(-1).view("<u4").copy()
    bits[np.isnan(values.reshape(-1))] = 0x7fc00000
    digest = 0xcbf29ce484222325
    for byte in bits.tobytes():
        digest = ((digest ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    at = [0, items // 2, items - 1]
    three = ", ".join(np.format_float_scientific(x, trim="0") + "f" for x in values.reshape(-1)[at])
    print(f"    {{PM_DTYPE_{name}, {{{three}}}, UINT64_C(0x{digest:016x})}},")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="dequant_blocks")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PUMICE_TEST_SEED", "1")))
    parser.add_argument("--blocks", type=int, default=4000)
    parser.add_argument("--only", default=",".join(NAMES))
    args = parser.parse_args()
    if args.record:
        for name in args.only.split(","):
            record(name)
        return 0
    if not os.access(args.program, os.X_OK):
        print(f"skipped: {args.program} is not there")
        return 77
    print(f"seed {args.seed} (PUMICE_TEST_SEED)")
    rng = np.random.default_rng(args.seed)
    good = [check(args.program, name, rng, args.blocks) for name in args.only.split(",")]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())

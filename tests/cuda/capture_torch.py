#!/usr/bin/env python3
"""The tiny models of tests/oracle/hf_models.py in transformers on CUDA, as vectors.

  capture_torch.py OUT_DIR [--device cuda|cpu] [--only NAME,...]

For each model, in float32 (no TF32), float16 and bfloat16: the logits of 16 of its 96 positions, in the
format of vectors.h, as OUT_DIR/<device>/torch.NAME.DTYPE.vec; the CPU's float32 logits stand in
tests/data/hf. test_cuda_torch.c reads both. On the CPU, vectors say "host". Exits with 77 where
torch, transformers or an NVIDIA GPU is not there.
"""
import argparse
import copy
import datetime
import hashlib
import os
import re
import sys
import types
from importlib.machinery import ModuleSpec

try:
    import gguf  # noqa: F401  (hf_models.py writes files with it; here none is written)
except ImportError:
    sys.modules["gguf"] = types.ModuleType("gguf")
    sys.modules["gguf"].__spec__ = ModuleSpec("gguf", None)

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.append(os.path.join(ROOT, "tests", "oracle"))
import hf_models  # noqa: E402  (exits with 77 and the reason where something is missing)
import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

TOKENS, POSITIONS, SEED = 96, 16, 1
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def fnv(data, seed=0xcbf29ce484222325):
    for byte in data:
        seed = (seed ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return seed


def provenance(device):
    runtime = f"torch {torch.__version__}, transformers {transformers.__version__}"
    if device == "cpu":
        return "host", "CPU", "none", runtime
    major, minor = torch.cuda.get_device_capability()
    driver = "unknown"
    try:
        with open("/proc/driver/nvidia/version") as f:
            driver = re.search(r"Module.*?([0-9][0-9.]+)", f.readline()).group(1)
    except (OSError, AttributeError):
        pass
    return "CUDA", f"{torch.cuda.get_device_name()}, sm_{major}{minor}", driver, f"{runtime}, CUDA {torch.version.cuda}"


def write(folder, name, kernel, source, inputs, values):
    origin, device, driver, runtime = source
    payload = values.astype("<f4").tobytes()
    header = (f"pumice-vector 1\ncase {name}\nkernel {kernel}\norigin {origin}\ndevice {device}\ndriver {driver}\n"
              f"runtime {runtime[:63]}\ndate {datetime.date.today().isoformat()}\nseed {SEED}\ninputs {inputs:016x}\n"
              f"elements {values.size}\nvalues {values.size}\nsha256 {hashlib.sha256(payload).hexdigest()}\n\n")
    with open(os.path.join(folder, name + ".vec"), "wb") as f:
        f.write(header.encode() + payload)


def make(name):
    """The model and the tokens of tests/data/hf, as hf_models.make() draws them."""
    cls, config = hf_models.MODELS[name]
    generator = torch.Generator().manual_seed(SEED * 1000 + list(hf_models.MODELS).index(name))
    config._attn_implementation = "eager"
    model = cls(config).to(torch.float32).eval()
    hf_models.randomize(model, generator)
    return model, [1] + torch.randint(3, hf_models.VOCAB, (TOKENS - 1,), generator=generator).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--only", default=",".join(hf_models.MODELS))
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("skipped: torch sees no NVIDIA GPU")
        sys.exit(77)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(1)
    source = provenance(args.device)
    slug = "host" if args.device == "cpu" else re.sub("[^a-z0-9]+", "-", source[1].lower())
    folder = os.path.join(args.out_dir, slug)
    os.makedirs(folder, exist_ok=True)
    for name in args.only.split(","):
        plain, tokens = make(name)
        inputs = fnv(np.array(tokens, "<i4").tobytes())
        recorded = np.fromfile(os.path.join(ROOT, "tests", "data", "hf", name, "logits.bin"), "<f4").reshape(TOKENS, -1)
        if hf_models.nmse(hf_models.run(plain, tokens).numpy(), recorded) > 1e-9:
            sys.exit(f"{name}: this torch makes another model of seed {SEED} than that of tests/data/hf")
        places = [(i + 1) * TOKENS // POSITIONS - 1 for i in range(POSITIONS)]
        for kind, dtype in DTYPES.items():
            model = copy.deepcopy(plain).to(args.device, dtype)
            with torch.no_grad():
                got = model(torch.tensor(tokens, device=args.device)[None], use_cache=False).logits[0].float().cpu().numpy()
            print(f"{name}, {kind} on {source[1]}: NMSE to float32 on the CPU {hf_models.nmse(got, recorded):.1e}")
            write(folder, f"torch.{name}.{kind}", f"transformers {kind}", source, inputs, got[places])


if __name__ == "__main__":
    main()

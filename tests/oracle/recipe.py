#!/usr/bin/env python3
"""`pumice quantize` against llama.cpp's own quantiser, whole files.

  recipe.py --pumice PROGRAM --make-model PROGRAM [--peer DIR] [--keep DIR]

DIR (default $PUMICE_TEST_PEER) is where `tests/oracle/setup.sh peer DIR` put the libraries.
Held, for seeded random models whose shapes exercise each rule (grouped heads, tied and
untied embedding, rows that are no multiple of 256, few and many layers):

  every tensor has the same type in both files, for every recipe
  general.file_type is the same
  where both sides round by the format's reference (Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, F16, BF16,
  F32 and what is kept), every byte of the tensor is the same

Exits with 77 and the reason where the libraries are absent or of another shape.
"""
import argparse
import ctypes
import glob
import json
import os
import subprocess
import sys
import tempfile

FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11,
              "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18,
              "Q2_K_S": 21, "IQ4_NL": 25, "IQ4_XS": 30, "BF16": 32}
IDENTICAL = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"}
MODELS = {  # the options of pumice-make-model
    "gqa4": "--dim 256 --hidden 512 --layers 17 --heads 8 --kv-heads 2 --vocab 300 --type F32",
    "mha tied": "--dim 256 --hidden 256 --layers 9 --heads 4 --kv-heads 4 --vocab 300 --type F16 --tied",
    "narrow": "--arch qwen2 --dim 288 --hidden 800 --layers 4 --heads 9 --kv-heads 3 --vocab 300 --type BF16",
    "80 layers": "--dim 256 --hidden 256 --layers 80 --heads 8 --kv-heads 4 --head-dim 32 --vocab 300 --type F16",
}
ONLY = {"80 layers": ("Q2_K", "Q3_K_M", "Q4_K_S", "Q4_K_M")}  # which have rules for models of this class
PARAMS_BYTES = 4096                # more than the library's struct, whatever its version


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


class Params(ctypes.Structure):
    """llama_model_quantize_params: the head, as far as it is written here, and room."""
    _fields_ = [("threads", ctypes.c_int32), ("file_type", ctypes.c_int32), ("output_type", ctypes.c_int32),
                ("embedding_type", ctypes.c_int32), ("rest", ctypes.c_uint8 * PARAMS_BYTES)]


def peer(folder, source, target, recipe):
    """In a process of its own, since the library ends the program on some errors."""
    def load(stem):
        found = sorted(glob.glob(os.path.join(folder, stem + "*")))
        if not found:
            skip(f"no {stem}* in {folder}")
        return ctypes.CDLL(found[0], mode=ctypes.RTLD_GLOBAL)
    load("libggml-base.")
    ggml, llama = load("libggml."), load("libllama.")
    if not hasattr(llama, "llama_model_quantize"):
        skip("libllama has no llama_model_quantize")
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    llama.llama_log_set(quiet, None)
    ggml.ggml_backend_load_all_from_path(folder.encode())
    llama.llama_backend_init()
    llama.llama_model_quantize_default_params.restype = Params
    params = llama.llama_model_quantize_default_params()
    if params.threads != 0 or params.output_type != params.embedding_type or not 30 < params.output_type < 200:
        skip("llama_model_quantize_params is not laid out as in v0.5.0")
    params.threads = 2
    params.file_type = FILE_TYPES[recipe]
    os._exit(0 if llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)) == 0 else 1)


def describe(pumice, path):
    done = subprocess.run([pumice, "inspect", "-m", path, "--json", "--tensors"], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def data_of(path, found):
    """name -> bytes; the data section ends the file, behind the padded last tensor."""
    tensors = found["tensors"]
    last = max(tensors, key=lambda t: t["offset"])
    padded = (last["offset"] + last["bytes"] + 31) // 32 * 32
    start = found["file_bytes"] - padded
    with open(path, "rb") as file:
        content = file.read()
    return {t["name"]: content[start + t["offset"]:start + t["offset"] + t["bytes"]] for t in tensors}


def compare(pumice, ours, theirs):
    a, b = describe(pumice, ours), describe(pumice, theirs)
    bad = []
    types = {t["name"]: t["type"] for t in b["tensors"]}
    if set(types) != {t["name"] for t in a["tensors"]}:
        return ["other tensors"], 0
    for t in a["tensors"]:
        if t["type"] != types[t["name"]]:
            bad.append(f"{t['name']}: {t['type']}, llama.cpp has {types[t['name']]}")
    for key in ("general.file_type", "general.quantization_version"):
        if a["metadata"][key]["value"] != b["metadata"][key]["value"]:
            bad.append(f"{key}: {a['metadata'][key]} and {b['metadata'][key]}")
    mine, other, same = data_of(ours, a), data_of(theirs, b), 0
    for t in a["tensors"]:
        if t["type"] in IDENTICAL and t["type"] == types[t["name"]]:
            same += 1
            if mine[t["name"]] != other[t["name"]]:
                bad.append(f"{t['name']}: {t['type']} bytes differ")
    return bad, same


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pumice", required=True)
    parser.add_argument("--make-model", required=True)
    parser.add_argument("--peer", default=os.environ.get("PUMICE_TEST_PEER", ""))
    parser.add_argument("--keep")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        peer(*args.one)
    folder = find_libraries(args.peer)
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = args.keep or scratch
        source, ours, theirs = (os.path.join(scratch, name) for name in ("source.gguf", "ours.gguf", "theirs.gguf"))
        for model, options in MODELS.items():
            subprocess.run([args.make_model, source, *options.split()], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            for recipe in ONLY.get(model, FILE_TYPES):
                done = subprocess.run([sys.executable, __file__, "--pumice", "x", "--make-model", "x", "--one", folder,
                                       source, theirs, recipe], stdout=subprocess.PIPE, check=False)
                if done.returncode == 77:
                    skip(done.stdout.decode().removeprefix("skipped: ").strip())
                if done.returncode != 0:
                    print(f"{model:10} {recipe:8} llama.cpp does not make it")
                    continue
                subprocess.run([args.pumice, "quantize", source, ours, recipe, "--json"], check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                bad, same = compare(args.pumice, ours, theirs)
                print(f"{model:10} {recipe:8} {same:4} tensors with the same bytes  {'FAILED' if bad else 'ok'}")
                for line in bad[:8]:
                    print("  ", line)
                failures += bool(bad)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

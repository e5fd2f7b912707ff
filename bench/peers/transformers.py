#!/usr/bin/env python3
"""Hugging Face transformers beside Pumice: generate() over a batch of prompts, as services do that serve a model with it.

usage: transformers.py -m MODEL.gguf [--pumice FILE] [--device cuda|cpu] [options]

The model has the shape of the GGUF file and random weights, since speed does not ask for their values: F16 on a GPU, F32
on a CPU. All prompts of a batch have the same length and all answers end together, which is the best case of static
batching; every batch size is measured --reps times after one run that warms up, in turns with Pumice, each engine with
the same prompts' and answers' lengths. Exits with 77 and the reason where torch or transformers are missing.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))] + \
    [os.path.dirname(os.path.abspath(__file__))]  # behind the library whose name this file has
from collect import collect, pumice_device, pumice_json, row  # noqa: E402


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def shape_of(pumice, path):
    """Hyperparameters of the file, as transformers calls them."""
    metadata = {k: v["value"] for k, v in pumice_json(pumice, "inspect", "-m", path)["metadata"].items()}
    arch = metadata["general.architecture"]
    if arch not in ("llama", "qwen2"):
        skip(f"{path}: architecture '{arch}' is none that is known here")

    def get(key, otherwise=None):
        return metadata.get(f"{arch}.{key}", otherwise)
    heads = get("attention.head_count")
    vocab = get("vocab_size") or len(metadata.get("tokenizer.ggml.tokens", [])) or 32000
    return {"hidden_size": get("embedding_length"), "intermediate_size": get("feed_forward_length"),
            "num_hidden_layers": get("block_count"), "num_attention_heads": heads,
            "num_key_value_heads": get("attention.head_count_kv", heads), "vocab_size": vocab,
            "max_position_embeddings": get("context_length", 4096)}


class Transformers:
    name = "transformers"

    def __init__(self, args, torch, transformers):
        self.torch, self.args = torch, args
        self.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if self.device == "cuda" and not torch.cuda.is_available():
            skip("torch has no CUDA device")
        dtype = torch.float16 if self.device == "cuda" else torch.float32
        torch.manual_seed(1)
        shape = shape_of(args.pumice, args.model)
        context = min(shape["max_position_embeddings"], 4096)
        if args.prompt + args.tokens > context:
            sys.exit(f"transformers.py: --prompt {args.prompt} and --tokens {args.tokens}, expected at most {context} in all")
        config = transformers.LlamaConfig(**shape, bos_token_id=1, eos_token_id=None, pad_token_id=0)
        self.vocab = config.vocab_size
        previous = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        with torch.device(self.device):
            self.model = transformers.LlamaForCausalLM(config).eval()
        torch.set_default_dtype(previous)
        self.version = f"transformers {transformers.__version__}, torch {torch.__version__}"
        self.place = torch.cuda.get_device_name() if self.device == "cuda" else "CPU"

    def measure(self, batch):
        """Tokens per second of the whole batch, prompts' time included."""
        torch, a = self.torch, self.args
        prompts = torch.randint(1, self.vocab, (batch, a.prompt), device=self.device)
        with torch.inference_mode():
            begin = time.monotonic()
            out = self.model.generate(input_ids=prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=a.tokens,
                                      min_new_tokens=a.tokens, do_sample=False)
            if self.device == "cuda":
                torch.cuda.synchronize()
        took = time.monotonic() - begin
        if tuple(out.shape) != (batch, a.prompt + a.tokens):
            sys.exit(f"transformers.py: the answers are {tuple(out.shape)}, expected {(batch, a.prompt + a.tokens)}")
        return batch * a.tokens / took


class Pumice:
    name = "pumice"

    def __init__(self, args):
        self.args = args

    def measure(self, batch):
        """The same, from a trace of requests that all come at once."""
        a = self.args
        lines = [f"2023-01-01 00:00:00.{0:03d},{a.prompt},{a.tokens}" for _ in range(batch)]
        command = [a.pumice, "bench", "-m", a.model, "--trace", "/dev/stdin", "--requests", batch, "--seqs", batch, "--json"]
        done = subprocess.run([str(c) for c in command], input="\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *lines]).encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            sys.exit(f"transformers.py: pumice: {done.stderr.decode(errors='replace').strip()}")
        return json.loads(done.stdout)["loads"][0]["generated_tokens_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--pumice", default="build/pumice")
    parser.add_argument("--device", choices=["cuda", "cpu"])
    parser.add_argument("--batch", default="1,4,8")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of each prompt")
    parser.add_argument("--tokens", type=int, default=128, help="tokens of each answer")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--label", default="")
    parser.add_argument("--results", help="DIR: adds the numbers to DIR/<device>-<driver>.csv")
    args = parser.parse_args()
    try:
        import torch
        import transformers
    except ImportError as error:
        skip(f"{error} (tests/oracle/setup.sh venv DIR)")
    engines = [Pumice(args), Transformers(args, torch, transformers)]
    device, driver = pumice_device(args.pumice)
    subject = os.path.basename(args.model).removesuffix(".gguf")
    print(f"{device}, {driver}; {engines[1].place}, {engines[1].version}; {subject}, {args.prompt} + {args.tokens} tokens")
    print(f"{'requests':>8} {'pumice tok/s':>26} {'transformers tok/s':>26}   times faster")
    for batch in (int(b) for b in args.batch.split(",")):
        rounds = [[engine.measure(batch) for engine in engines] for _ in range(args.reps + 1)][1:]
        text = [f"{statistics.median(side):.4g} ({min(side):.4g} .. {max(side):.4g})" for side in zip(*rounds)]
        ratios = [a / b for a, b in rounds]
        print(f"{batch:8} {text[0]:>26} {text[1]:>26}   {statistics.median(ratios):.2f} ({min(ratios):.2f} .. {max(ratios):.2f})")
        rows = []
        for i, engine in enumerate(engines):
            where = (device, driver) if i == 0 else (engine.place, engine.version)
            rows.append(row(args.label or "?", engine.name, "peer", subject, f"{batch} requests {args.prompt}+{args.tokens}",
                            "tokens_per_s", *where, "tok/s", [r[i] for r in rounds]))
        if args.results:  # each as it is measured: what comes after may take longer than there is time
            print(f"added to {collect(args.results, device, driver, rows)}", file=sys.stderr)


if __name__ == "__main__":
    main()

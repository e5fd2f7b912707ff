#!/usr/bin/env python3
"""Perplexity of one text across drivers, kernel variants, KV types and llama.cpp: one table.

  perplexity.py --pumice PROGRAM --text FILE --model [NAME=]GGUF [--model ...]
                [--driver NAME=ICD.json ...] [--peer LIB_DIR --harness llama_peer]
                [--cells NAME,...] [--ctx N] [--bytes N] [--out FILE.csv] [--json]

Needs Python's standard library alone. LIB_DIR has llama.cpp's libraries (tests/oracle/setup.sh
peer DIR gets them), llama_peer is tests/oracle/llama_peer.c, built. Without --driver the
loader's own choice of driver is measured, without --peer the peer's rows read `skipped`.

One definition for all rows, that of `pumice ppl`: the first --bytes of the text, BOS in front
where the model adds it, special tokens not parsed; windows of --ctx tokens that do not overlap,
their first token replaced by BOS where the model adds it; position i predicts token i + 1 for
i from ctx / 2 to ctx - 2; exp of the mean of -log p over all of them. llama.cpp gets the very
same token ids and its logits are scored here, in double.

A row agrees when its perplexity is within one standard error of the first row of its model
(the first driver's default). Rows marked `info` (quantised KV) are shown and not judged.
A cell that the device or this build cannot run is `skipped`, never agreed.
Exit status: 0 all agree, 1 a row does not or failed, 2 usage.
"""
import argparse
import array
import csv
import datetime
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile

# name: (arguments, environment, judged). `base` hides every optional capability.
CELLS = {
    "default": ([], {}, True),
    "base": ([], {"PUMICE_CAPS": "-all"}, True),
    "int8dot": ([], {"PUMICE_VARIANT": "matmul:dot64"}, True),
    "tiles": ([], {"PUMICE_VARIANT": "matmul:tile64"}, True),
    "f16 tiles": ([], {"PUMICE_VARIANT": "matmul:tile64_f16"}, True),
    "coopmat": ([], {"PUMICE_VARIANT": "matmul:coopmat16"}, True),
    "coopmat2": ([], {"PUMICE_VARIANT": "matmul:coopmat2"}, True),
    "attention coopmat": ([], {"PUMICE_VARIANT": "attention:prefill_coopmat"}, True),
    "deterministic": (["--deterministic"], {}, True),
    "kv-f32": (["--kv-type", "f32"], {}, True),
    "kv-q8_0": (["--kv-type", "q8_0"], {}, False),
    "kv-q4_0": (["--kv-type", "q4_0"], {}, False),
}
COLUMNS = ["model", "engine", "driver", "cell", "perplexity", "standard_error", "scored_tokens", "window_tokens",
           "verdict", "detail"]


def pumice(args, command, model, extra=(), environment=None):
    done = subprocess.run([args.pumice, command, "-m", model, *extra], capture_output=True, text=True,
                          env={**os.environ, **(environment or {})})
    if done.returncode != 0:
        raise RuntimeError(" ".join(done.stderr.split()) or f"exit status {done.returncode}")
    return json.loads(done.stdout)


def device(args, environment):
    done = subprocess.run([args.pumice, "devices", "--json"], capture_output=True, text=True,
                          env={**os.environ, **environment})
    found = json.loads(done.stdout) if done.returncode == 0 else []
    return found[0] if found else None


def score(logits, vocab, window, start, sums):
    for i in range(start, len(window) - 1):
        row = logits[i * vocab:(i + 1) * vocab]
        most = max(row)
        nll = math.log(math.fsum(math.exp(v - most) for v in row)) + most - row[window[i + 1]]
        sums[0] += nll
        sums[1] += nll * nll
        sums[2] += 1


def peer_perplexity(args, model, text, kv):
    tokens = pumice(args, "tokenize", model, ["-f", text, "--no-special", "--json"])
    bare = pumice(args, "tokenize", model, ["-f", text, "--no-special", "--no-bos", "--json"])
    bos = tokens[0] if len(tokens) > len(bare) else None
    sums = [0.0, 0.0, 0]
    with tempfile.TemporaryDirectory() as folder:
        ids, out = os.path.join(folder, "ids"), os.path.join(folder, "logits")
        for w in range(len(tokens) // args.ctx):
            window = tokens[w * args.ctx:(w + 1) * args.ctx]
            if bos is not None:
                window[0] = bos
            with open(ids, "wb") as f:
                array.array("i", window).tofile(f)
            done = subprocess.run([args.harness, args.peer, model, ids, out, kv], capture_output=True, text=True)
            if done.returncode == 77:
                return None, done.stdout.strip().removeprefix("skipped: ")
            if done.returncode != 0:
                raise RuntimeError(" ".join(done.stderr.split()))
            logits = array.array("f")
            with open(out, "rb") as f:
                logits.frombytes(f.read())
            score(logits, len(logits) // args.ctx, window, args.ctx // 2, sums)
    total, squares, n = sums
    if n < 2:
        raise RuntimeError("the text is shorter than a window")
    mean = total / n
    ppl = math.exp(mean)
    return {"perplexity": ppl, "standard_error": ppl * math.sqrt(max(squares / n - mean * mean, 0.0) / (n - 1)),
            "scored_tokens": n, "window_tokens": args.ctx}, ""


def rows_of(args, name, model, text):
    for driver, icd in args.drivers:
        environment = {"VK_DRIVER_FILES": icd, "VK_ICD_FILENAMES": icd} if icd else {}
        found = device(args, environment)
        label = f"{driver}: {found['driver'].strip()}" if found else driver
        for cell in args.cells:
            extra, more, judged = CELLS[cell]
            row = {"model": name, "engine": "pumice", "driver": label, "cell": cell, "judged": judged, "detail": ""}
            if found is None:
                row |= {"verdict": "skipped", "detail": "no device"}
            else:
                try:
                    row |= pumice(args, "ppl", model, ["-f", text, "-c", str(args.ctx), "--json", *extra],
                                  environment | more)
                except RuntimeError as error:
                    unfit = cell != "default" and " need" in str(error)  # the device, build or model lacks it
                    row |= {"verdict": "skipped" if unfit else "failed", "detail": str(error)}
            yield row
    for kv in ("f16", "f32"):
        row = {"model": name, "engine": "llama.cpp", "driver": "CPU", "cell": f"kv-{kv}", "judged": True, "detail": ""}
        if not args.peer or not args.harness:
            yield row | {"verdict": "skipped", "detail": "no --peer and --harness"}
            continue
        try:
            result, reason = peer_perplexity(args, model, text, kv)
            yield row | (result or {"verdict": "skipped", "detail": reason})
        except RuntimeError as error:
            yield row | {"verdict": "failed", "detail": str(error)}


def judge(row, reference):
    if "perplexity" not in row:
        return
    if reference is None:  # what all others are held to did not run
        row |= {"verdict": "failed", "detail": "the reference row has no perplexity"}
        return
    off = abs(row["perplexity"] - reference["perplexity"])
    row["detail"] = f"{off / reference['standard_error']:.4f} standard errors off"
    if not row["judged"]:
        row["verdict"] = "info"
    else:
        row["verdict"] = "reference" if row is reference else "agrees" if off <= reference["standard_error"] else "differs"


def write_table(path, about, rows):
    """After each row, so that an interrupted run leaves the rows that it had."""
    with open(path, "w", newline="", encoding="utf-8") as f:
        for key, value in about.items():
            f.write(f"# {key}: {value}\n")
        writer = csv.DictWriter(f, COLUMNS, restval="", lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row | {k: f"{row[k]:.6g}" for k in ("perplexity", "standard_error") if k in row} for row in rows)


def bare(argument):
    """Paths without their folders."""
    name, mark, path = argument.rpartition("=")
    return name + mark + os.path.basename(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pumice", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--driver", action="append", default=[])
    parser.add_argument("--peer")
    parser.add_argument("--harness")
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--ctx", type=int, default=256, help="4 to 512")
    parser.add_argument("--bytes", type=int, default=9000)
    parser.add_argument("--out")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.cells = args.cells.split(",")
    args.drivers = [d.split("=", 1) for d in args.driver] or [("loader", None)]
    if not set(args.cells) <= set(CELLS) or not 4 <= args.ctx <= 512 or any(len(d) != 2 for d in args.drivers):
        parser.error(f"--cells are some of {','.join(CELLS)}; --ctx is 4 to 512; --driver is NAME=ICD.json")
    about = {"date": datetime.date.today().isoformat(), "command": shlex.join(["perplexity.py", *map(bare, sys.argv[1:])])}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "text")
        with open(args.text, "rb") as f, open(text, "wb") as out:
            out.write(f.read(args.bytes).decode("utf-8", "ignore").encode())
        for item in args.model:
            name, path = item.split("=", 1) if "=" in item else (os.path.basename(item), item)
            reference = None
            for row in rows_of(args, name, path, text):
                first = not any(r["model"] == name for r in rows)
                reference = row if first and "perplexity" in row else reference
                judge(row, reference)
                rows.append(row)
                if args.out:
                    write_table(args.out, about, rows)
                print(*(row.get(c, "") for c in COLUMNS), sep="  ", file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps(about | {"rows": [{c: r[c] for c in COLUMNS if c in r} for r in rows]}, indent=2))
    return 1 if any(r["verdict"] in ("failed", "differs") for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Pumice and llama.cpp on the same model and the same driver, one after the other, again and again.

usage: run.py -m MODEL.gguf --peer DIR [--backend vulkan|cpu|cuda] [options]

DIR is where `tests/oracle/setup.sh peer DIR BACKEND` has put llama.cpp's prebuilt libraries (npm: node-llama-cpp). Each
round starts a process of either engine for prompts, generation of one sequence and of several at once, in turns; one
round before fills the caches and is not counted. Starts are timed from the start of a process to the first byte that it
writes, a token: cold, with empty caches, and warm, with the caches of the cold one; a start that is not counted comes
before each pair, so that no engine is the one that finds memory which a virtual machine's host has yet to give. The table
has medians, their bounds, and the ratio (how many times faster Pumice is) by rounds. Exits with 77 and the reason where
the peer cannot run.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from collect import collect, pumice_device, row  # noqa: E402

SOURCE = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
# Where Pumice and the drivers keep compiled code.
CACHES = ["XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "MESA_GLSL_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH",
          "AMD_SHADER_DISK_CACHE_PATH", "CUDA_CACHE_PATH"]


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def version(pumice):
    return subprocess.run([pumice, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().split()[-1]


def libraries(peer, backend):
    """The folder with libllama.* of the backend."""
    suffix = "" if backend == "cpu" else "-" + backend
    packages = os.path.join(peer, "node_modules", "@node-llama-cpp")
    for name in sorted(os.listdir(packages)) if os.path.isdir(packages) else []:
        folder = os.path.join(packages, name, "bins", name)
        if name.startswith("linux-") and name.count("-") == 1 + bool(suffix) and name.endswith(suffix) and os.path.isdir(folder):
            return folder
    return skip(f"no llama.cpp for {backend} under {peer} (tests/oracle/setup.sh peer DIR {backend})")


class Engine:
    """Runs processes of one engine; what they measure by name, rates in tokens per second."""

    def __init__(self, args, cache):
        self.args, self.env = args, {**os.environ, **{name: cache for name in CACHES}}

    def process(self, command, env=None):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or self.env, check=False)
        if done.returncode == 77:
            skip(done.stdout.decode(errors="replace").strip().removeprefix("skipped: "))
        if done.returncode != 0:
            sys.exit(f"run.py: {os.path.basename(command[0])}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def start(self, cache):
        """Milliseconds to the first token."""
        env = {**self.env, **{name: cache for name in CACHES}}
        begin = time.monotonic()
        with subprocess.Popen(self.first(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as program:
            byte = program.stdout.read(1)
            took = time.monotonic() - begin
            program.communicate()
        if not byte or program.returncode != 0:
            sys.exit(f"run.py: {self.name}: a start failed")
        return took * 1e3


class Pumice(Engine):
    name = "pumice"

    def first(self):
        return [self.args.pumice, "run", "-m", self.args.model, "-p", "", "-n", "1", "--temp", "0", "--ignore-eos", "--json"]

    def measure(self):
        a, rates = self.args, {}
        if a.pp or a.tg:
            pp = ["--pp", a.pp] if a.pp else ["--pp", "1"]
            found = json.loads(self.process([a.pumice, "bench", "-m", a.model, *pp, "--tg", str(a.tg), "--reps", "1", "--json"]))
            rates.update({k: v["tokens_per_s"] for k, v in found.items() if isinstance(v, dict) and k != "pp1"})
        if a.batch:
            found = json.loads(self.process([a.pumice, "bench", "-m", a.model, "--batch", a.batch, "--tg", str(a.steps), "--json"]))
            rates.update({load["name"]: load["steady_tokens_per_s"] for load in found["loads"]})
        return rates


class Llama(Engine):
    def __init__(self, args, cache, folder):
        super().__init__(args, cache)
        self.folder, self.name, self.devices = folder, "llama.cpp-" + args.backend, []
        self.env.setdefault("GGML_VK_VISIBLE_DEVICES", str(args.vk_device))  # else it leaves CPU devices out

    def first(self):
        return [self.args.harness, self.folder, self.args.model]

    def measure(self):
        a = self.args
        out = self.process([*self.first(), f"pp={a.pp}", f"tg={a.tg or ''}", f"batch={a.batch}", f"steps={a.steps}",
                            f"seconds={a.seconds}", *([f"threads={a.threads}"] if a.threads else [])])
        found = json.loads(out.splitlines()[1])
        self.devices = found.pop("devices")
        if self.args.backend != "cpu" and all(device.startswith("CPU") for device in self.devices):
            skip(f"llama.cpp has no {self.args.backend} device here, only {', '.join(self.devices)}")
        return found


def interleave(engines, rounds):
    """{name: [[a, b] of each round]} of what both measured."""
    results = {}
    for number in range(rounds + 1):
        turn = list(enumerate(engines))
        found = [None, None]
        for i, engine in turn if number % 2 == 0 else reversed(turn):
            found[i] = engine.measure()
            print(f"round {number} {engine.name}: {found[i]}", file=sys.stderr)
        for name in found[0] if number > 0 else []:
            if found[0][name] > 0 and found[1].get(name, 0) > 0:
                results.setdefault(name, []).append([found[0][name], found[1][name]])
    return results


def starts(engines, count):
    results = {"cold": [], "warm": []}
    for _ in range(count):
        cold, warm = [], []
        for engine in engines:
            cache = tempfile.mkdtemp(prefix="pumice-start-")
            try:
                engine.start(cache)
                shutil.rmtree(cache)
                os.mkdir(cache)
                cold.append(engine.start(cache))
                warm.append(engine.start(cache))
            finally:
                shutil.rmtree(cache)
        results["cold"].append(cold)
        results["warm"].append(warm)
        print(f"start, ms: cold {cold} warm {warm}", file=sys.stderr)
    return {name: pairs for name, pairs in results.items() if pairs}


def report(engines, rates, times):
    print(f"{'':12} {engines[0].name:>26} {engines[1].name:>26}   times faster")
    for results, unit, less in ((rates, "tok/s", False), (times, "ms", True)):
        for name, pairs in results.items():
            ratios = [b / a if less else a / b for a, b in pairs]
            text = [f"{statistics.median(side):9.4g} ({min(side):.4g} .. {max(side):.4g})" for side in zip(*pairs)]
            print(f"{name:6} {unit:5} {text[0]:>26} {text[1]:>26}   {statistics.median(ratios):.2f} ({min(ratios):.2f} .. "
                  f"{max(ratios):.2f})")


def rows_of(args, engines, rates, times, device, driver):
    subject = os.path.basename(args.model).removesuffix(".gguf")
    rows = []
    for i, engine in enumerate(engines):
        where = (device, driver)
        if i == 1 and args.backend == "cpu":
            where = (engine.devices[0] if engine.devices else "CPU", "llama.cpp")
        for results, bench, metric, unit in ((rates, "peer", "tokens_per_s", "tok/s"), (times, "peer", "first_token_ms", "ms")):
            for name, pairs in results.items():
                rows.append(row(args.label, engine.name, bench, subject, name, metric, *where, unit, [p[i] for p in pairs]))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("--peer", default=os.environ.get("PUMICE_TEST_PEER", ""))
    parser.add_argument("--backend", choices=["vulkan", "cpu", "cuda"], default="vulkan")
    parser.add_argument("--pumice", default=os.path.join(SOURCE, "build", "pumice"))
    parser.add_argument("--harness", help="pumice-llama-bench (default: beside pumice)")
    parser.add_argument("--pp", default="128,512", help="prompt lengths; '' = none")
    parser.add_argument("--tg", type=int, default=64, help="tokens of one sequence; 0 = none")
    parser.add_argument("--batch", default="1,4,16", help="sequences at once; '' = none")
    parser.add_argument("--steps", type=int, default=64, help="tokens of each of those")
    parser.add_argument("--seconds", type=float, default=60, help="llama.cpp's generation ends after so many, and 4 steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=1, help="cold starts of each, and warm ones")
    parser.add_argument("--threads", type=int, default=0, help="of llama.cpp (default: the processors)")
    parser.add_argument("--vk-device", type=int, default=0, help="llama.cpp's Vulkan device")
    parser.add_argument("--label", default="", help="of Pumice's code: a commit")
    parser.add_argument("--results", help="DIR: adds the numbers to DIR/<device>-<driver>.csv")
    args = parser.parse_args()
    if args.rounds < 0 or args.starts < 0 or args.rounds + args.starts < 1:
        parser.error("--rounds and --starts are counts, of which one is at least 1")
    if not os.path.isfile(args.model):
        sys.exit(f"run.py: {args.model}: no such file")
    args.harness = args.harness or os.path.join(os.path.dirname(args.pumice), "pumice-llama-bench")
    for program in (args.pumice, args.harness):
        if shutil.which(program) is None:
            sys.exit(f"run.py: {program}: no such program")
    if not args.peer:
        skip("no --peer and no PUMICE_TEST_PEER")
    folder = libraries(args.peer, args.backend)
    args.label = args.label or version(args.pumice)
    device, driver = pumice_device(args.pumice)
    with tempfile.TemporaryDirectory(prefix="pumice-peer-") as cache:
        engines = [Pumice(args, cache), Llama(args, cache, folder)]
        rates = interleave(engines, args.rounds) if args.rounds else {}
        times = starts(engines, args.starts)
    print(f"{device}, {driver}; {os.path.basename(args.model)}")
    report(engines, rates, times)
    if args.results:
        path = collect(args.results, device, driver, rows_of(args, engines, rates, times, device, driver))
        print(f"added to {path}", file=sys.stderr)


if __name__ == "__main__":
    main()

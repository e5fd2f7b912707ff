#!/usr/bin/env python3
"""run.py - the mutation check: shaders with one planted fault each, which the op tests must see.

Each record of mutants.txt is one fault. It is put into a copy of shaders/, the modules that it
touches are compiled as the build compiles them, and the smallest test that must fail runs with
them (PUMICE_TEST_MODULES). First the same tests run with the same modules unchanged, and must
pass. Prints the kill matrix; exits 1 unless every mutant was killed and there were enough.

A record: lines "name:", "file:", "modules:" (of variants.txt), "test:" (program, then a pattern of
its tests), and any number of "from:" and "to:", exact text that stands there once (\\n is a new
line). Optional: "types:" and "variants:" (lists that the test is limited to), "drivers:" (where the
fault shows), "lanes:" (of lavapipe's vectors, where it shows with that many alone: tests/CMakeLists.txt).
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

KILLED_AT_LEAST = 25
HANG_S = 120


def records(path):
    """The records of mutants.txt, each a dict of lists of values."""
    record = {}
    for number, line in enumerate(path.read_text().splitlines() + [""], 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if record:
                yield record
            record = {}
            continue
        key, colon, value = line.partition(":")
        if not colon or key not in ("name", "file", "modules", "test", "types", "variants", "drivers", "lanes", "from", "to"):
            sys.exit(f"{path}:{number}: expected 'name:', 'file:', ... at the line's start")
        record.setdefault(key, []).append(value.strip().replace("\\n", "\n"))


class Shaders:
    """Compiles modules of variants.txt from a folder like shaders/."""

    def __init__(self, source, glslang):
        self.source, self.glslang, self.modules = source, glslang, {}
        for line in (source / "variants.txt").read_text().splitlines():
            if re.match("[a-z]", line):
                name, file, _needs, *defines = line.split()
                self.modules[name] = (file, defines)

    def compile(self, folder, module, out):
        file, defines = self.modules[module]
        command = [self.glslang, "--quiet", "-V", "--target-env", "vulkan1.3", "-S", "comp", f"-I{folder}/include",
                   *(f"-D{d}" for d in defines), "-o", str(out / f"{module}.spv"), str(folder / file)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            return f"{module} does not compile: {(done.stdout + done.stderr).strip()[:300]}"
        return None


def test_of(record):
    """What runs, whatever the modules."""
    return record["test"][0], *(record.get(key, [""])[0] for key in ("types", "variants", "lanes"))


def run_test(tests, record, modules):
    """Runs a record's test with the modules of a folder: (exit status, or "hang", output)."""
    program, pattern = record["test"][0].split(None, 1)
    environment = {key: value for key, value in os.environ.items() if key != "PUMICE_VALIDATE"}
    environment.update(PUMICE_TEST_MODULES=str(modules), PUMICE_TEST_FILTER=pattern, PUMICE_CACHE="0",
                       PUMICE_TEST_TYPES=record.get("types", [""])[0],
                       PUMICE_TEST_VARIANTS=record.get("variants", [""])[0])
    if "lanes" in record:
        lanes = record["lanes"][0]
        caches = pathlib.Path(environment.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        environment.update(LP_NATIVE_VECTOR_WIDTH=str(32 * int(lanes)), PUMICE_TEST_LANES=lanes,
                           XDG_CACHE_HOME=str(caches / f"lanes{lanes}"), PUMICE_CAPS="-f16" if lanes == "4" else "")
    try:
        done = subprocess.run([tests / f"test_{program}"], env=environment, capture_output=True, text=True,
                              timeout=HANG_S, errors="replace")
    except subprocess.TimeoutExpired:
        return "hang", ""
    return done.returncode, done.stdout + done.stderr


def why(output):
    """What a failed test says: its message, else the assertion."""
    lines = output.splitlines()
    said = [line[7:] for line in lines if line.startswith("ERROR: ")]
    asserted = [re.sub(r"^\[  ERROR   \] --- ", "", line) for line in lines
                if line.startswith("[  ERROR   ] --- ") and "[   LINE   ]" not in line]
    return re.sub(r"\s+", " ", (said + asserted + [""])[0])[:120]


def plant(source, folder, record):
    """A copy of the shaders with the record's fault; a reason when the text is not there once."""
    shutil.copytree(source, folder)
    path = folder / record["file"][0]
    text = path.read_text()
    if len(record["from"]) != len(record["to"]):
        return "every 'from:' needs its 'to:'"
    for old, new in zip(record["from"], record["to"]):
        if text.count(old) != 1:
            return f"'{old}' stands {text.count(old)} times in {record['file'][0]}, expected once"
        text = text.replace(old, new)
    path.write_text(text)
    return None


def build(shaders, record, folder, out):
    out.mkdir(parents=True)
    for module in record["modules"][0].split():
        if module not in shaders.modules:
            return f"variants.txt has no module '{module}'"
        reason = shaders.compile(folder, module, out)
        if reason:
            return reason
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=pathlib.Path, required=True, help="the project")
    parser.add_argument("--tests", type=pathlib.Path, required=True, help="folder of the test programs")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="scratch folder, emptied")
    parser.add_argument("--glslang", required=True)
    parser.add_argument("--driver", required=True, help="its name; the environment chooses it")
    parser.add_argument("--turn", default="0/1", help="I/N: of N drivers this is the I-th, and faults that show on all "
                        "are looked for on one each, in turn; PUMICE_TEST_FULL=1 looks for all on each")
    parser.add_argument("--only", default="", help="names that match this expression")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    if os.environ.get("PUMICE_VALIDATE") == "1":
        print("skipped: faults are looked for without the validation layer")
        sys.exit(77)

    shutil.rmtree(args.work, ignore_errors=True)
    shaders = Shaders(args.source / "shaders", args.glslang)
    mutants = [r for r in records(args.source / "tests/mutants/mutants.txt") if re.search(args.only, r["name"][0])]
    names = [r["name"][0] for r in mutants]
    if len(set(names)) != len(names):
        sys.exit("two mutants of one name")
    elsewhere = [r for r in mutants if args.driver not in r.get("drivers", [args.driver])[0].split()]
    turn, turns = map(int, args.turn.split("/")) if os.environ.get("PUMICE_TEST_FULL") != "1" else (0, 1)
    others = [r for i, r in enumerate(mutants) if r not in elsewhere and "drivers" not in r and i % turns != turn]
    mutants = [r for r in mutants if r not in elsewhere and r not in others]
    start, failures = time.monotonic(), []

    def control(key):
        group = [r for r in mutants if test_of(r) == key]
        modules = sorted({m for r in group for m in r["modules"][0].split() if m in shaders.modules})
        out = args.work / "control" / re.sub(r"\W+", "_", "_".join(key))
        reason = build(shaders, {"modules": [" ".join(modules)]}, args.source / "shaders", out)
        if reason:
            return f"{key}: {reason}"
        status, output = run_test(args.tests, group[0], out)
        passed = re.search(r"\[  PASSED  \] (\d+) test", output)
        if status != 0 or not passed or int(passed[1]) == 0 or "[  SKIPPED ]" in output:
            return f"control: {' '.join(key)} does not pass with the unchanged shaders: {why(output)}"
        return None

    def mutate(record):
        name, began = record["name"][0], time.monotonic()
        folder = args.work / name / "shaders"
        reason = plant(args.source / "shaders", folder, record) or build(shaders, record, folder, args.work / name / "spv")
        if reason:
            return name, record, "BROKEN", reason, 0.0
        status, output = run_test(args.tests, record, args.work / name / "spv")
        shutil.rmtree(folder)
        took = time.monotonic() - began
        if status == 0:
            return name, record, "SURVIVED", "every test passed", took
        if status == "hang":
            return name, record, "killed", f"did not end in {HANG_S} s", took
        if status < 0:
            return name, record, "killed", f"the test ended by signal {-status}", took
        if re.search(r"^ERROR: \S+\.c:\d+: ", output, re.M): # a call failed, nothing was compared
            return name, record, "BROKEN", why(output), took
        return name, record, "killed", why(output), took

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        keys = sorted({test_of(r) for r in mutants})
        failures += [reason for reason in pool.map(control, keys) if reason]
        results = list(pool.map(mutate, mutants)) if not failures else []

    width = max([len(n) for n in names], default=4)
    print(f"{'mutant':{width}}  {'test':40}  {'verdict':8} {'s':>5}  how")
    for name, record, verdict, how, took in results:
        program, pattern = record["test"][0].split(None, 1)
        print(f"{name:{width}}  {(program + ' ' + pattern)[:40]:40}  {verdict:8} {took:5.1f}  {how}")
        if verdict != "killed":
            failures.append(f"{name}: {verdict}: {how}")
    for record in elsewhere:
        print(f"skipped: {record['name'][0]}: the fault shows on {record['drivers'][0]} only")
    if others:
        print(f"left to the other drivers: {len(others)} of {len(names)} (PUMICE_TEST_FULL=1 has all here)")
    files = sorted({r["file"][0] for _, r, *_ in results})
    for file in files:
        here = [verdict for _, r, verdict, *_ in results if r["file"][0] == file]
        print(f"{file:{width}}  killed {here.count('killed')} of {len(here)}")
    killed = sum(r[2] == "killed" for r in results)
    print(f"killed {killed} of {len(mutants)} mutants on {args.driver} in {time.monotonic() - start:.0f} s, "
          f"{len(keys)} controls")
    if not args.only and killed < KILLED_AT_LEAST:
        failures.append(f"{killed} killed, expected at least {KILLED_AT_LEAST}")
    for failure in failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

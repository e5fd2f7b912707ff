#!/usr/bin/env python3
"""static_roofline.py [--write] - on AMD cards that are not there: is memory the bound of a matmul, or issue?

Reads results/static-<family>.csv (what AMD's compiler made of the kernels), the layouts of src/op/weight.c and the
published figures below; writes, or compares with, results/static-roofline.csv. Of the kernels of which a lane owns an
output (matmul.comp, matmul_dot.comp: they decode on every family; where there are cooperative matrices, those take 16
rows and more, and the columns say what these kernels would make of them), a line for each family and type:

  bytes_per_weight          in the packed layout
  vgprs, waves              registers; waves of a SIMD, of which memory latency is hidden (fewest over the slices of k)
  instructions_per_weight   of the whole kernel for 32 weights of a lane: no turn of its loop has more
  cycles_1, cycles_row      issue cycles of a SIMD for 32 weights of 64 lanes, with one row of x; more with each further row
  memory_cycles             in which the memory brings these weights to each SIMD
  bound_1, bound_16, bound_32   what is longer, and how many times as long as the other
  memory_to_rows            up to so many rows the memory is the bound

Cycles are those of the compiler's own model (inverse throughput, cycles of a SIMD for a wave of 64). It takes a loop
for 8 turns and what a uniform branch guards for half (Mesa, src/amd/compiler/aco_statistics.cpp,
collect_preasm_stats()). All of a kernel is behind the branch of its early return, so that the loop counts 4 times;
what a row of x adds is behind its chunk's branch, too, and counts twice. What is outside the loop is in cycles_1:
a fourth of it a turn, where rows of 4096 weights and 8 slices make 16 turns. For matmul_dot_q4_0 on navi21, whose
disassembly has 33 vector instructions for 32 weights and 12 for each further row, that gives 42 and 12.6 (cycles of a wave of
32). Clocks are boost clocks, and bandwidths leave caches out: both favour issue.
"""
import os
import re
import sys

from static_cards import FAMILIES, HERE, RESULTS, bound, read_table, write_table

TABLE = os.path.join(RESULTS, "static-roofline.csv")

LOOP_TURNS, CHUNK_TURNS = 4, 2  # that the compiler's model counts, see above
BLOCK, WAVE = 32, 64
TOKENS, SLICES = "8", "9"       # specialization constants, shaders/include/push_matmul.h
COLUMNS = ["family", "card", "kernel", "bytes_per_weight", "vgprs", "waves", "instructions_per_weight", "cycles_1",
           "cycles_row", "memory_cycles", "bound_1", "bound_16", "bound_32", "memory_to_rows"]


def layouts():
    """{"q4_k": bytes a weight}, from the table in src/op/weight.c."""
    with open(os.path.join(HERE, "..", "src", "op", "weight.c"), encoding="utf-8") as file:
        rows = re.findall(r"\{PM_DTYPE_(\w+),\s*(\d+),\s*(\d+),\s*(\d+),", file.read())
    return {name.lower(): (int(pieces) * 16 + int(scales) * 4) / int(unit) for name, unit, pieces, scales in rows}


def kernels(family):
    """{module: {(tokens, slices): row}} of those that an engine would take there for one row."""
    found = {}
    for row in read_table(os.path.join(RESULTS, f"static-{family}.csv")):
        constants = dict(item.split("=") for item in row["constants"].split())
        if row["module"].startswith("matmul") and TOKENS in constants and SLICES in constants:
            found.setdefault(row["module"], {})[int(constants[TOKENS]), int(constants[SLICES])] = row
    return {module: rows for module, rows in found.items()
            if any(tokens == 1 and row["chosen"] == "yes" for (tokens, _), row in rows.items())}


def line(family, module, bytes_per_weight, rows):
    card, units, simds, clock, bandwidth = FAMILIES[family]
    one = [row for (tokens, _), row in rows.items() if tokens == 1]
    slices = [s for tokens, s in rows if tokens == 16 and (32, s) in rows]
    if not one or not slices:
        raise SystemExit(f"static-{family}.csv: {module}: no kernels of 1, 16 and 32 rows")
    few, many = (float(rows[tokens, min(slices)]["inverse_throughput"]) for tokens in (16, 32))
    first = max(float(row["inverse_throughput"]) for row in one) / LOOP_TURNS
    further = (many - few) / 16 / CHUNK_TURNS
    memory = BLOCK * WAVE * bytes_per_weight * units * simds * clock / bandwidth
    until = 1 + (memory - first) / further if memory >= first else 0
    return dict(zip(COLUMNS, [
        family, card, module, f"{bytes_per_weight:.4g}", max(int(row["vgprs"]) for row in one),
        min(int(row["waves"]) for row in one), f"{max(int(row['instructions']) for row in one) / BLOCK:.1f}",
        f"{first:.0f}", f"{further:.1f}", f"{memory:.0f}",
        *(bound(first + (n - 1) * further, memory) for n in (1, 16, 32)), int(until)]))


def make():
    bytes_of, lines = layouts(), []
    for family in FAMILIES:
        for module, rows in sorted(kernels(family).items()):
            name = re.fullmatch(r"matmul(?:_dot)?_([a-z0-9]+(?:_[a-z0-9]+)?)", module)
            if name is None or name[1] not in bytes_of:
                continue
            lines.append(line(family, module, bytes_of[name[1]], rows))
    return lines


def main():
    lines = [{column: str(value) for column, value in row.items()} for row in make()]
    if sys.argv[1:] == ["--write"]:
        write_table(TABLE, "Made by bench/static_roofline.py from static-<family>.csv; it says what the columns are.", COLUMNS, lines)
        return 0
    if sys.argv[1:]:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    known = read_table(TABLE)
    stale = [new for new in lines if new not in known] + [old for old in known if old not in lines]
    for row in stale[:10]:
        print(f"STALE {row['family']} {row['kernel']}: bench/static_roofline.py --write makes the table anew")
    print(f"{len(lines)} kernels, the memory is the bound of {sum(row['bound_1'].startswith('memory') for row in lines)} "
          f"with one row and of {sum(row['bound_16'].startswith('memory') for row in lines)} with 16")
    return 1 if stale else 0


sys.exit(main())

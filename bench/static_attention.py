#!/usr/bin/env python3
"""static_attention.py [--write offline_attention FAMILY...] - on AMD cards that are not there: is memory the bound of attention?

--write compiles attention.comp for these families with the RADV that VK_DRIVER_FILES names, reads the compiler's
disassembly and statistics, and puts their lines into results/static-attention.csv; without, the columns that follow from
others are compared with the table. A line for each family, stage, type of pages, elements of a head, and heads that share a
KV head (group):

  queries                   rows x heads of a workgroup, which reads each key and value once for all of them
  bytes, flops              of a token of one KV head, by one workgroup: keys, values, scales; 4 operations an element and query
  lanes, workgroup          of the compiled subgroup; those of it that work, and tokens of a tile: 64 where subgroups have no fewer
  vgprs, waves              registers; waves of a SIMD
  instructions, latency, inverse_throughput    of the whole kernel, by the compiler's own model, which takes each loop for
                            8, 4 and then 2 turns: not those of a context
  tile, page, token         vector instructions of a turn of the loops over tiles, over pages of 16, and over
                            tokens (values are added there), inner loops apart; of exp(), which counts 4 times
  issue_cycles              of a SIMD, of a token: tile / workgroup + page / 16 + token, each once for a subgroup of 32 on RDNA,
                            twice for one of 64 (hardware may skip the half that does not work), 4 times on GCN
  memory_cycles             in which the memory brings a token to each SIMD
  bound                     what is longer, and how many times as long as the other

Loads from shared memory, scalar instructions and waits are taken to hide behind other waves: that favours issue; boost clocks
and bandwidths without caches do, too. Prompts of 16 rows and more in f16 pages take attention_coopmat.comp on navi31 and
gfx1201, which is not in here.
"""
import os
import re
import subprocess
import sys

import static_cards

TABLE = os.path.join(static_cards.RESULTS, "static-attention.csv")
CASES = [(stage, pages, dim, group) for stage in ("decode", "prefill") for pages in ("f16", "q8_0") for dim in (64, 128)
         for group in (1, 4, 8)]
COLUMNS = ["family", "card", "stage", "pages", "head_dim", "group", "queries", "bytes", "flops", "lanes", "workgroup", "vgprs", "waves",
           "instructions", "latency", "inverse_throughput", "tile", "page", "token", "issue_cycles", "memory_cycles", "bound"]
MADE = COLUMNS[9:19]               # by the compiler
PAGE, EXP_CYCLES = 16, 4
GCN = ("polaris10", "vega10")


def disassembly(text):
    """[(instruction, operands)], {label: place} of the last pipeline in what RADV_DEBUG=shaders prints."""
    code, labels = [], {}
    for line in text.rsplit("\ndisasm:\n", 1)[1].splitlines():
        label, instruction = re.fullmatch(r"(BB\d+):", line), re.match(r"\t([a-z]\w+)(?: (.*?))?\s*;", line)
        if label:
            labels[label[1]] = len(code)
        elif instruction:
            code.append((instruction[1], instruction[2] or ""))
    return code, labels


def loops_of(code, labels):
    """[(first, last)]: from where a branch goes back to, to the last branch that does."""
    ends = {}
    for place, (name, operands) in enumerate(code):
        target = labels.get(operands.strip()) if name.startswith(("s_branch", "s_cbranch")) else None
        if target is not None and target <= place:
            ends[target] = place
    return list(ends.items())


def inside(inner, outer):
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


def vector_cycles(code, loop, loops):
    """Of a turn, without the loops in it."""
    names = [code[i][0] for i in range(loop[0], loop[1] + 1)
             if not any(inside(other, loop) and other[0] <= i <= other[1] for other in loops)]
    return sum(EXP_CYCLES if re.match(r"v_(exp|rcp)_", name) else 1 for name in names if name.startswith("v_"))


def innermost(loops, place):
    around = [loop for loop in loops if loop[0] <= place <= loop[1]]
    return min(around, key=lambda loop: loop[1] - loop[0])


def compile_case(tool, family, stage, pages, dim, group):
    env = {**os.environ, "RADV_FORCE_FAMILY": family, "RADV_DEBUG": "shaders,nocache", "PUMICE_CACHE": "0"}
    done = subprocess.run([tool, str(dim), str(group), "64" if stage == "prefill" else "1", pages], env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{family}: {done.stdout.strip()} {done.stderr.strip()[-200:]}")
    made = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    code, labels = disassembly(done.stderr)
    loops = loops_of(code, labels)
    tile = innermost(loops, next(i for i, (name, _) in enumerate(code) if name.startswith("v_exp_")))
    pages_loop = [loop for loop in loops if inside(loop, tile) and any(inside(other, loop) for other in loops)]
    rest = [loop for loop in loops if inside(loop, tile) and not any(loop == p or inside(loop, p) for p in pages_loop)]
    if len(pages_loop) != 1:
        raise SystemExit(f"{family} {stage} {pages} {dim} {group}: {len(pages_loop)} loops over pages, expected 1")
    token = [loop for loop in loops if inside(loop, pages_loop[0])]
    # A loop over pieces of a key, where it was not unrolled: 16 bytes a turn. Shorter ones are that of the maximum.
    pieces = dim * (2 if pages == "f16" else 1) // 16
    own = vector_cycles(code, tile, loops)
    for loop in rest:
        loads = any(code[i][0].startswith("global_load") for i in range(loop[0], loop[1] + 1))
        own += vector_cycles(code, loop, loops) * (pieces if loads else 8)
    made.update(tile=own, page=vector_cycles(code, pages_loop[0], loops), token=sum(vector_cycles(code, t, loops) for t in token))
    return made


def line(family, stage, pages, dim, group, made):
    card, units, simds, clock, bandwidth = static_cards.FAMILIES[family]
    heads = group if stage == "decode" else min(group, 2)
    queries = heads if stage == "decode" else 8
    size = 2 * (dim * 2 if pages == "f16" else dim + dim // 32 * 2)
    per_wave = 4 if family in GCN else int(made["lanes"]) // 32
    issue = (int(made["tile"]) / int(made["workgroup"]) + int(made["page"]) / PAGE + int(made["token"])) * per_wave
    memory = size * units * simds * clock / bandwidth
    row = dict(zip(COLUMNS, [family, card, stage, pages, dim, group, queries, size, 4 * dim * queries]))
    row.update({column: made[column] for column in MADE})
    row.update(issue_cycles=f"{issue:.0f}", memory_cycles=f"{memory:.0f}", bound=static_cards.bound(issue, memory))
    return {column: str(value) for column, value in row.items()}


def write(tool, families):
    old = static_cards.read_table(TABLE) if os.path.exists(TABLE) else []
    new = [line(family, *case, compile_case(tool, family, *case)) for family in families for case in CASES]
    rows = [row for row in old if row["family"] not in families] + new
    rows.sort(key=lambda row: list(static_cards.FAMILIES).index(row["family"]))
    made_with = "Made by bench/static_attention.py, which says what the columns are, with Mesa 22.3.6 (polaris10 to navi21) and 25.0.7."
    static_cards.write_table(TABLE, made_with, COLUMNS, rows)
    return 0


def main():
    if sys.argv[1:2] == ["--write"] and len(sys.argv) > 3:
        return write(sys.argv[2], sys.argv[3:])
    if sys.argv[1:]:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    rows = static_cards.read_table(TABLE)
    stale = [row for row in rows if row != line(row["family"], row["stage"], row["pages"], int(row["head_dim"]), int(row["group"]), row)]
    keys = {(row["family"], row["stage"], row["pages"], int(row["head_dim"]), int(row["group"])) for row in rows}
    missing = [(family, *case) for family in static_cards.FAMILIES for case in CASES if (family, *case) not in keys]
    for what in stale[:10] + missing[:10]:
        print(f"STALE {what}")
    print(f"{len(rows)} kernels, the memory is the bound of {sum(row['bound'].startswith('memory') for row in rows)}")
    return 1 if stale or missing else 0


sys.exit(main())

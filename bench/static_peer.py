#!/usr/bin/env python3
"""static_peer.py [--write BUILD PEER FAMILY...] - Pumice's kernels and llama.cpp's by one compiler, on AMD cards that are not there.

--write gives one operation after the other to llama.cpp's prebuilt Vulkan library (PEER: where tests/oracle/setup.sh has put
it; BUILD/pumice-llama-kernels asks it) and to Pumice (BUILD/tests/offline/offline_matmul) on the RADV that VK_DRIVER_FILES
names, reads the compiler's statistics and disassembly of the kernels that they take, and puts a line for each into
results/static-peer.csv. Without, the columns that follow from others are compared with the table. Columns:

  op, subject, rows         matmul: W [4096, 4096] of the type times so many rows of x. decode, prefill: attention over f16 pages
                            (llama.cpp: a cache of 4096 tokens), "elements of a head x heads of a KV head"
  engine, kernel            the pipeline's own name. llama.cpp: <type>_q8_1 takes x in 8 bits and packed dot products, <type>_f32
                            and _f16 do not; f16acc sums in f16; cm1 has matrix instructions, matmul_quant all types. What brings
                            x into another type before, and sums split parts after, is not in here for either
  lanes, workgroup          of the compiled subgroup; of a workgroup
  vgprs, spills, lds_bytes, waves   registers; spilled ones; shared memory; waves of a SIMD by the compiler, which counts a wave
                            of 64 on RDNA as two
  instructions, latency, inverse_throughput   of the whole kernel, by the compiler's own model, which takes each loop for 8 turns
                            and what a uniform branch guards for half: not to be compared between kernels of other loops
  products                  useful multiply-adds of a lane in a turn of the main loop: weights times rows of x (decode, prefill:
                            elements of keys and values times queries)
  vector, loads, shared, scalar   instructions of that turn: vector arithmetic (plain + of a quarter of the rate + matrix); loads
                            from and stores to memory; those of shared memory; all others but waits
  cycles                    issue cycles of a SIMD of vector arithmetic. matmul: for 32 weights of 64 lanes and one row, the unit of
                            static_roofline.py; decode, prefill: for a token of one KV head and one query
  per_product               instructions of all kinds for a product

The main loop is the one with most products, the first of several alike (llama.cpp compiles rows that are left over, and unaligned
ones, to copies behind it); of tiles in shared memory the loop around it. A loop inside counts as many times as the literals of
its condition and of its step say, once without any. Products: 4 of a packed dot product; of llama.cpp's f32 kernels the largest
power of two not above the multiply-adds, but of its K types 16 weights for each row of W, since 16 lanes share a block of 256; of
Pumice's, 32 weights times the rows that a lane has in registers; of a matrix instruction 4096 for a wave. Rows of a tile that do
not exist are not useful. A vector instruction issues in 2 cycles for 64 lanes on RDNA, in 4 on GCN; multiplications of 32-bit
integers and exp(), rcp() and the like take four times as long; a matrix instruction 32 cycles for a wave on navi31, 16 on
gfx1201; a pair (v_dual) counts once. All branches in a loop are taken to run, but those of llama.cpp's attention for more waves
than the workgroup has, and the rescaling of matmul_coopmat.comp, which a step beyond f16's range takes. What it cannot say: waits
for memory, how well loads are coalesced, and what is outside the loop.

Attention of Pumice is from static-attention.csv, whose lines have no loads, shared and scalar here. A prompt's on navi31 and
gfx1201 is not in here, since Pumice takes attention_coopmat.comp there.
"""
import os
import re
import subprocess
import sys

import static_cards

TABLE = os.path.join(static_cards.RESULTS, "static-peer.csv")
TYPES = {"Q8_0": 8, "Q4_0": 2, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "F16": 1}    # ggml's numbers
ROWS = (1, 4, 8, 16, 512)
ATTENTION = [(op, f"{dim}x{group}", 1 if op == "decode" else 64) for op in ("decode", "prefill") for dim in (64, 128)
             for group in (1, 4, 8)]
CASES = [("matmul", name, rows) for name in TYPES for rows in ROWS] + ATTENTION
ENGINES = ("pumice", "llama.cpp")
SIZE = "4096"                       # n and k
COLUMNS = ["family", "op", "subject", "rows", "engine", "kernel", "lanes", "workgroup", "vgprs", "spills", "lds_bytes", "waves",
           "instructions", "latency", "inverse_throughput", "products", "vector", "loads", "shared", "scalar", "cycles",
           "per_product"]
KEYS, MADE = COLUMNS[:5], COLUMNS[5:20]  # the rest follows
STATISTICS = {"VGPRs": "vgprs", "LDS size": "lds_bytes", "Subgroups per SIMD": "waves", "Instructions": "instructions",
              "Latency": "latency", "Inverse Throughput": "inverse_throughput"}
GCN = ("polaris10", "vega10")
MATRIX_CYCLES = {"navi31": 32, "gfx1201": 16}
SLOW = re.compile(r"v_(mul_(lo|hi)_|mad_[iu]64_|exp_|log_|rcp_|rsq_|sqrt_|sin_|cos_)")
DOT4, DOT2, PACKED = re.compile(r"v_dot4"), re.compile(r"v_(dual_)?dot2"), re.compile(r"v_pk_(fma|mul)_f16")
ONE = re.compile(r"v_(dual_)?(fma|fmac|mac|mad|mul|fmaak|fmamk|fma_mix|fma_mixlo|fma_mixhi|mad_mix|fmac_legacy)_f(16|32)")
WMMA = re.compile(r"v_wmma_")
WAITS = ("s_wait", "s_delay_alu", "s_clause", "s_nop")


# ------------------------------------------------------------------ disassembly

class Code:
    """Instructions of one kernel as RADV_DEBUG=shaders prints them, and its loops [(first, last)]."""

    def __init__(self, text):
        self.code, labels = [], {}
        for line in text.rsplit("\ndisasm:\n", 1)[1].splitlines():
            label, instruction = re.fullmatch(r"(BB\d+):", line), re.match(r"\t([a-z]\w+)(?: (.*?))?\s*;", line)
            if label:
                labels[label[1]] = len(self.code)
            elif instruction and not instruction[1].startswith(WAITS):
                self.code.append((instruction[1], instruction[2] or ""))
        self.target = [labels.get(operands.strip()) if name.startswith(("s_branch", "s_cbranch")) else None
                       for name, operands in self.code]
        ends = {to: place for place, to in enumerate(self.target) if to is not None and to <= place}
        self.loops = sorted(ends.items())

    def around(self, loop):
        """The loops that it is in, the innermost first."""
        return sorted((o for o in self.loops if o != loop and o[0] <= loop[0] and loop[1] <= o[1]), key=lambda o: o[1] - o[0])

    def inner(self, loop):
        """The loops that are in it, without those in these."""
        return [o for o in self.loops if loop in self.around(o)[:1]]

    def turns(self, loop):
        """How often a loop inside another runs, by literals: "leave when x >= LIMIT ... x += STEP", or x halves from LIMIT."""
        literal, inner = r"(0x[0-9a-f]+|\b\d+)", self.inner(loop)
        back = [self.code[i] for i in range(loop[1] - 1, loop[0] - 1, -1) if not any(o[0] <= i <= o[1] for o in inner)]
        halved = next((operands.split(",")[0] for name, operands in back[:6]
                       if name == "s_lshr_b32" and operands.endswith(", 1")), None)
        if halved:
            before = next((m for name, operands in self.code[:loop[0]][::-1] if name == "s_mov_b32"
                           for m in [re.fullmatch(rf"{halved}, (\d+)", operands)] if m), None)
            return int(before[1]).bit_length() if before else 1
        where = back if self.code[loop[1]][0].startswith("s_cbranch") else self.code[loop[0]:loop[0] + 4]
        test = next((operands for name, operands in where if re.match(r"s_cmp_[gl]|v_cmpx?_", name)), "")
        limit, register = re.search(rf"(?<![sv\d]){literal}(?![\w\]:])", test), re.search(r"\bs\d+\b|vcc_\w+", test)
        name_of = re.escape(register[0]) if register else r"\w+"
        step = next((m for name, operands in back if re.match(r"s_addk?_(co_)?[iu]32", name)
                     for m in [re.fullmatch(rf"{name_of}, (?:{name_of}, )?{literal}", operands.strip())] if m), None)
        return max(1, -(-int(limit[1], 0) // int(step[1], 0))) if limit and step else 1

    def idle(self, waves):
        """Places that run only in workgroups of more waves: a chain of "leave unless N < waves", N = 0, 1, 2, ..."""
        chain = {}
        for i, (name, operands) in enumerate(self.code[:-1]):
            found = re.fullmatch(r"(\d+), s\d+", operands) if name == "s_cmp_lt_u32" else None
            if found and self.target[i + 1] is not None and self.target[i + 1] > i:
                chain.setdefault(self.target[i + 1], []).append((int(found[1]), i))
        skipped = set()
        for end, links in chain.items():
            if len(links) > 8:
                skipped.update(range(next(i for n, i in sorted(links) if n >= waves) + 2, end))
        return skipped

    def rare(self, loop):
        """Places in a loop that a branch jumps over together with loops: the rescaling of matmul_coopmat.comp."""
        return {i for place in range(loop[0], loop[1]) for to in [self.target[place]]
                if self.code[place][0].startswith("s_cbranch_scc") and to is not None and place < to <= loop[1]
                and any(place < o[0] and o[1] < to for o in self.inner(loop)) for i in range(place + 1, to)}

    def count(self, loop, skipped=frozenset()):
        """Of a turn: {"vector", "slow", "matrix", "loads", "shared", "scalar"}, loops inside by their turns."""
        kinds = dict.fromkeys(("vector", "slow", "matrix", "loads", "shared", "scalar"), 0)
        inner = self.inner(loop)
        for i in range(loop[0], loop[1] + 1):
            if i in skipped or any(o[0] <= i <= o[1] for o in inner):
                continue
            name = self.code[i][0]
            kind = ("matrix" if WMMA.match(name) else "slow" if SLOW.match(name) else "vector" if name.startswith("v_") else
                    "loads" if name.startswith(("buffer_", "global_", "flat_", "scratch_")) else
                    "shared" if name.startswith("ds_") else "scalar")
            kinds[kind] += 1
        for o in inner:
            if o[0] not in skipped:
                turns = self.turns(o)
                for kind, n in self.count(o, skipped).items():
                    kinds[kind] += n * turns
        return kinds

    def products(self, loop, lanes):
        """(multiply-adds in packed dot products and matrix instructions, all others), loops inside by their turns."""
        exact = other = 0
        inner = self.inner(loop)
        for i in range(loop[0], loop[1] + 1):
            if any(o[0] <= i <= o[1] for o in inner):
                continue
            for name in [self.code[i][0], *re.findall(r":: (v_\w+)", self.code[i][1])]:
                exact += 4 if DOT4.match(name) else 4096 // lanes if WMMA.match(name) else 0
                other += 2 if DOT2.match(name) or PACKED.match(name) else 1 if ONE.match(name) else 0
        for o in inner:
            more = self.products(o, lanes)
            exact, other = exact + more[0] * self.turns(o), other + more[1] * self.turns(o)
        return exact, other

    def main(self, lanes):
        """The loop with most products, taken outwards while a loop around it fills shared memory: a tile's."""
        def rank(loop):
            return max(self.products(loop, lanes))
        best = max(self.loops, key=lambda loop: (rank(loop) if not self.inner(loop) else rank(loop) - 0.5, -loop[0]))
        for outer in self.around(best):
            if any(name.startswith(("ds_write", "ds_store")) for name, _ in self.code[outer[0]:outer[1]]):
                best = outer
        return best


# ---------------------------------------------------------------------- kernels

def run(command, family):
    env = {**os.environ, "RADV_FORCE_FAMILY": family, "RADV_DEBUG": "shaders,nocache", "PUMICE_CACHE": "0"}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        print(f"{family}: {' '.join(command[1:])}: {done.stdout.strip()} {done.stderr.strip()[-200:]}")
        sys.exit(77 if done.returncode == 77 else 1)
    return done.stdout, done.stderr


def pipelines(out):
    """({index: (name, lanes, constants)}, {index: statistics}, [index of each dispatch])."""
    names, statistics, dispatches = {}, {}, []
    for line in out.splitlines():
        word = line.split()
        if word[0] == "pipeline":
            constants = dict(item.split("=") for item in word[4:])
            names[word[1]] = word[2], int(word[3].split("=")[1]), {int(i): int(v) for i, v in constants.items()}
        elif word[0] == "statistic":
            statistics.setdefault(word[1], {})[" ".join(word[3:])] = int(word[2])
        elif word[0] == "dispatch":
            dispatches.append(word[1])
    return names, statistics, dispatches


def floor_power(n):
    return 1 << (n.bit_length() - 1)


def made(name, lanes, workgroup, statistics, code, products, loop, skipped=frozenset()):
    counted = code.count(loop, skipped)
    row = {column: statistics[radv] for radv, column in STATISTICS.items()}
    row.update(kernel=name, lanes=lanes, workgroup=workgroup, products=products,
               spills=statistics["Spilled SGPRs"] + statistics["Spilled VGPRs"],
               vector=f"{counted['vector']}+{counted['slow']}+{counted['matrix']}",
               loads=counted["loads"], shared=counted["shared"], scalar=counted["scalar"])
    return row


def ours(build, family, subject, rows):
    tool = os.path.join(build, "tests", "offline", "offline_matmul")
    out, shaders = run([tool, subject, str(rows), SIZE, SIZE], family)
    names, statistics, _ = pipelines(out)
    (name, lanes, constants), code = names["0"], Code(shaders)
    loop = code.main(lanes)
    exact, other = code.products(loop, lanes)
    if "tile" in name:
        products, workgroup, tile = floor_power(other), 128, 64
    elif "coopmat" in name:
        products, workgroup, tile = exact, constants[13] * lanes, constants[8] * constants[11]
    else:
        products, workgroup, tile = 32 * constants[8], constants[0], constants[8]
    return made(name, lanes, workgroup, statistics["0"], code, products * rows / (-(-rows // tile) * tile), loop,
                code.rare(loop) if "coopmat" in name else frozenset())


def theirs(build, libraries, family, op, subject, rows):
    tool = os.path.join(build, "pumice-llama-kernels")
    arguments = ["matmul", str(TYPES[subject]), str(rows), SIZE, SIZE] if op == "matmul" else \
        ["attention", *subject.split("x"), str(rows)]
    out, errors = run([tool, libraries, *arguments], family)
    names, statistics, dispatches = pipelines(out)
    index = next(i for i in dispatches if names[i][0].startswith(("mul_mat_vec_", "matmul_", "flash_attn_")))
    name, lanes, constants = names[index]
    parts = re.split(r"^PIPELINE (\d+)\n", errors, flags=re.MULTILINE)
    code = Code(parts[parts.index(index, 1) + 1])
    loop, workgroup = code.main(lanes), constants[0]
    exact, other = code.products(loop, lanes)
    if op != "matmul":
        queries = constants[1]
        used = min(queries, int(subject.split("x")[1]) if rows == 1 else queries)
        whole = constants[2] * (constants[3] + constants[4]) * queries / workgroup
        if not 1 <= (exact or other) / whole < 2:
            raise SystemExit(f"{family} {op} {subject}: {exact or other} multiply-adds of {whole:g} in the loop")
        products = whole * used / queries
        return made(name, lanes, workgroup, statistics[index], code, products, loop, code.idle(workgroup // lanes))
    if name.startswith("mul_mat_vec"):
        lines, columns = constants[1], constants[2]
        if exact:
            products = exact
        elif re.search(r"_q\d_k_", name):
            products = 16 * lines * columns
        else:
            products = floor_power(other)
        return made(name, lanes, workgroup, statistics[index], code, products, loop)
    products, tile = exact or floor_power(other), constants[2]
    if products % (constants[1] * tile * 32 / workgroup) != 0:
        raise SystemExit(f"{family} {subject} x {rows}: {products} multiply-adds in the loop of {name}")
    return made(name, lanes, workgroup, statistics[index], code, products * rows / (-(-rows // tile) * tile), loop)


# ------------------------------------------------------------------------ table

def attention_rows():
    """Pumice's lines of attention, from static-attention.csv."""
    for row in static_cards.read_table(os.path.join(static_cards.RESULTS, "static-attention.csv")):
        if row["pages"] == "f16" and (row["stage"] == "decode" or row["family"] not in MATRIX_CYCLES):
            new = {column: row.get(column, "") for column in COLUMNS}
            new.update(op=row["stage"], subject=f"{row['head_dim']}x{row['group']}", engine="pumice", kernel="attention_f16",
                       rows="1" if row["stage"] == "decode" else "64",
                       cycles=f"{float(row['issue_cycles']) / int(row['queries']):.1f}")
            yield new


def follow(row):
    """The columns that follow from the others."""
    if not row["products"]:
        return row
    plain, slow, matrix = (int(n) for n in row["vector"].split("+"))
    gcn, lanes, products = row["family"] in GCN, int(row["lanes"]), float(row["products"])
    cycles = (plain + 4 * slow) * (4 if gcn else 2) + matrix * MATRIX_CYCLES.get(row["family"], 0) * 64 // lanes
    unit = 32 if row["op"] == "matmul" else 2 * int(row["subject"].split("x")[0]) / 64
    every = plain + slow + matrix + sum(int(row[column]) for column in ("loads", "shared", "scalar"))
    row.update(cycles=f"{cycles / products * unit:.1f}", per_product=f"{every / products:.3g}")
    return row


def has(family, op):
    return op != "prefill" or family not in MATRIX_CYCLES  # there prompts take matrix instructions


def line(build, libraries, family, case, engine):
    op, subject, rows = case
    row = dict(zip(KEYS, [family, op, subject, rows, engine]))
    row.update(ours(build, family, subject, rows) if engine == "pumice" else theirs(build, libraries, family, *case))
    row["products"] = f"{row['products']:g}"
    return follow({column: str(row.get(column, "")) for column in COLUMNS})


def order(row):
    return (list(static_cards.FAMILIES).index(row["family"]), CASES.index((row["op"], row["subject"], int(row["rows"]))),
            ENGINES.index(row["engine"]))


def write(build, peer, families):
    sys.path.insert(0, os.path.join(static_cards.HERE, "peers", "llama_cpp"))
    from run import libraries
    folder = libraries(peer, "vulkan")
    old = static_cards.read_table(TABLE) if os.path.exists(TABLE) else []
    rows = [row for row in old if row["family"] not in families and row["products"]]
    rows += [line(build, folder, family, case, engine) for family in families for case in CASES for engine in ENGINES
             if has(family, case[0]) and (engine != "pumice" or case[0] == "matmul")]
    known = {row["family"] for row in rows}
    rows += [row for row in attention_rows() if row["family"] in known]
    rows.sort(key=order)
    made_with = "Made by bench/static_peer.py, which says what the columns are, with Mesa 22.3.6 (polaris10 to navi21) and " \
                "25.0.7; llama.cpp as node-llama-cpp 3.22.1 has it."
    static_cards.write_table(TABLE, made_with, COLUMNS, rows)
    return 0


def main():
    if sys.argv[1:2] == ["--write"] and len(sys.argv) > 4:
        return write(sys.argv[2], sys.argv[3], sys.argv[4:])
    if sys.argv[1:]:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    rows = static_cards.read_table(TABLE)
    stale = [row for row in rows if row["products"] and row != follow(dict(row))]
    stale += [row for row in attention_rows() if row not in rows]
    keys = [order(row) for row in rows]
    want = [(f, c, e) for f, family in enumerate(static_cards.FAMILIES) for c, case in enumerate(CASES) for e in range(2)
            if has(family, case[0])]
    for what in stale[:10] + [w for w in want if w not in keys][:10]:
        print(f"STALE {what}")
    pairs = [rows[i:i + 2] for i in range(0, len(rows), 2)] if keys == want else []
    fewer = sum(float(a["cycles"]) > float(b["cycles"]) for a, b in pairs)
    print(f"{len(pairs)} operations, llama.cpp's kernel takes fewer cycles in {fewer}")
    return 1 if stale or keys != want else 0


sys.exit(main())

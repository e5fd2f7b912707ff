"""msl.py BUILD TABLE.csv [--write] - which modules spirv-cross translates to Metal's language.

Buffer references are pointers there, from version 2.3 on; MoltenVK translates the same way.
The table has one line a module: yes, or no with the translator's reason. Fails when a module
that translated no longer does, and when one that every device needs (variants.txt: needs "-")
does not translate and the table does not say why.
"""
import csv
import re
import subprocess
import sys

import modules

MSL_VERSION = "20300"


def translate(spirv_cross, path):
    """None, or why not, in one line without commas."""
    done = subprocess.run([spirv_cross, "--msl", "--msl-version", MSL_VERSION, path], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    if done.returncode == 0 and b"kernel void main0(" in done.stdout:
        return None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return re.sub(r"[,\s]+", " ", lines[-1]) if lines else f"no kernel came out (exit code {done.returncode})"


def main():
    build, table = sys.argv[1:3]
    spirv_cross = modules.tool("spirv-cross", "spirv-cross")
    reasons = {name: translate(spirv_cross, path) for name, path in sorted(modules.built(build).items())}
    base = modules.base()
    if sys.argv[3:] == ["--write"]:
        with open(table, "w", encoding="utf-8", newline="") as file:
            file.write(f"# Made by spirv-cross --msl --msl-version {MSL_VERSION}; the target offline-tables writes it.\n")
            out = csv.writer(file, lineterminator="\n")
            out.writerow(["module", "base", "translates", "reason"])
            for name, reason in reasons.items():
                out.writerow([name, "yes" if name in base else "no", "no" if reason else "yes", reason or ""])
        return 0
    with open(table, encoding="utf-8", newline="") as file:
        known = {row["module"]: row for row in csv.DictReader(line for line in file if not line.startswith("#"))}
    bad = new = 0
    for name, reason in reasons.items():
        row = known.get(name)
        new += row is None
        if reason is None:
            continue
        if row is not None and row["translates"] == "yes":
            print(f"FAILED {name}: it did translate, now: {reason}")
            bad += 1
        elif row is None and name in base:
            print(f"FAILED {name}: every device needs it, and it does not translate: {reason}")
            bad += 1
        else:
            print(f"{name}: {reason}")
    print(f"{len(reasons)} modules, {sum(r is None for r in reasons.values())} translate, "
          f"{new} are not in the table (the target offline-tables writes it anew)")
    return 1 if bad else 0


sys.exit(main())

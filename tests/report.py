#!/usr/bin/env python3
"""report.py - what the op suite ran and what it did not: cases of each variant on each driver.

usage: report.py LOG...

LOG is what ctest keeps of a run (Testing/Temporary/LastTest.log), or a file of the same form. Prints one
row for each op and variant with its cases on each driver and the worst error of all, then every skip with
its reason and, for the planted faults, how many were killed. Exits 1 where a log has no case at all.
"""
import collections
import re
import sys

TEST = re.compile(r"^\d+/\d+ Testing: \w+\.(\w+)\.?([\w.]*)$")
RAN = re.compile(r"^  (\S.*?) +(\d+) cases, +(\d+) elements, worst error (\S+)$")
SKIPPED = re.compile(r"^ *skipped: (.+?)(?: \((\d+) cases\))?$", re.I)
KILLED = re.compile(r"^killed \d+ of \d+ mutants on \S+")


def read(paths):
    """(cases by (row, driver), worst error by row, skips by (driver, text), lines about mutants)."""
    cases, worst, skips, killed = collections.Counter(), {}, collections.Counter(), []
    for path in paths:
        driver = None
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in map(str.rstrip, file):
                test = TEST.match(line)
                if test:
                    driver = (test[2] or "-").replace(".masked", ", masked")
                elif RAN.match(line) and driver:
                    row, count, _, error = RAN.match(line).groups()
                    cases[row, driver] += int(count)
                    worst[row] = max(worst.get(row, 0.0), float(error))
                elif SKIPPED.match(line):
                    text, count = SKIPPED.match(line).groups()
                    skips[driver or "-", text] += int(count or 1)
                elif KILLED.match(line):
                    killed.append(line)
    return cases, worst, skips, killed


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.split("\n\n")[1])
    cases, worst, skips, killed = read(sys.argv[1:])
    drivers = sorted({driver for _, driver in cases})
    width = max([len(row) for row in worst], default=2)
    print(f"{'cases':{width}}  " + "  ".join(drivers) + "  worst error")
    for row in sorted(worst):
        print(f"{row:{width}}  " + "  ".join(f"{cases[row, d] or '-':>{len(d)}}" for d in drivers) + f"  {worst[row]:11.1e}")
    for (driver, text), count in sorted(skips.items()):
        print(f"skipped on {driver}: {text} ({count} cases)")
    for line in killed:
        print(line)
    sys.exit(0 if cases else 1)


if __name__ == "__main__":
    main()

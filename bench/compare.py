#!/usr/bin/env python3
"""Devices, commits or engines side by side, from the CSV files of bench/results.

usage: compare.py [--by COLUMN] [--base VALUE] [--bench NAME] [--metric NAME] [--csv] [--html PAGE] FILE...

COLUMN is what stands side by side: label (a commit), engine, device, driver or subject (a model); without it, the
first of these that differs in the files. VALUE is the one that the others are compared with; without it, the first.
A ratio is how many times better than the base: higher rates, shorter times. Its spread is that of the worst runs of
one over the best of the other, and the other way round. A number that stands there twice counts with its last date.
PAGE gets plots of the model's rows over sequences at once, context and prompt, a curve for each value, and the table.
Only Python's standard library is needed.
"""
import argparse
import csv
import sys

import compare_page

COLUMNS = ["label", "engine", "bench", "subject", "name", "metric", "device", "driver", "date", "unit", "median", "min", "max",
           "reps"]
SIDES = ["label", "engine", "device", "driver", "subject"]
# Metrics of which less is better: times, and what a start costs.
LESS = {"us", "ms_per_token", "step_ms", "first_token_ms", "first_token_ms_p50", "first_token_ms_p99", "between_ms_p50",
        "between_ms_p99", "cpu_s", "pipelines", "disk_mb", "resident_mb", "error"}
# Numbers that say what was measured, not how well.
FACTS = {"file_mb"}


class Wrong(Exception):
    """A message for the caller."""


def number(path, line, row, column):
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = float("nan")
    if not 0 <= value < 1e30:
        raise Wrong(f"{path}:{line}: {column} is '{row[column]}', expected a number from 0 up")
    return value


def read(paths):
    """Rows of all files, their numbers checked."""
    rows = []
    for path in paths:
        try:
            with open(path, encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                if reader.fieldnames != COLUMNS:
                    raise Wrong(f"{path}: the columns are {reader.fieldnames}, expected {COLUMNS}")
                for row in reader:
                    if None in row or None in row.values():
                        raise Wrong(f"{path}:{reader.line_num}: not {len(COLUMNS)} fields")
                    for column in ("median", "min", "max"):
                        row[column] = number(path, reader.line_num, row, column)
                    if not row["min"] <= row["median"] <= row["max"]:
                        raise Wrong(f"{path}:{reader.line_num}: the median {row['median']} is not from {row['min']} to {row['max']}")
                    rows.append(row)
        except OSError as error:
            raise Wrong(f"{path}: {error.strerror}") from error
    return rows


def choose_side(rows):
    for side in SIDES:
        if len({row[side] for row in rows}) > 1:
            return side
    raise Wrong("nothing to compare: label, engine, device, driver and subject are the same in all rows")


def ratio(metric, base, other):
    """(median, worst, best) times better than the base; None where one is 0."""
    a, b = (other, base) if metric in LESS else (base, other)
    if a["median"] == 0 or b["median"] == 0:
        return None
    return (b["median"] / a["median"], b["min"] / a["max"] if a["max"] > 0 else 0,
            b["max"] / a["min"] if a["min"] > 0 else float("inf"))


def last(rows, side):
    """{(value of side, case...): row}, in the order of the rows, of each the one with the last date."""
    found = {}
    for row in rows:
        key = (row[side], *(row[c] for c in ("bench", "subject", "name", "metric") if c != side))
        if key not in found or found[key]["date"] <= row["date"]:
            found[key] = row
    return found


def table(found, base):
    """[(case, {value of side: row})]; what one side alone has is left out."""
    cases = {}
    for (value, *case), row in found.items():
        cases.setdefault(tuple(case), {})[value] = row
    return [(case, sides) for case, sides in cases.items() if base in sides and len(sides) > 1]


def shown(value):
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def lines(cases, sides, base):
    yield ["case", "unit", base] + [text for side in sides for text in (side, "times better", "from", "to")]
    for key, found in cases:
        line = [" ".join(key), found[base]["unit"], shown(found[base]["median"])]
        for side in sides:
            times = ratio(found[base]["metric"], found[base], found[side]) if side in found else None
            line.append(shown(found[side]["median"]) if side in found else "")
            line += [f"{t:.2f}" for t in times] if times is not None else ["", "", ""]
        yield line


def show(text, as_csv):
    if as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(text)
        return
    widths = [max(len(line[i]) for line in text) for i in range(len(text[0]))]
    for line in text:
        print("  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0], usage=__doc__.split("\n")[2][7:])
    parser.add_argument("--by", choices=SIDES)
    parser.add_argument("--base")
    parser.add_argument("--bench")
    parser.add_argument("--metric")
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--html")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    rows = [row for row in read(args.files) if row["metric"] not in FACTS and
            args.bench in (None, row["bench"]) and args.metric in (None, row["metric"])]
    if not rows:
        raise Wrong("no such rows in the files")
    side = args.by or choose_side(rows)
    values = list(dict.fromkeys(row[side] for row in rows))
    base = args.base if args.base is not None else values[0]
    if base not in values:
        raise Wrong(f"no {side} '{base}', there are {', '.join(values)}")
    found = last(rows, side)
    cases = table(found, base)
    if not cases and args.html is None:
        raise Wrong(f"no number of {side} '{base}' is there for another {side}")
    sides = [v for v in values if v != base]
    text = list(lines(cases, sides, base))
    if args.html is not None:
        try:
            with open(args.html, "w", encoding="utf-8") as file:
                file.write(compare_page.page(found, [base] + sides, side, text if cases else []))
        except OSError as error:
            raise Wrong(f"{args.html}: {error.strerror}") from error
    if cases:
        show(text, args.csv)


if __name__ == "__main__":
    try:
        main()
    except Wrong as wrong:
        sys.exit(f"compare.py: {wrong}")

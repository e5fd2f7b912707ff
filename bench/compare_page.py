"""compare_page.py - what compare.py has side by side as one self-contained page: no scripts, no fonts, no network; light or
dark as the reader's system is. tools/bench_html.c draws the same plots of one run: there no Python need be."""
import html
import math
import re

COLOURS = [("#0b67b2", "#6cb6ff"), ("#c2410c", "#ff9d5c"), ("#15803d", "#5bd39b"), ("#7c3aed", "#c4a5ff"),
           ("#a16207", "#facc15"), ("#be185d", "#f9a8d4")]
# Names of rows with their x, the metric, the caption, both axes' labels, and whether x is logarithmic.
FIGURES = [
    (re.compile(r"batch(\d+) tg\d+@\d+"), "tokens_per_s", "Throughput over sequences at once", "sequences at once",
     "tokens per second, all together", True),
    (re.compile(r"tg\d+@(\d+)"), "ms_per_token", "Latency over context", "tokens before", "milliseconds per generated token",
     False),
    (re.compile(r"pp(\d+)"), "tokens_per_s", "Prompt rate over its length", "tokens of the prompt",
     "prompt tokens per second", True),
]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 520, 340, 64, 508, 12, 288
STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #5f6b76; --paper: #fcfcfb; --line: #dfe3e6; %s }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --dim: #9ba5ae; --paper: #16181a; --line: #33383d; %s } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 0; } figcaption { font-weight: 600; }
figure { margin: 1rem 0 0; } .dim { color: var(--dim); } .wide { overflow-x: auto; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%%), 1fr)); gap: 0 2rem; }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%%; margin: 0 .4rem 0 0; }
.keys span { margin-right: 1.5rem; white-space: nowrap; }
svg { width: 100%%; height: auto; max-width: 520px; font: 12px system-ui, sans-serif; }
@media (max-width: 40rem) { svg { font-size: 15px; } }
svg text { fill: var(--ink); } svg .tick { fill: var(--dim); } svg .grid { stroke: var(--line); }
svg .frame { fill: none; stroke: var(--dim); } svg polyline { fill: none; stroke-width: 2; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-top: .5rem; }
th, td { text-align: right; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 600; } td:first-child, th:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
"""


def ticks(low, high, is_log):
    """Powers of two, or about five round numbers."""
    if is_log:
        first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
        return [2.0 ** i for i in range(first, last + 1, max(1, (last - first) // 8))]
    wanted = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    step = power * next(n for n in (1, 2, 5, 10) if n * power >= wanted * 0.8)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def figure(series, caption, x_label, y_label, is_log):
    """series: {number of its colour: [(x, median, min, max, what a pointer on it is told)]}."""
    points = [p for curve in series.values() for p in curve]
    left = min(p[0] for p in points) / 1.3 if is_log else 0.0
    right = max(p[0] for p in points) * (1.3 if is_log else 1.06)
    top = max(p[3] for p in points) * 1.08

    def at(x, y):
        share = math.log(x / left) / math.log(right / left) if is_log else x / right
        return f"{LEFT + (RIGHT - LEFT) * share:.1f}", f"{BOTTOM - (BOTTOM - TOP) * y / top:.1f}"

    out = [f'<figure><figcaption>{caption}</figcaption>',
           f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{y_label} over {x_label}">']
    for x in ticks(max(left, 1e-9), right, is_log):
        px, _ = at(x, 0)
        out.append(f'<line class="grid" x1="{px}" x2="{px}" y1="{TOP}" y2="{BOTTOM}"/>'
                   f'<text class="tick" x="{px}" y="{BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    for y in ticks(0.0, top, False):
        _, py = at(right, y)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{py}" y2="{py}"/>'
                   f'<text class="tick" x="{LEFT - 8}" y="{py}" dy="4" text-anchor="end">{y:g}</text>')
    out.append(f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"/>'
               f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{x_label}</text>'
               f'<text transform="translate(16 {(TOP + BOTTOM) / 2}) rotate(-90)" text-anchor="middle">{y_label}</text>')
    for colour, curve in series.items():
        name = f"var(--s{colour})"
        path = " ".join(",".join(at(p[0], p[1])) for p in curve)
        out.append(f'<polyline style="stroke: {name}" points="{path}"/>')
        for x, median, low, high, told in curve:
            (px, py), (_, y1), (_, y2) = at(x, median), at(x, low), at(x, high)
            out.append(f'<line style="stroke: {name}" x1="{px}" x2="{px}" y1="{y1}" y2="{y2}"/>'
                       f'<circle style="fill: {name}" cx="{px}" cy="{py}" r="4"><title>{html.escape(told)}</title></circle>')
    return "\n".join(out + ["</svg></figure>"])


def curves(found, values, side, pattern, metric):
    """{title: {number of the value: its points}}; each model has plots of its own, unless models are side by side."""
    titles = {}
    for (value, *rest), row in found.items():
        match = pattern.fullmatch(row["name"])
        if row["bench"] != "model" or row["metric"] != metric or not match or row["median"] <= 0 or int(match[1]) == 0:
            continue
        title = row["subject"] if side != "subject" else "models"
        told = f"{value}, {row['name']}: {row['median']:.4g} {row['unit']} ({row['min']:.4g} to {row['max']:.4g}), {row['date']}"
        titles.setdefault(title, {}).setdefault(values.index(value), []).append(
            (int(match[1]), row["median"], row["min"], row["max"], told))
    return {title: {i: sorted(curve) for i, curve in sorted(series.items())} for title, series in titles.items()}


def page(found, values, side, text):
    """The page's text. found: {(value of side, ...): row}; values: in the order of their colours; text: the table's lines, of
    which the first is its head."""
    left_out = values[len(COLOURS):]
    values = values[:len(COLOURS)]
    found = {key: row for key, row in found.items() if key[0] in values}
    light, dark = (" ".join(f"--s{i}: {c[k]};" for i, c in enumerate(COLOURS)) for k in (0, 1))
    keys = "".join(f'<span><i class="key" style="background: var(--s{i})"></i>{html.escape(v)}</span>'
                   for i, v in enumerate(values))
    out = ['<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">',
           '<meta name="viewport" content="width=device-width, initial-scale=1">',
           f"<title>Pumice by {side}</title>\n<style>{STYLE % (light, dark)}</style>",
           f'<h1>Side by side: {side}</h1>\n<p class="keys">{keys}</p>']
    if left_out:
        out.append(f'<p class="dim">Not in the plots, which have {len(COLOURS)} colours: {html.escape(", ".join(left_out))}</p>')
    titles = {}
    for pattern, metric, caption, x_label, y_label, is_log in FIGURES:
        for title, series in curves(found, values, side, pattern, metric).items():
            titles.setdefault(title, []).append(figure(series, caption, x_label, y_label, is_log))
    for title, figures in titles.items():
        out += [f"<h2>{html.escape(title)}</h2>", '<div class="plots">', *figures, "</div>"]
    if len(text) > 1:
        out.append(f'<h2>Times better than {html.escape(values[0])} <span class="dim">from: the worst run of one over the best of '
                   'the other; to: the other way round</span></h2>\n<div class="wide"><table>')
        for i, line in enumerate(text):
            cell = "th" if i == 0 else "td"
            out.append("<tr>" + "".join(f"<{cell}>{html.escape(c)}</{cell}>" for c in line) + "</tr>")
        out.append("</table></div>")
    return "\n".join(out) + "\n"

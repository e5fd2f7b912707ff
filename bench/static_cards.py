"""static_cards.py - AMD's cards by published figures, and tables of them, for static_roofline, _attention and _peer.py."""
import csv
import os

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, "results")

# Published figures: compute units, SIMDs of one, boost clock in Hz, bytes a second of memory.
# Cards: AMD's product pages of each ("Specifications": compute units, boost frequency, memory bandwidth). SIMDs: four of
# 16 lanes in a unit of GCN (AMD, "Graphics Cores Next (GCN) Architecture", white paper, 2012), two of 32 in one of RDNA
# (AMD, "Introducing RDNA Architecture", white paper, 2019).
FAMILIES = {
    "polaris10": ("Radeon RX 480", 36, 4, 1.266e9, 256e9),
    "vega10": ("Radeon RX Vega 64", 64, 4, 1.546e9, 484e9),
    "navi10": ("Radeon RX 5700 XT", 40, 2, 1.905e9, 448e9),
    "navi21": ("Radeon RX 6900 XT", 80, 2, 2.250e9, 512e9),
    "navi31": ("Radeon RX 7900 XTX", 96, 2, 2.500e9, 960e9),
    "gfx1201": ("Radeon RX 9070 XT", 64, 2, 2.970e9, 640e9),
}


def bound(issue, memory):
    return f"issue {issue / memory:.1f}" if issue > memory else f"memory {memory / issue:.1f}"


def read_table(path):
    """Its rows, each a dict of strings; lines that begin with # are none."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def write_table(path, comment, columns, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(f"# {comment}\n")
        out = csv.DictWriter(file, columns, lineterminator="\n")
        out.writeheader()
        out.writerows(rows)

"""What the peers' scripts share: medians, and rows in the files of bench/results as pumice bench --results writes them."""
import csv
import datetime
import json
import os
import re
import statistics
import subprocess

COLUMNS = ["label", "engine", "bench", "subject", "name", "metric", "device", "driver", "date", "unit", "median", "min", "max",
           "reps"]
KEY = COLUMNS[:6]


def slug(text):
    """As tools/bench_rows.c has it: "nvidia-h200" of "NVIDIA H200 (x)"."""
    return re.sub(r"[^a-z0-9.]+", "-", text.split("(")[0].lower()).strip("-.")


def row(label, engine, bench, subject, name, metric, device, driver, unit, values):
    """One line of a file; values: of all runs."""
    numbers = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {"label": label, "engine": engine, "bench": bench, "subject": subject, "name": name, "metric": metric,
            "device": device, "driver": driver, "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
            "unit": unit, **{k: f"{v:.6g}" for k, v in numbers.items()}, "reps": str(len(values))}


def collect(folder, device, driver, rows):
    """Puts them into FOLDER/<device>-<driver>.csv, in the place of those with the same key. Returns its path."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{slug(device)}-{slug(driver)}.csv")
    old = []
    if os.path.exists(path):
        with open(path, encoding="utf-8", newline="") as file:
            old = list(csv.DictReader(file))
    fresh = {tuple(r[k] for k in KEY) for r in rows}
    with open(path + ".part", "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows([r for r in old if tuple(r[k] for k in KEY) not in fresh] + rows)
    os.replace(path + ".part", path)
    return path


def pumice_json(pumice, *args):
    """What a subcommand prints with --json."""
    done = subprocess.run([pumice, *map(str, args), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"pumice {args[0]}: {done.stderr.decode(errors='replace').strip()}")
    return json.loads(done.stdout)


def pumice_device(pumice):
    """(name, driver) of the device that Pumice takes by itself."""
    devices = pumice_json(pumice, "devices")
    devices = devices["devices"] if isinstance(devices, dict) else devices
    wanted = os.environ.get("PUMICE_DEVICE", "")
    for device in devices:
        if wanted in ("", str(device["index"]), device["uuid"]) or wanted.lower() in device["name"].lower():
            return device["name"], device["driver"]
    raise RuntimeError(f"no Vulkan device '{wanted}'")

"""pumice bench ops, model, startup, trace and all, on the driver that the environment names.

usage: test_bench.py PUMICE

No time is asserted: only that every number is one that a device can have, and that they fit together.
"""
import csv
import html.parser
import json
import os
import tempfile

from program import DEMO, Case, main, run

OPS = ("bench", "ops", "--op", "matmul,rmsnorm,attention", "--type", "q8_0,f32", "--rows", "1,3", "--matrix", "64x256", "--reps", 1)
MODEL = ("bench", "model", "-m", DEMO, "--context", "8,40", "--batch", "1,3", "--tg", 4, "--reps", 2)
# More than any device does.
LIMITS = {"GB/s": 20e3, "GFLOP/s": 20e6, "GOP/s": 20e6, "tok/s": 1e7, "us": 1e9, "ms": 1e7, "ms/tok": 1e7, "%": 1e4}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.outside, self.words, self.svgs, self.points = [], [], 0, 0

    def handle_starttag(self, tag, attrs):
        self.svgs += tag == "svg"
        self.points += tag == "circle"
        self.outside += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.outside += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


class Bench(Case):
    def rows(self, *args, env=None):
        found = json.loads(self.ok(*args, "--json", env=env))
        for key in ("version", "label", "date", "device", "driver"):
            self.assertTrue(found[key])
        for row in found["rows"]:
            self.assertTrue(row["metrics"], row)
            for name, m in row["metrics"].items():
                self.assertLessEqual(m["min"], m["median"], row)
                self.assertLessEqual(m["median"], m["max"], row)
                if name in ("error", "disk_mb"):
                    self.assertGreaterEqual(m["min"], 0, row)
                elif not (row["bench"] == "ops" and row["x"] == 0):
                    self.assertGreater(m["min"], 0, row)
                self.assertLess(m["max"], LIMITS.get(m["unit"], 1e9), row)
        return found["rows"]

    def of(self, rows, bench):
        return [row for row in rows if row["bench"] == bench]

    def test_ops(self):
        rows = self.rows(*OPS)
        self.assertEqual({row["bench"] for row in rows}, {"device", "ops"})
        names = [row["name"] for row in self.of(rows, "device")]
        self.assertEqual(names[:3], ["memory, read", "memory, copied", "f32 multiply-adds"])
        ops = self.of(rows, "ops")
        self.assertEqual([row["subject"] for row in ops].count("matmul"), 4)
        for row in ops:
            metrics = row["metrics"]
            self.assertTrue(row["picked"])
            self.assertIn(row["note"], ("memory", "f32", "f16", "int8", "matrix"))
            self.assertLess(metrics["error"]["max"], 0.01, row)
            if row["subject"] == "matmul":  # 2 operations a weight and row
                flops = metrics["gflop_per_s"]["median"] * metrics["us"]["median"] * 1e3
                rows_of_x = int(row["name"].split()[3])
                self.assertAlmostEqual(flops / (2 * 64 * 256 * rows_of_x), 1, delta=1e-3)
                self.assertAlmostEqual(metrics["gflop_per_s"]["median"] / metrics["gb_per_s"]["median"] / row["x"], 1, delta=1e-3)

    def test_variants_by_name(self):
        rows = self.of(self.rows("bench", "ops", "--op", "matmul", "--type", "q8_0", "--rows", 1, "--matrix", "64x256",
                                 "--variants", "rows1,rows2,tile64", "--reps", 1), "ops")
        self.assertEqual([row["name"].split()[2] for row in rows], ["rows1", "rows2", "tile64"])
        self.assertLessEqual(sum(row["picked"] for row in rows), 1)

    def test_model(self):
        rows = self.of(self.rows(*MODEL), "model")
        self.assertEqual([row["name"] for row in rows],
                         ["pp8", "tg4@8", "pp40", "tg4@40", "batch1 tg4@1", "batch3 tg4@1"])
        self.assertEqual({row["subject"] for row in rows}, {"pumice-demo-q8_0"})
        for row in rows[:4]:
            rate, ms = row["metrics"]["tokens_per_s"], row["metrics"]["ms_per_token"]
            self.assertAlmostEqual(rate["min"] * ms["max"], 1e3, delta=0.1)
        self.assertEqual(rows[5]["x"], 3)
        self.assertIn("percent_of_bandwidth", rows[1]["metrics"])

    def test_startup(self):
        with tempfile.TemporaryDirectory() as folder:
            rows = self.of(self.rows("bench", "startup", "-m", DEMO, "--starts", 1, env={"TMPDIR": folder}), "startup")
            self.assertEqual(os.listdir(folder), [])
        cold, warm = (row["metrics"] for row in rows)
        self.assertEqual([row["name"] for row in rows], ["cold", "warm"])
        # A cold start tests its kernels, for which it builds some more.
        self.assertGreaterEqual(cold["pipelines"]["median"], warm["pipelines"]["median"])
        self.assertAlmostEqual(cold["file_mb"]["median"], os.path.getsize(DEMO) * 1e-6, delta=1e-3)

    def test_trace(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.97,20,3\n2023-11-16 18:17:04.03,9,5\n")
            file.flush()
            row, = self.of(self.rows("bench", "trace", "-m", DEMO, "--trace", file.name), "trace")
        self.assertEqual(row["name"], "trace of 2 requests, 16 at once")
        self.assertLessEqual(row["metrics"]["first_token_ms_p50"]["median"], row["metrics"]["first_token_ms_p99"]["median"])

    def test_csv_and_the_collection(self):
        with tempfile.TemporaryDirectory() as folder:
            results = os.path.join(folder, "results")
            args = ("bench", "ops", "--op", "rmsnorm", "--rows", "1,2", "--reps", 2, "--csv", "--results", results)
            rows = list(csv.DictReader(self.ok(*args, "--label", 'one, "quoted"').decode().splitlines()))
            name, = os.listdir(results)
            self.assertRegex(name, r"^[a-z0-9.-]+\.csv$")
            path = os.path.join(results, name)

            def collected():
                with open(path, encoding="utf-8", newline="") as file:
                    return list(csv.DictReader(file))
            self.assertEqual(collected(), rows)
            self.assertEqual({row["label"] for row in rows}, {'one, "quoted"'})
            self.assertEqual({row["engine"] for row in rows}, {"pumice"})
            for row in rows:
                self.assertLessEqual(float(row["min"]), float(row["median"]))
                self.assertLessEqual(float(row["median"]), float(row["max"]))
            us = [row for row in rows if row["metric"] == "us"]
            self.assertEqual([row["reps"] for row in us], ["2", "2"])
            again = list(csv.DictReader(self.ok(*args, "--label", 'one, "quoted"').decode().splitlines()))
            self.assertEqual(collected(), again)  # in the place of those before
            other = list(csv.DictReader(self.ok(*args, "--label", "two").decode().splitlines()))
            self.assertEqual(collected(), again + other)
            code, _, err = run(*args[:-1], os.path.join(folder, "no", "where"))
            self.assertEqual(code, 1)
            self.assertIn("no/where", err)

    def test_all_as_a_page(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "bench.html")
            text = self.ok("bench", "all", *OPS[2:-2], *MODEL[2:-2], "--reps", 1, "--starts", 1, "--html", path).decode()
            with open(path, encoding="utf-8") as file:
                page = file.read()
            code, _, err = run(*OPS, "--html", os.path.join(folder, "gone", "bench.html"))
        for bench in ("device", "ops (* what an engine takes)", "model pumice-demo-q8_0", "startup"):
            self.assertIn(f"\n{bench}\n", text)
        parser = Page()
        parser.feed(page)
        self.assertEqual(parser.outside, [])
        self.assertIn("prefers-color-scheme: dark", page)
        self.assertEqual(parser.svgs, 4)
        self.assertGreater(parser.points, 12)
        for words in ("GFLOP/s", "operations per byte moved", "sequences at once", "tokens per second, all together",
                      "milliseconds per generated token", "tokens of the prompt", "pp40", "cold"):
            self.assertIn(words, parser.words)
        self.assertNotIn("nan", page)
        self.assertNotIn("inf\"", page)
        self.assertEqual(code, 1)
        self.assertIn("bench.html", err)

    def test_what_is_wrong_is_refused(self):
        self.assertIn("did you mean 'ops'", self.usage("bench", "opps"))
        self.assertIn("-m FILE", self.usage("bench", "model"))
        self.assertIn("-m FILE", self.usage("bench", "startup"))
        self.assertIn("--trace FILE", self.usage("bench", "trace", "-m", DEMO))
        self.assertIn("--rows", self.usage("bench", "ops", "--rows", "1,0"))
        self.assertIn("--rows", self.usage("bench", "ops", "--rows", ""))
        self.assertIn("--rows", self.usage("bench", "ops", "--rows", "4096"))
        self.assertIn("--matrix", self.usage("bench", "ops", "--matrix", "64x100"))
        self.assertIn("--matrix", self.usage("bench", "ops", "--matrix", "64"))
        self.assertIn("--batch", self.usage("bench", "model", "-m", DEMO, "--batch", "1,257"))
        self.assertIn("--context", self.usage("bench", "model", "-m", DEMO, "--context", "-1"))
        self.assertIn("--starts", self.usage("bench", "startup", "-m", DEMO, "--starts", 0))
        self.assertIn("--json and --csv", self.usage("bench", "ops", "--json", "--csv"))
        code, _, err = run("bench", "ops", "--op", "multiply")  # op.measure has the other names
        self.assertEqual(code, 1)
        self.assertIn("no op 'multiply', there are", err)
        code, _, err = run("bench", "startup", "-m", "no-such-file.gguf")
        self.assertEqual(code, 1)
        self.assertIn("no-such-file.gguf", err)
        code, _, err = run("bench", "model", "-m", DEMO, "--context", "100000", "--tg", 4)
        self.assertEqual(code, 2)
        self.assertIn("--context 100000", err)


if __name__ == "__main__":
    main()

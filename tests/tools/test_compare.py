"""bench/compare.py: ratios and their spread, and files that it must refuse.

usage: test_compare.py PUMICE (which is not run)
"""
import csv
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

from program import SOURCE, main

COMPARE = os.path.join(SOURCE, "bench", "compare.py")
HEAD = "label,engine,bench,subject,name,metric,device,driver,date,unit,median,min,max,reps\n"


def line(label, metric, median, low, high, name="pp512", date="2026-11-29", device="card", engine="pumice"):
    return f'{label},{engine},model,"m, q8_0",{name},{metric},{device},d 1,{date},u,{median},{low},{high},3\n'


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, *lines, head=HEAD, name="a.csv"):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(head + "".join(lines))
        return path

    def compare(self, *args):
        done = subprocess.run([sys.executable, COMPARE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def rows(self, *args):
        code, out, err = self.compare("--csv", *args)
        self.assertEqual(code, 0, err)
        return list(csv.reader(out.splitlines()))

    def test_a_rate_and_a_time(self):
        path = self.file(line("old", "tokens_per_s", 100, 80, 110), line("old", "ms_per_token", 10, 9, 12.5),
                         line("new", "tokens_per_s", 200, 160, 220), line("new", "ms_per_token", 5, 4, 6))
        head, rate, time = self.rows(path)
        self.assertEqual(head[2:4], ["old", "new"])
        self.assertEqual(rate[0], "model m, q8_0 pp512 tokens_per_s")
        self.assertEqual(rate[2:], ["100", "200", "2.00", f"{160 / 110:.2f}", f"{220 / 80:.2f}"])
        self.assertEqual(time[2:], ["10", "5", "2.00", f"{9 / 6:.2f}", f"{12.5 / 4:.2f}"])
        self.assertEqual(self.rows("--base", "new", path)[1][4], "0.50")

    def test_the_sides(self):
        one = self.file(line("a", "tokens_per_s", 10, 10, 10), line("a", "tokens_per_s", 99, 99, 99, name="alone"))
        two = self.file(line("a", "tokens_per_s", 30, 30, 30, device="other"), name="b.csv")
        three = self.file(line("a", "tokens_per_s", 5, 5, 5, engine="llama.cpp"), name="c.csv")
        head, row = self.rows(one, two)
        self.assertEqual((head[2:4], row[4]), (["card", "other"], "3.00"))
        head, row = self.rows("--by", "engine", "--base", "llama.cpp", one, three)
        self.assertEqual((head[2:4], row[4]), (["llama.cpp", "pumice"], "2.00"))

    def test_the_last_of_a_number_counts(self):
        path = self.file(line("a", "tokens_per_s", 10, 10, 10), line("b", "tokens_per_s", 40, 40, 40, date="2026-11-30"),
                         line("b", "tokens_per_s", 20, 20, 20))
        self.assertEqual(self.rows(path)[1][4], "4.00")

    def page(self, *args):
        path = os.path.join(self.folder.name, "page.html")
        code, out, err = self.compare("--html", path, *args)
        self.assertEqual(code, 0, err)
        with open(path, encoding="utf-8") as file:
            return file.read(), out

    def test_a_page_has_a_curve_for_each(self):
        batches = [line(label, "tokens_per_s", rate * n, rate * n - 1, rate * n + 1, name=f"batch{n} tg8@1")
                   for label, rate in (("<old>", 10), ("new", 20)) for n in (16, 1, 4)]
        page, out = self.page(self.file(*batches, line("new", "ms_per_token", 5, 4, 6, name="tg8@128")))
        self.assertIn("times better", out)
        self.assertEqual(page.count("<svg"), 2) # of prompts nothing is there
        self.assertEqual(page.count("<polyline"), 3)
        self.assertEqual(page.count("<circle"), 7)
        self.assertNotIn("<old>", page)
        self.assertIn("&lt;old&gt;, batch16 tg8@1: 160 u (159 to 161)", page)
        for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
            xml.etree.ElementTree.fromstring(svg)
        for path in re.findall(r'points="([^"]*)"', page): # from left to right, within the frame
            xs, ys = zip(*(map(float, p.split(",")) for p in path.split()))
            self.assertEqual(list(xs), sorted(xs))
            self.assertTrue(all(64 <= x <= 508 for x in xs) and all(12 <= y <= 288 for y in ys), path)

    def test_a_page_of_one_and_of_many(self):
        page, out = self.page("--by", "label", self.file(line("only", "tokens_per_s", 9, 9, 9)))
        self.assertEqual((page.count("<circle"), page.count("<table"), out), (1, 0, ""))
        page, _ = self.page(self.file(*(line(f"l{i}", "tokens_per_s", 9, 9, 9) for i in range(8))))
        self.assertEqual(page.count("<circle"), 6)
        self.assertIn("l6, l7", page)
        code, _, err = self.compare("--html", os.path.join(self.folder.name, "no", "x"), "--by", "label",
                                    self.file(line("only", "tokens_per_s", 9, 9, 9)))
        self.assertEqual(code, 1)
        self.assertIn("No such file", err)

    def test_zeros_have_no_ratio(self):
        path = self.file(line("a", "disk_mb", 0, 0, 0), line("b", "disk_mb", 1, 1, 1))
        self.assertEqual(self.rows(path)[1][3:], ["1", "", "", ""])

    def test_what_is_wrong_is_named(self):
        good = line("a", "tokens_per_s", 1, 1, 1)
        for args, text in (
                ([self.file(good, head="x,y\n", name="head.csv")], "head.csv: the columns are"),
                ([self.file(good[:30] + "\n", name="short.csv")], "short.csv:2: not 14 fields"),
                ([self.file(line("a", "us", "x", 1, 1), name="text.csv")], "text.csv:2: median is 'x'"),
                ([self.file(line("a", "us", 1, 1, "nan"), name="nan.csv")], "nan.csv:2: max is 'nan'"),
                ([self.file(line("a", "us", 1, 2, 3), name="order.csv")], "order.csv:2: the median"),
                ([os.path.join(self.folder.name, "gone.csv")], "gone.csv: No such file"),
                ([self.file(good, name="one.csv")], "nothing to compare"),
                (["--by", "label", "--base", "z", self.file(good, name="base.csv")], "no label 'z', there are a"),
                (["--bench", "ops", self.file(good, name="none.csv")], "no such rows"),
        ):
            code, out, err = self.compare(*args)
            self.assertEqual((code, out), (1, ""), err)
            self.assertIn(text, err)


if __name__ == "__main__":
    main()

"""pumice verify and the self-test at start, with the program and with kernels of it that are wrong.

usage: test_verify.py PUMICE PUMICE-WITH-MODULES

A mutant is the program with one module replaced by another (tests/modules.h): "rows" reads Q8_0 weights as
if they were Q4_0 in the matmul whose lanes own rows, "lanes" in the one for CPUs.
"""
import html.parser
import json
import os
import re
import shutil
import sys
import tempfile

WITH_MODULES = sys.argv.pop(2)
SPV = os.path.join(os.environ.get("PUMICE_TEST_BINARY", ""), "spv")

import program  # noqa: E402 (takes its own argument)
from program import DEMO, Case, main, run  # noqa: E402

ANSWER = ("run", "-m", DEMO, "-p", "The fox and the bell", "-n", 24, "--temp", 0, "--ignore-eos")


def rows_of(*args):
    code, out, err = run("verify", "--json", *args)
    return code, json.loads(out), err


def picked():
    """The family ("rows", "lanes", "texels") of the kernel that multiplies Q8_0 weights here."""
    _, found, _ = rows_of()
    names = [r["variant"] for r in found["rows"] if (r["op"], r["type"]) == ("matmul", "q8_0")]
    return re.match("[a-z]+", names[0])[0]


MODULES = {"rows": "matmul", "lanes": "matmul_lanes", "texels": "matmul_texels"}


class WithMutant:
    """Runs the mutant in place of the program, with a cache of its own."""

    def __init__(self, family):
        self.module = MODULES[family]

    def __enter__(self):
        self.saved, program.PUMICE = program.PUMICE, WITH_MODULES
        self.folder = tempfile.TemporaryDirectory()
        modules = os.path.join(self.folder.name, "modules")
        os.mkdir(modules)
        shutil.copy(os.path.join(SPV, self.module + "_q4_0.spv"), os.path.join(modules, self.module + "_q8_0.spv"))
        return {"XDG_CACHE_HOME": self.folder.name, "PUMICE_TEST_MODULES": modules}

    def __exit__(self, *_):
        program.PUMICE = self.saved
        self.folder.cleanup()


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.cells = 0
        self.outside = []

    def handle_starttag(self, tag, attrs):
        self.cells += tag == "td"
        self.outside += [v for k, v in attrs if k in ("src", "href")] + [tag] * (tag in ("script", "link", "img"))


class Verify(Case):
    def test_every_op_passes_and_what_cannot_run_is_no_pass(self):
        code, found, err = rows_of()
        self.assertEqual(code, 0, err)
        self.assertEqual(found["failed"], 0)
        self.assertEqual({r["op"] for r in found["rows"]},
                         {"embedding", "matmul", "rmsnorm", "swiglu", "rope_kv", "attention", "argmax"})
        verdicts = [r["verdict"] for r in found["rows"]]
        self.assertEqual(verdicts.count("pass"), found["passed"])
        self.assertEqual(verdicts.count("not supported"), found["unsupported"])
        for r in found["rows"]:
            if r["verdict"] == "pass":
                self.assertGreater(r["elements"], 0)
                self.assertLessEqual(r["error"], r["bound"])
            else:
                self.assertEqual(r["elements"], 0)
                self.assertNotEqual(r["detail"], "")

    def test_full_has_every_variant_and_a_masked_capability_is_not_supported(self):
        if os.environ.get("PUMICE_TEST_FULL") != "1":
            self.skipTest("a full run takes minutes of compiling; PUMICE_TEST_FULL=1 has one")
        code, out, err = run("verify", "--json", "--full", env={"PUMICE_CAPS": "-subgroup"})
        self.assertEqual(code, 0, err)
        variants = {r["variant"]: r["verdict"] for r in json.loads(out)["rows"]
                    if (r["op"], r["type"]) == ("matmul", "q8_0")}
        self.assertEqual(variants["lanes16"], "not supported")
        self.assertEqual(variants["texels16"], "not supported")
        self.assertEqual(variants["texels24_uniform"], "not supported")
        self.assertEqual(variants["rows1"], "pass")

    def test_the_page_stands_alone_and_has_every_row(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.html")
            text = self.ok("verify", "--html", path).decode()
            with open(path, encoding="utf-8") as file:
                page = file.read()
        parser = Page()
        parser.feed(page)
        self.assertEqual(parser.outside, [])
        self.assertIn("prefers-color-scheme: dark", page)
        rows = sum(line.split()[0] in ("embedding", "matmul", "rmsnorm", "swiglu", "rope_kv", "attention", "argmax")
                   for line in text.splitlines() if line.strip())
        self.assertEqual(parser.cells, rows * 10)
        code, _, err = run("verify", "--html", os.path.join(folder, "gone", "report.html"))
        self.assertEqual(code, 1)
        self.assertIn("report.html", err)

    def test_options_are_checked(self):
        self.usage("verify", "--seed", "0")
        self.usage("verify", "--fast")
        code, _, err = run("verify", "--device", "no such device")
        self.assertEqual(code, 1)
        self.assertIn("no such device", err)


class Mutant(Case):
    def test_verify_fails_for_the_wrong_kernel_and_for_no_other(self):
        family = picked()
        with WithMutant(family) as env:
            code, out, err = run("verify", "--json", env=env)
            self.assertEqual(code, 1, err)
            wrong = {(r["op"], r["type"]) for r in json.loads(out)["rows"] if r["verdict"] == "FAIL"}
            self.assertEqual(wrong, {("matmul", "q8_0")})
            code, out, _ = run("verify", env=env)
            self.assertEqual(code, 1)
            self.assertIn(b"FAIL", out)

    def test_a_start_takes_the_wrong_kernel_out_and_the_text_is_right(self):
        expected = self.ok(*ANSWER)
        family = picked()
        with WithMutant(family) as env:
            code, unchecked, _ = run(*ANSWER, env={**env, "PUMICE_VERIFY": "0"})
            self.assertNotEqual(unchecked, expected)  # the fault is one that shows
            for start in ("first", "second"):  # the second start reads what the first found
                code, out, err = run(*ANSWER, env=env)
                if family == "rows" and code != 0:  # subgroups of 4: nothing else multiplies Q8_0 here
                    self.assertRegex(err, "matmul: no variant for weights of type Q8_0")
                    self.assertEqual(out, b"")
                else:
                    self.assertEqual((code, out), (0, expected), f"{start} start: {err}")
                self.assertRegex(err, rf"self-test: .+ \(.+\) gets variant {family}\d+ of matmul wrong for type q8_0")

    def test_a_start_says_nothing_when_all_is_right(self):
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                code, _, err = run(*ANSWER, env={"XDG_CACHE_HOME": folder})
                self.assertEqual(code, 0, err)
                self.assertNotIn("self-test", err)
            self.assertEqual(sum(name.startswith("verified-") for name in os.listdir(os.path.join(folder, "pumice"))), 1)
            code, _, err = run(*ANSWER, env={"XDG_CACHE_HOME": folder, "PUMICE_LOG": "engine"})
            self.assertRegex(err, r"self-test: \d+ kernels, 0 run now")


if __name__ == "__main__":
    main()

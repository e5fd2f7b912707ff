"""bench/peers: llama.cpp and transformers beside Pumice. Where they are not there, in their place programs that answer alike.

usage: test_peers.py PUMICE PUMICE-LLAMA-BENCH

With PUMICE_TEST_PEER=DIR (tests/oracle/setup.sh peer DIR) the real llama.cpp runs, too.
"""
import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

HARNESS = os.path.abspath(sys.argv.pop(2))

from program import DEMO, PUMICE, SOURCE, main  # noqa: E402

PEERS = os.path.join(SOURCE, "bench", "peers")
RUN = os.path.join(PEERS, "llama_cpp", "run.py")
# As pumice-llama-bench.
FAKE = """#!/usr/bin/env python3
import os, sys
if "none" in sys.argv[1]:
    print("skipped: nothing there"); sys.exit(77)
print("first 0.5", flush=True)
names = [a for a in sys.argv[3:] if "=" in a and a.split("=")[1]]
found = dict(a.split("=") for a in names)
rates = {}
if "pp" in found:
    rates.update({"pp" + n: 1.5 for n in found["pp"].split(",")})
    rates["tg" + found["tg"]] = 0.25
    rates.update({"batch" + n: 2.0 for n in found["batch"].split(",")})
body = ", ".join('"%s": %s' % r for r in rates.items())
print('{"devices": ["Vulkan0: card", "CPU: c"]%s}' % (", " + body if body else ""))
"""


def call(*args, env=None):
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Peers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.pumice = ("--pumice", os.path.abspath(PUMICE))

    def peer(self, name):
        os.makedirs(os.path.join(self.folder, name, "node_modules", "@node-llama-cpp", "linux-x64-vulkan", "bins",
                                 "linux-x64-vulkan"))
        return os.path.join(self.folder, name)

    def fake(self):
        path = os.path.join(self.folder, "fake")
        with open(path, "w", encoding="utf-8") as file:
            file.write(FAKE)
        os.chmod(path, 0o755)
        return path

    def rows(self, results):
        name, = os.listdir(results)
        with open(os.path.join(results, name), encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def check_rows(self, rows, peer, names):
        for engine in ("pumice", peer):
            found = {r["name"]: r for r in rows if r["engine"] == engine}
            self.assertEqual(list(found), names)
            for r in found.values():
                self.assertTrue(0 < float(r["min"]) <= float(r["median"]) <= float(r["max"]) < 1e9, r)

    def test_rounds_and_starts(self):
        results = os.path.join(self.folder, "results")
        args = (sys.executable, RUN, "-m", DEMO, *self.pumice, "--harness", self.fake(), "--peer", self.peer("peer"), "--pp", "8,16",
                "--tg", 4, "--batch", "1,3", "--steps", 4, "--rounds", 2, "--starts", 1, "--label", "x", "--results", results)
        code, out, err = call(*args)
        self.assertEqual(code, 0, err)
        names = ["pp8", "pp16", "tg4", "batch1", "batch3", "cold", "warm"]
        self.assertEqual([line.split()[0] for line in out.splitlines()[2:]], names)
        rows = self.rows(results)
        self.check_rows(rows, "llama.cpp-vulkan", names)
        pumice = {r["name"]: r for r in rows if r["engine"] == "pumice"}
        self.assertEqual((pumice["pp8"]["reps"], pumice["cold"]["reps"]), ("2", "1"))
        line = next(line for line in out.splitlines() if line.startswith("pp8 "))
        times, low, high = map(float, re.search(r"([\d.]+) \(([\d.]+) \.\. ([\d.]+)\)$", line).groups())
        self.assertTrue(low <= times <= high)
        self.assertAlmostEqual(high / (float(pumice["pp8"]["max"]) / 1.5), 1, delta=0.01)
        code, table, err = call(sys.executable, os.path.join(SOURCE, "bench", "compare.py"), "--by", "engine", "--base",
                                "llama.cpp-vulkan", os.path.join(results, os.listdir(results)[0]))
        self.assertEqual(code, 0, err)
        self.assertEqual(len(table.splitlines()), 8)

    def test_a_peer_that_is_not_there_is_no_result(self):
        fake = self.fake()
        for args, reason in ((("--peer", ""), "no --peer"),
                             (("--peer", self.peer("other"), "--backend", "cuda"), "no llama.cpp for cuda"),
                             (("--peer", self.peer("none"), "--batch", "", "--tg", 0, "--pp", "8"), "nothing there")):
            code, out, err = call(sys.executable, RUN, "-m", DEMO, *self.pumice, "--harness", fake, *args)
            self.assertEqual(code, 77, err)
            self.assertRegex(out, f"^skipped: {reason}")
        code, _, err = call(sys.executable, RUN, "-m", "gone.gguf", *self.pumice, "--harness", fake)
        self.assertEqual(code, 1)
        self.assertIn("gone.gguf", err)

    def test_the_harness_checks_what_it_gets(self):
        code, out, _ = call(HARNESS, self.folder, DEMO)
        self.assertEqual((code, out), (77, "skipped: libggml-base.: not in the folder\n"))
        for wrong in ("pp=0", "pp=8;9", "tg=x", "batch=257", "seconds=0", "steps=nan"):
            code, _, err = call(HARNESS, self.folder, DEMO, wrong)
            self.assertEqual(code, 2, err)
            self.assertIn(wrong.split("=")[0], err)
        self.assertEqual(call(HARNESS)[0], 2)

    @unittest.skipUnless(os.environ.get("PUMICE_TEST_PEER"), "no PUMICE_TEST_PEER")
    def test_llama_cpp_itself(self):
        results = os.path.join(self.folder, "results")
        code, out, err = call(sys.executable, RUN, "-m", DEMO, *self.pumice, "--harness", HARNESS, "--backend", "cpu", "--peer",
                              os.environ["PUMICE_TEST_PEER"], "--pp", "8", "--tg", 4, "--batch", "2", "--steps", 4, "--rounds", 1,
                              "--starts", 1, "--label", "x", "--results", results)
        if code == 77:
            self.skipTest(out.removeprefix("skipped: ").strip())
        self.assertEqual(code, 0, err)
        self.check_rows(self.rows(results), "llama.cpp-cpu", ["pp8", "tg4", "batch2", "cold", "warm"])

    def test_transformers(self):
        """With a torch and a transformers that only count tokens."""
        modules = os.path.join(self.folder, "modules")
        os.mkdir(modules)
        with open(os.path.join(modules, "torch.py"), "w", encoding="utf-8") as file:
            file.write("from contextlib import nullcontext\n__version__ = '0'\nfloat32 = float16 = None\n"
                       "class cuda:\n    is_available = staticmethod(lambda: False)\n"
                       "class T:\n    def __init__(self, shape):\n        self.shape = shape\n"
                       "def randint(low, high, shape, device):\n    assert (low, high) == (1, VOCAB)\n    return T(shape)\n"
                       "ones_like = lambda t: t\ninference_mode = nullcontext\ndevice = lambda name: nullcontext()\n"
                       "manual_seed = set_default_dtype = lambda x: None\nget_default_dtype = lambda: None\n")
        with open(os.path.join(modules, "transformers.py"), "w", encoding="utf-8") as file:
            file.write("import json, time, torch\n__version__ = '0'\n"
                       "class LlamaConfig:\n    def __init__(self, **shape):\n        self.vocab_size = torch.VOCAB = shape['vocab_size']\n"
                       f"        json.dump(shape, open({os.path.join(self.folder, 'shape')!r}, 'w'))\n"
                       "class LlamaForCausalLM:\n    def __init__(self, config):\n        pass\n    def eval(self):\n        return self\n"
                       "    def generate(self, input_ids, max_new_tokens, **_):\n        time.sleep(0.05)\n"
                       "        return torch.T((input_ids.shape[0], input_ids.shape[1] + max_new_tokens))\n")
        script, results = os.path.join(PEERS, "transformers.py"), os.path.join(self.folder, "results")
        args = (sys.executable, script, "-m", DEMO, *self.pumice, "--batch", "1,2", "--prompt", 8, "--tokens", 4, "--reps", 2)
        code, out, err = call(*args, "--results", results, env={"PYTHONPATH": modules})
        self.assertEqual(code, 0, err)
        self.check_rows(self.rows(results), "transformers", ["1 requests 8+4", "2 requests 8+4"])
        for line, batch in zip(out.splitlines()[2:], (1, 2)):
            self.assertLessEqual(float(line.split(")")[1].split()[0]), batch * 4 / 0.05)
        with open(os.path.join(self.folder, "shape"), encoding="utf-8") as file:
            shape = json.load(file)
        self.assertTrue(all(isinstance(v, int) and v > 0 for k, v in shape.items() if k.endswith(("size", "heads", "layers"))), shape)
        code, out, _ = call(*args, env={"PYTHONPATH": self.folder, "PYTHONNOUSERSITE": "1"})
        if code != 0:  # unless a real one is installed
            self.assertEqual((code, out.split(":")[0]), (77, "skipped"))


if __name__ == "__main__":
    main()

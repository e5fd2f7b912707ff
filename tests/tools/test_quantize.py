"""pumice quantize, without any Vulkan driver: arguments, what it says, what it leaves behind."""
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
import unittest

from program import ASSETS, DEMO, PUMICE, Case, main, run
from test_terminal import Terminal

os.environ.update(VK_DRIVER_FILES="/nonexistent.json", VK_ICD_FILENAMES="/nonexistent.json")

MAKE_MODEL = os.path.join(os.environ.get("PUMICE_TEST_BINARY", ""), "pumice-make-model")
TYPES = ["F32", "BF16", "F16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0",
         "IQ4_NL", "IQ4_XS", "MXFP4", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", "Q2_K_S"]


class Quantize(Case):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.source = os.path.join(cls.scratch.name, "source.gguf")
        subprocess.run([MAKE_MODEL, cls.source, "--dim", "256", "--hidden", "320", "--layers", "2", "--heads", "4",
                        "--kv-heads", "2", "--vocab", "512", "--type", "F16"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.target = os.path.join(self.folder.name, "target.gguf")

    def left(self):
        return os.listdir(self.folder.name)

    def test_help_lists_every_type_and_argument(self):
        text = self.ok("quantize", "--help").decode()
        self.assertIn("usage: pumice quantize IN OUT TYPE [options]", text)
        for name in ["IN", "OUT", "TYPE", "--imatrix FILE", *TYPES]:
            self.assertRegex(text, rf"(?m)^  {name} ")

    def test_every_type_is_made_and_told(self):
        size = os.path.getsize(self.source)
        for name in TYPES:
            told = json.loads(self.ok("quantize", self.source, self.target, name.lower(), "--json", "--jobs", "2"))
            found = json.loads(self.ok("inspect", "-m", self.target, "--json", "--tensors"))
            self.assertEqual([(t["name"], t["to"], t["bytes"]) for t in told["tensors"]],
                             [(t["name"], t["type"], t["bytes"]) for t in found["tensors"]])
            self.assertEqual((told["file_bytes_in"], told["file_bytes_out"]), (size, os.path.getsize(self.target)))
            bits = 8 * sum(t["bytes"] for t in found["tensors"]) / found["parameters"]
            self.assertAlmostEqual(told["bits_per_weight"], bits, places=6)
            self.assertEqual(told["changed"], sum(t["from"] != t["to"] for t in told["tensors"]))
            for tensor in told["tensors"]:
                self.assertLess(tensor["relative_error"], 0.35)
                self.assertEqual(tensor["relative_error"] > 0, tensor["to"] not in ("F32", "F16"), tensor)
        self.assertEqual(self.left(), ["target.gguf"])

    def test_text_says_sizes_fallbacks_and_with_verbose_each_tensor(self):
        code, out, err = run("quantize", "--verbose", self.source, self.target, "Q4_K_S")
        self.assertEqual(code, 0, err)
        self.assertRegex(out.decode(), r"MB -> .* MB, \d\.\d\d bits per weight, 16 of 21 tensors changed, 2 of them to a fallback")
        self.assertIn("blk.1.ffn_down.weight: rows of 320 are no multiple of Q4_K's block: Q5_0", err)
        self.assertRegex(err, r"(?m)^blk\.0\.attn_q\.weight +F16 +-> Q4_K .* error 0\.0\d+$")
        code, out, err = run("quantize", self.source, self.target, "Q8_0")
        self.assertEqual((code, err), (0, ""))

    def test_options_stand_anywhere_and_names_may_begin_with_a_dash(self):
        expected = self.made("quantize", self.source, self.target, "Q4_0", "--pure")
        self.assertEqual(self.made("quantize", "--pure", self.source, self.target, "Q4_0"), expected)
        self.assertEqual(self.made("quantize", self.source, "--pure", self.target, "--jobs=1", "Q4_0"), expected)
        self.assertEqual(self.made("quantize", "--pure", "--", self.source, self.target, "Q4_0"), expected)
        self.assertIn("unknown argument '--pure'", self.usage("quantize", "--", self.source, self.target, "Q4_0", "--pure"))

    def made(self, *args):
        self.ok(*args)
        with open(self.target, "rb") as file:
            return file.read()

    def test_misuse(self):
        self.assertIn("IN is missing", self.usage("quantize"))
        self.assertIn("OUT is missing", self.usage("quantize", self.source))
        self.assertIn("TYPE is missing", self.usage("quantize", self.source, self.target))
        self.assertIn("unknown argument 'x'", self.usage("quantize", self.source, self.target, "Q8_0", "x"))
        self.assertIn("did you mean 'Q4_K_M'", self.usage("quantize", self.source, self.target, "Q4_K_N"))
        self.assertIn("expected one of", self.usage("quantize", self.source, self.target, "something"))
        self.assertIn("did you mean '--imatrix'", self.usage("quantize", self.source, self.target, "Q8_0", "--imatrx", "x"))
        self.usage("quantize", self.source, self.target, "Q8_0", "--jobs", "0")
        self.assertIn("the output is the input", self.usage("quantize", self.source, self.source, "Q8_0"))
        self.assertEqual(self.left(), [])

    def test_failures_leave_nothing(self):
        for args, said in [((self.source, self.target, "IQ2_XXS"), "codebook types are read, not made"),
                           ((DEMO, self.target, "Q4_0"), "--requantize"),
                           (("/nowhere", self.target, "Q4_0"), "/nowhere"),
                           ((__file__, self.target, "Q4_0"), "GGUF"),
                           ((self.source, "/nowhere/x", "Q4_0"), "/nowhere/x"),
                           ((self.source, self.folder.name, "Q4_0"), "not a regular file"),
                           ((self.source, self.target, "Q4_0", "--imatrix", "/nowhere"), "/nowhere"),
                           ((self.source, self.target, "Q4_0", "--imatrix", __file__), "neither GGUF nor")]:
            code, out, err = run("quantize", *args)
            self.assertEqual((code, out), (1, b""), err)
            self.assertIn(said, err)
            self.assertEqual(self.left(), [])

    def test_a_file_that_may_not_grow_is_a_failed_write(self):
        before = self.made("quantize", self.source, self.target, "Q4_0")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
        done = subprocess.run([PUMICE, "quantize", self.source, self.target, "Q8_0"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, preexec_fn=limit, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"cannot write", done.stderr)
        self.assertEqual(self.left(), ["target.gguf"])
        with open(self.target, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_signals_end_it_and_leave_nothing(self):
        big = os.path.join(self.scratch.name, "big.gguf")
        if not os.path.exists(big):
            subprocess.run([MAKE_MODEL, big, "--dim", "1024", "--hidden", "2816", "--layers", "2", "--heads", "8",
                            "--vocab", "8192", "--type", "F16"], check=True, stdout=subprocess.DEVNULL)
        for number, status in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            running = subprocess.Popen([PUMICE, "quantize", big, self.target, "Q2_K", "--jobs", "1"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            end = time.monotonic() + 60
            while not self.left() and time.monotonic() < end:
                time.sleep(0.002)
            self.assertNotEqual(self.left(), ["target.gguf"], "it ended before the signal")
            running.send_signal(number)
            out, err = running.communicate(timeout=120)
            self.assertEqual((running.returncode, out), (status, b""), err)
            self.assertIn(b"stopped before it was complete", err)
            self.assertEqual(self.left(), [])

    def test_a_terminal_gets_a_bar(self):
        terminal = Terminal("quantize", self.source, self.target, "Q4_K")
        terminal.until(b"quantize     [")
        terminal.until(b"bits per weight")
        self.assertEqual(terminal.end(), 0)


@unittest.skipUnless(ASSETS, "no assets with a split or a real F32 model")
class Real(Case):
    def test_a_real_model_becomes_every_type(self):
        source = os.path.join(ASSETS, "models", "stories260K", "stories260K-f32.gguf")
        before = json.loads(self.ok("inspect", "-m", source, "--json"))["metadata"]
        with tempfile.TemporaryDirectory() as folder:
            target = os.path.join(folder, "x.gguf")
            for name in TYPES:
                self.ok("quantize", source, target, name)
                after = json.loads(self.ok("inspect", "-m", target, "--json"))["metadata"]
                for key in ("general.file_type", "general.quantization_version"):
                    before.pop(key, None)
                    after.pop(key)
                self.assertEqual(before, after)


if __name__ == "__main__":
    main()

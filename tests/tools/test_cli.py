"""The command line, without any Vulkan driver: arguments, help, inspect, tokenize."""
import json
import os
import subprocess
import tempfile
import unittest

from program import ASSETS, DEMO, PUMICE, Case, main, run

COMMANDS = ["run", "chat", "devices", "inspect", "quantize", "tokenize", "logits", "ppl", "verify", "bench",
            "tune"]

# No driver: what needs none must not ask for one.
os.environ.update(VK_DRIVER_FILES="/nonexistent.json", VK_ICD_FILENAMES="/nonexistent.json")


class Arguments(Case):
    def test_help_of_every_command(self):
        overview = self.ok("--help").decode()
        for command in COMMANDS:
            self.assertRegex(overview, rf"(?m)^  {command} ")
            text = self.ok(command, "--help").decode()
            self.assertTrue(text.startswith(f"pumice {command} - "), text)
            self.assertIn("--help", text)

    def test_version_and_environment(self):
        self.assertRegex(self.ok("--version").decode(), r"^pumice \d+\.\d+\.\d+\n$")
        self.assertIn("PUMICE_DEVICE", self.ok("--help-env").decode())

    def test_unknown_names_suggest_the_nearest(self):
        self.assertIn("did you mean 'run'", self.usage("rnu"))
        self.assertIn("did you mean '--temp'", self.usage("run", "--tmep", "0"))
        self.assertIn("did you mean '--json'", self.usage("inspect", "--jsn"))
        self.assertNotIn("did you mean", self.usage("run", "--completely-else"))
        self.usage()

    def test_numbers_are_range_checked(self):
        for flag, value in [("--temp", "-1"), ("--temp", "warm"), ("--temp", "nan"), ("--top-p", "1.5"), ("-n", "1.5"),
                            ("-n", "-1"), ("-n", ""), ("--ctx", "0"), ("--seed", "4294967296"), ("--kv-bytes", "12Q"),
                            ("--kv-type", "f8"), ("--page-tokens", "24"), ("--repeat-penalty", "0")]:
            self.assertIn(value, self.usage("run", "-m", DEMO, "-p", "x", flag, value))
            self.usage("run", "-m", DEMO, "-p", "x", f"{flag}={value}")

    def test_missing_and_excess_values(self):
        self.assertIn("--max-tokens needs a value", self.usage("run", "-n"))
        self.usage("run", "--ignore-eos=1")
        self.usage("run", "stray")
        self.usage("run", "-m", DEMO)
        self.usage("run", "-p", "x")
        self.usage("run", "-m", DEMO, "-p", "x", "-f", "y")
        self.usage("logits", "-m", DEMO, "--tokens", "1,2")
        self.usage("logits", "-m", DEMO, "--tokens", "1,,2", "-o", "x")
        self.usage("ppl", "-m", DEMO)
        self.usage("ppl", "-m", DEMO, "-f", DEMO, "--ctx", "2")
        self.usage("tokenize", "-m", DEMO)

    def test_files_that_are_not_there(self):
        for args in [("inspect", "-m", "/nowhere"), ("run", "-m", "/nowhere", "-p", "x"), ("run", "-m", DEMO, "-f", "/nowhere"),
                     ("tokenize", "-m", "/", "-p", "x"), ("inspect", "-m", __file__)]:
            code, out, err = run(*args)
            self.assertEqual((code, out), (1, b""), err)
            self.assertIn(args[args.index("-f" if "-f" in args else "-m") + 1], err)

    def test_no_driver_is_said(self):
        for args in [("run", "-m", DEMO, "-p", "x"), ("devices",)]:
            code, out, err = run(*args)
            self.assertEqual((code, out), (1, b""), err)
            self.assertIn("Vulkan", err)

    def test_output_that_cannot_be_written_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PUMICE, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)


class Inspect(Case):
    def test_text_and_json_agree(self):
        text = self.ok("inspect", "-m", DEMO, "--tensors").decode()
        found = json.loads(self.ok("inspect", "-m", DEMO, "--json", "--tensors"))
        self.assertEqual(found["metadata"]["general.architecture"], {"type": "str", "value": "llama"})
        self.assertEqual(len(found["tensors"]), found["tensor_count"])
        self.assertEqual(found["file_bytes"], os.path.getsize(DEMO))
        for tensor in found["tensors"]:
            self.assertIn(tensor["name"], text)
        for key in found["metadata"]:
            self.assertIn(key, text)
        self.assertNotIn("tensors", json.loads(self.ok("inspect", "-m", DEMO, "--json")))

    def test_a_cut_file_is_an_error(self):
        with open(DEMO, "rb") as file, tempfile.NamedTemporaryFile(suffix=".gguf") as cut:
            cut.write(file.read(5000))
            cut.flush()
            code, out, err = run("inspect", "-m", cut.name)
        self.assertEqual((code, out), (1, b""))
        self.assertIn(cut.name, err)


class Tokenize(Case):
    def ids(self, *args, **options):
        return json.loads(self.ok("tokenize", "-m", DEMO, "--json", *args, **options))

    def test_there_and_back(self):
        text = "Hello, caf\u00e9 \u2014 \U0001F98A\nnext line"
        ids = self.ids("-p", text, "--no-bos")
        self.assertEqual(self.ids("-p", "-", "--no-bos", given=text.encode()), ids)
        listed = ",".join(map(str, ids))
        self.assertEqual(self.ok("tokenize", "-m", DEMO, "-p", text, "--no-bos").decode(), listed + "\n")
        self.assertEqual(self.ok("tokenize", "-m", DEMO, "--detokenize", listed).decode(), text + "\n")
        self.assertEqual(json.loads(self.ok("tokenize", "-m", DEMO, "--json", "--detokenize", listed)), text)

    def test_bos_and_special_tokens(self):
        self.assertEqual(self.ids("-p", ""), [1])
        self.assertEqual(self.ids("-p", "<|im_end|>"), [1, 4])
        self.assertGreater(len(self.ids("-p", "<|im_end|>", "--no-special")), 2)

    def test_ids_outside_the_vocabulary(self):
        code, out, err = run("tokenize", "-m", DEMO, "--detokenize", "99999")
        self.assertEqual((code, out), (1, b""), err)
        code, out, err = run("tokenize", "-m", DEMO, "--detokenize", "1;2")
        self.assertEqual((code, out), (2, b""), err)


@unittest.skipUnless(ASSETS, "no assets with malformed files")
class Malformed(Case):
    def test_each_is_an_error_or_loads(self):
        folder = os.path.join(ASSETS, "gguf-malformed")
        for name in sorted(os.listdir(folder)):
            if name.endswith(".gguf"):
                for args in [("inspect", "--tensors"), ("tokenize", "-p", "some text")]:
                    code, _, err = run(args[0], "-m", os.path.join(folder, name), *args[1:])
                    self.assertIn(code, (0, 1), f"{name}: {err}")


if __name__ == "__main__":
    main()

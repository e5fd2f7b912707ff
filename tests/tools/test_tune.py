#!/usr/bin/env python3
"""pumice tune: what it measures, what it keeps, and that engines use it where they should."""
import json
import os
import tempfile
import unittest

import program

# q k v, attention output, gate and up, down, output of the demo model.
SHAPES = ["1024x256", "256x256", "1792x256", "256x512", "512x256"]
PROMPT = ["-p", "Once upon a time", "-n", "24", "--temp", "0", "-c", "256"]


class Tune(program.Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.env = {"XDG_CACHE_HOME": folder.name, "PUMICE_VARIANT": "", "PUMICE_TUNE": "", "PUMICE_CACHE": ""}
        self.folder = os.path.join(folder.name, "pumice")

    def tune(self, *args):
        return json.loads(self.ok("tune", "-m", program.DEMO, "--json", "--seconds", "4", *args, env=self.env))

    def path(self):
        """The file of this device, empty but for its head."""
        self.ok("tune", "-m", program.DEMO, "--seconds", "0.1", env=self.env)
        names = [name for name in os.listdir(self.folder) if name.startswith("tuned-")]
        self.assertEqual(len(names), 1)
        return os.path.join(self.folder, names[0])

    def write(self, *lines, head=None):
        path = self.path()
        with open(path, encoding="utf-8") as file:
            kept = file.read().splitlines()[:2]
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join([*(head or kept), *lines]) + "\n")
        return path

    def run_demo(self, *options, **env):
        """(text, stderr with the pipelines that were built)"""
        code, out, err = program.run("run", "-m", program.DEMO, *PROMPT, *options,
                                     env={**self.env, "PUMICE_LOG": "vk,engine", "PUMICE_VERIFY": "0", **env})
        self.assertEqual(code, 0, err)
        return out, err

    def test_what_is_in_use_is_listed(self):
        line = "matmul q8_0 256x256 rows 1-1: rows8 lanes 0 slices 0"
        self.assertEqual(json.loads(self.ok("tune", "--list", "--json", env=self.env)), [])  # not tuned, and no family's
        self.write(line)
        self.assertEqual(json.loads(self.ok("tune", "--list", "--json", env=self.env)), [{"source": "tuned", "choice": line}])
        self.assertEqual(self.ok("tune", "--list", env=self.env).decode().split(), ["tuned", *line.split()])
        self.assertEqual(self.ok("tune", "--list", env={**self.env, "PUMICE_TUNE": "0"}), b"")

    def test_a_model_is_measured_and_kept(self):
        table = self.tune()
        self.assertLessEqual(table["seconds"], 60)
        self.assertGreater(table["planned"], 5)
        self.assertGreaterEqual(table["planned"], table["measured"])
        self.assertEqual(table["measured"], len(table["rows"]))
        self.assertGreater(table["measured"], 0)
        self.assertEqual(table["chosen"], sum(row["usual"] != row["chosen"] for row in table["rows"]))
        for row in table["rows"]:
            self.assertIn(row["op"], ["matmul", "attention", "step"])
            self.assertLessEqual(row["chosen_us"], row["usual_us"])
            self.assertLessEqual(1, row["rows_first"])
            self.assertLessEqual(row["rows_first"], row["rows_last"])
            if row["op"] == "matmul":
                self.assertIn(row["shape"], SHAPES)
                self.assertEqual(row["type"], "q8_0")
        with open(table["path"], encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(lines[0], "pumice tuning 1")
        key = os.path.basename(table["path"])[len("tuned-"):-len(".txt")]
        self.assertEqual(lines[1], "device " + key)
        self.assertEqual(len(lines), 2 + table["chosen"])
        self.run_demo()

    def test_without_a_model_every_shape_is_meant(self):
        table = json.loads(self.ok("tune", "--json", "--seconds", "2", env=self.env))
        self.assertTrue(all(row["shape"].startswith("every shape") for row in table["rows"]), table["rows"])

    def test_choices_of_other_models_are_kept(self):
        line = "matmul q4_0 64x64 rows 1-8: rows4 lanes 0 slices 0"
        path = self.write(line)
        self.env["PUMICE_TUNE"] = "0"  # which engines look at
        self.tune("--seconds", "0.1")
        with open(path, encoding="utf-8") as file:
            self.assertIn(line + "\n", file.read())

    def test_winners_are_used_and_the_text_is_the_same(self):
        plain, usual = self.run_demo()
        self.assertIn("512 tokens a step", usual)
        rows = [f"matmul q8_0 {shape} rows 1-2048: rows2 lanes 0 slices 0" for shape in SHAPES]
        self.write(*rows, "attention f16 0/0x0 decode rows 1-2048: prefill splits 0",
                   "attention f16 0/0x0 prompt rows 1-2048: prefill splits 0", "step 256x512x4 rows 96")
        tuned, err = self.run_demo()
        self.assertEqual(tuned, plain)
        self.assertIn("8 choices of pumice tune", err)
        self.assertIn("96 tokens a step", err)
        self.assertIn("pipeline matmul_q8_0(", err)
        self.assertIn("pipeline attention_f16(", err)
        self.assertNotRegex(err, r"pipeline matmul_(lanes|texels)_q8_0\(")
        self.assertNotIn("pipeline attention_texels_f16(", err)
        # What goes before them, with few kernels.
        few = ["--batch-tokens", "8"]
        _, asked = self.run_demo(*few)
        self.assertIn("8 tokens a step", asked)
        _, off = self.run_demo(*few, PUMICE_TUNE="0")
        self.assertNotIn("choices of pumice tune", off)
        _, forced = self.run_demo("--variant", "matmul:tile64", *few)
        self.assertIn("pipeline matmul_tile_q8_0(", forced)
        self.assertNotIn("pipeline matmul_q8_0(", forced)

        def kernels(text):
            return sorted({line.split(":")[0] for line in text.splitlines() if "pipeline " in line})

        # Bits may not depend on the batch, and choices are by rows.
        self.assertNotEqual(kernels(asked), kernels(off))
        self.assertEqual(kernels(self.run_demo("--deterministic", *few)[1]),
                         kernels(self.run_demo("--deterministic", *few, PUMICE_TUNE="0")[1]))

    def test_a_bad_file_is_ignored_with_a_warning(self):
        plain, _ = self.run_demo()
        for lines, head, expected in [
                (["matmul q8_0 1024x256 rows 1-1: rows99 lanes 0 slices 0"], None, "expected a variant of matmul"),
                ([], ["pumice tuning 9", "device x"], "expected 'pumice tuning 1'"),
                ([], ["pumice tuning 1", "device another"], "'another', expected 'device "),
                (["\x01\x02\xff"], None, "expected matmul, attention or step")]:
            with self.subTest(expected):
                path = self.write(*lines, head=head)
                text, err = self.run_demo()
                self.assertEqual(text, plain)
                warnings = [line for line in err.splitlines() if path in line]
                self.assertEqual(len(warnings), 1, err)
                self.assertIn(expected, warnings[0])
                self.assertIn("ignored", warnings[0])
                self.assertNotIn("choices of pumice tune", err)

    def test_misuse_is_refused(self):
        self.assertIn("--seconds", self.usage("tune", "--seconds", "61"))
        code, out, err = program.run("tune", "-m", "nowhere.gguf", env=self.env)
        self.assertEqual(code, 1)
        self.assertIn("nowhere.gguf", err)
        code, out, err = program.run("tune", "-m", program.DEMO, "--seconds", "0.1",
                                     env={**self.env, "PUMICE_CACHE": "0"})
        self.assertEqual(code, 1)
        self.assertIn("PUMICE_CACHE=0", err)
        for name, value in [("PUMICE_VARIANT", "matmul:rows8"), ("PUMICE_CAPS", "-all")]:
            code, out, err = program.run("tune", "-m", program.DEMO, "--seconds", "0.1", env={**self.env, name: value})
            self.assertEqual(code, 1)
            self.assertIn(name, err)


if __name__ == "__main__":
    program.main()

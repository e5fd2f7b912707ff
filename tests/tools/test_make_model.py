#!/usr/bin/env python3
"""pumice-make-model: the types and recipes that it says, the same bytes from the same seed."""
import json
import os
import subprocess
import tempfile
import unittest

import program

MAKE_MODEL = os.environ.get("PUMICE_MAKE_MODEL", "pumice-make-model")
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
         "IQ4_XS", "MXFP4", "IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S"]
LAYERS = 16


def layers(*which, of=LAYERS, more, rest):
    return [more if i in which else rest for i in range(of)]


MORE_BITS = [0, 1, 4, 7, 10, 13, 14, 15]  # the first and last eighth, and every third between
RECIPES = {  # attn_v and ffn_down of 16 layers, attn_output, all other matrices; output is Q6_K
    "Q2_K_S": (["Q4_K"] * 16, layers(0, 1, more="Q4_K", rest="Q2_K"), "Q2_K", "Q2_K"),
    "Q3_K_S": (["Q3_K"] * 16, ["Q3_K"] * 16, "Q3_K", "Q3_K"),
    "Q3_K_M": (layers(0, 1, more="Q5_K", rest="Q4_K"), layers(0, more="Q5_K", rest="Q4_K"), "Q4_K", "Q3_K"),
    "Q3_K_L": (["Q5_K"] * 16, ["Q5_K"] * 16, "Q5_K", "Q3_K"),
    "Q4_K_S": (layers(0, 1, 2, 3, more="Q5_K", rest="Q4_K"), layers(0, 1, more="Q5_K", rest="Q4_K"), "Q4_K", "Q4_K"),
    "Q4_K_M": (layers(*MORE_BITS, more="Q6_K", rest="Q4_K"),) * 2 + ("Q4_K", "Q4_K"),
    "Q5_K_S": (["Q5_K"] * 16, ["Q5_K"] * 16, "Q5_K", "Q5_K"),
    "Q5_K_M": (layers(*MORE_BITS, more="Q6_K", rest="Q5_K"),) * 2 + ("Q5_K", "Q5_K"),
}


class MakeModel(program.Case):
    def make(self, folder, dtype, *options, name="model.gguf"):
        path = os.path.join(folder, name)
        subprocess.run([MAKE_MODEL, path, "--type", dtype, "--vocab", "300", "--dim", "256", "--hidden", "256", "--heads",
                        "2", "--kv-heads", "1", *options], check=True, stderr=subprocess.DEVNULL)
        return path

    def tensors(self, path):
        out = json.loads(self.ok("inspect", "-m", path, "--json", "--tensors"))
        return {t["name"]: t["type"] for t in out["tensors"]}

    def test_every_type_fills_all_matrices(self):
        with tempfile.TemporaryDirectory() as folder:
            for dtype in TYPES:
                types = self.tensors(self.make(folder, dtype, "--layers", "1"))
                for name, got in types.items():
                    self.assertEqual(got, "F32" if "norm" in name else dtype, name)

    def test_recipes_mix_as_files_of_their_names_do(self):
        with tempfile.TemporaryDirectory() as folder:
            for recipe, (value, down, attention_out, rest) in RECIPES.items():
                types = self.tensors(self.make(folder, recipe, "--layers", str(LAYERS)))
                for i in range(LAYERS):
                    self.assertEqual(types[f"blk.{i}.attn_v.weight"], value[i], f"{recipe} {i}")
                    self.assertEqual(types[f"blk.{i}.ffn_down.weight"], down[i], f"{recipe} {i}")
                    self.assertEqual(types[f"blk.{i}.attn_output.weight"], attention_out, recipe)
                    for stem in ("attn_q", "attn_k", "ffn_gate", "ffn_up"):
                        self.assertEqual(types[f"blk.{i}.{stem}.weight"], rest, recipe)
                self.assertEqual(types["token_embd.weight"], rest, recipe)
                self.assertEqual(types["output.weight"], "Q6_K", recipe)

    def test_a_seed_gives_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            def data(seed, name):
                with open(self.make(folder, "IQ3_S", "--seed", seed, name=name), "rb") as f:
                    return f.read()
            self.assertEqual(data("7", "a"), data("7", "b"))
            self.assertNotEqual(data("7", "a"), data("8", "b"))

    def test_an_unknown_type_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([MAKE_MODEL, os.path.join(folder, "x"), "--type", "Q8_1"], stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"--type", done.stderr)


if __name__ == "__main__":
    program.main()

"""What pumice quantize made, run: a model in a narrower type says nearly what the wide one says."""
import array
import os
import subprocess
import tempfile

from program import DEMO, Case, main, run

MAKE_MODEL = os.path.join(os.environ.get("PUMICE_TEST_BINARY", ""), "pumice-make-model")
TOKENS = ",".join(str(7 * i % 500 + 1) for i in range(12))

# The logits' squared error in units of their square: twice what a model of this shape was
# measured to have, the same on both CPU drivers.
NMSE_MAX = {"F16": 6e-7, "BF16": 3e-5, "Q8_0": 3e-4, "Q6_K": 2.8e-3, "Q5_K_M": 1e-2, "Q5_K_S": 1.1e-2, "Q5_1": 1.3e-2,
            "Q5_0": 1.7e-2, "Q4_K_M": 4.2e-2, "Q4_K_S": 3.9e-2, "Q4_1": 5.4e-2, "Q4_0": 6.7e-2, "IQ4_NL": 4.3e-2,
            "IQ4_XS": 4.4e-2, "MXFP4": 1.1e-1, "Q3_K_L": 1.3e-1, "Q3_K_M": 1.3e-1, "Q3_K_S": 1.8e-1, "Q2_K": 4e-1}
SAME_MAX = 1e-6                    # between a type and the same weights in F32


class Quantized(Case):
    def logits(self, path, *options):
        """All positions' logits."""
        out = path + ".logits"
        code, _, err = run("logits", "-m", path, "--tokens", TOKENS, "-o", out, *options)
        self.assertEqual(code, 0, err)
        values = array.array("f")
        with open(out, "rb") as file:
            values.frombytes(file.read())
        self.assertEqual(len(values) % 12, 0)
        return values

    def nmse(self, values, reference):
        self.assertEqual(len(values), len(reference))
        return sum((a - b) ** 2 for a, b in zip(values, reference)) / sum(b * b for b in reference)

    def test_logits_stay_near(self):
        """Near those of the wide model by the type's error, and nearer to those of the very same weights in F32."""
        with tempfile.TemporaryDirectory() as folder:
            source, target, wide = (os.path.join(folder, name) for name in ("source.gguf", "target.gguf", "wide.gguf"))
            subprocess.run([MAKE_MODEL, source, "--dim", "256", "--hidden", "512", "--layers", "2", "--heads", "4",
                            "--kv-heads", "2", "--vocab", "512", "--type", "F32"], check=True, stdout=subprocess.DEVNULL)
            reference = self.logits(source)
            recipes = [(name, options, most) for name, most in NMSE_MAX.items() for options in ([], ["--pure"])
                       if not options or name == "Q4_K_M"]
            for name, options, most in recipes:
                self.ok("quantize", source, target, name, *options)
                found = self.logits(target)
                self.ok("quantize", target, wide, "F32", "--requantize")
                lost, same = self.nmse(found, reference), self.nmse(found, self.logits(wide))
                print(f"{name} {' '.join(options)}: NMSE {lost:.3g} to the model, {same:.3g} to its own weights in F32")
                self.assertLess(lost, most * (2 if options else 1), name)
                self.assertLess(same, SAME_MAX, name)

    def test_the_demo_model_is_the_same_in_f32(self):
        with tempfile.TemporaryDirectory() as folder:
            target = os.path.join(folder, "demo.gguf")
            self.ok("quantize", DEMO, target, "F32", "--requantize")
            demo = os.path.join(folder, "original.gguf")
            os.symlink(DEMO, demo)
            # Sums that are scaled round otherwise than weights are: f16 pages would tell them apart by a unit here and there.
            found = self.nmse(self.logits(target, "--kv-type", "f32"), self.logits(demo, "--kv-type", "f32"))
            print(f"NMSE {found:.3g}")
            self.assertLess(found, 1e-10)


if __name__ == "__main__":
    main()

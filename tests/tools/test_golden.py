"""stories260K, greedy from BOS, says word for word what its author published."""
import os
import sys

from program import ASSETS, Case, main

FOLDER = os.path.join(ASSETS, "models", "stories260K")
MODEL = os.path.join(FOLDER, "stories260K-f32.gguf")


class Golden(Case):
    def test_two_hundred_tokens(self):
        with open(os.path.join(FOLDER, "golden-greedy-200.txt"), "rb") as file:
            golden = file.read()
        self.assertEqual(self.ok("run", "-m", MODEL, "-p", "", "-n", 200, "--temp", 0), golden)
        text = self.ok("run", "-m", MODEL, "-p", "", "-n", 199, "--temp", 0)
        self.assertTrue(golden.startswith(text) and len(text) > len(golden) - 8)


if __name__ == "__main__":
    if not os.path.exists(MODEL):
        print(f"skipped: no {MODEL or 'assets'}")
        sys.exit(77)
    main()

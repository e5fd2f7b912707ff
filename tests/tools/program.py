"""What the tests of the program share: running it, and where things are.

usage of each test: test_<what>.py PUMICE [unittest options]
The environment is the one that tests/CMakeLists.txt gives every test.
"""
import os
import subprocess
import sys
import unittest

PUMICE = sys.argv.pop(1) if len(sys.argv) > 1 else "pumice"
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEMO = os.path.join(SOURCE, "tools", "demo_model", "pumice-demo-q8_0.gguf")
ASSETS = os.environ.get("PUMICE_TEST_ASSETS", "")


def run(*args, given=b"", env=None):
    """(exit code, stdout, stderr); bytes on stdout, text on stderr. What the validation layer says is a failure."""
    done = subprocess.run([PUMICE, *map(str, args)], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, **(env or {})}, timeout=900, check=False)
    err = done.stderr.decode("utf-8", "replace")
    if "vulkan validation: " in err:
        raise AssertionError(err)
    return done.returncode, done.stdout, err


class Case(unittest.TestCase):
    def ok(self, *args, **options):
        """stdout of a run that must succeed."""
        code, out, err = run(*args, **options)
        self.assertEqual(code, 0, err)
        return out

    def usage(self, *args):
        """stderr of a run that must be refused as misuse, with nothing on stdout."""
        code, out, err = run(*args)
        self.assertEqual((code, out), (2, b""), err)
        self.assertEqual(err.count("\n"), 1, err)
        return err


def main():
    # The reason of a skipped case, where tools/test.sh finds it.
    result = unittest.main(exit=False, verbosity=2).result
    for case, reason in result.skipped:
        print(f"skipped: {case}: {reason}")
    sys.exit(not result.wasSuccessful())

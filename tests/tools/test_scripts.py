"""How tools/test.sh and tests/root13.sh end when something fails, with stand-ins for what they call.

usage: test_scripts.py PUMICE [unittest options]
"""
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from program import SOURCE, main


class Script(unittest.TestCase):
    """A copy of one script in a tree of its own, before whose PATH stand-ins stand."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.bin = self.path("bin")
        self.cache = self.path("cache")
        for name in ("bin", "cache", "tools", "tests", "bench/results"):
            os.makedirs(self.path(name))

    def path(self, name):
        return os.path.join(self.folder, name)

    def copy(self, name):
        shutil.copy(os.path.join(SOURCE, name), self.path(name))

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write("#!/usr/bin/env bash\n" + text + "\n")
        os.chmod(self.path(name), 0o755)

    def run_script(self, name, **environment):
        # The script's stages set PUMICE_VALIDATE themselves; this test may run in the one that does.
        around = {key: value for key, value in os.environ.items() if key != "PUMICE_VALIDATE"}
        done = subprocess.run(["bash", self.path(name)], env={**around, "PATH": f"{self.bin}:{os.environ['PATH']}",
                              "PUMICE_ROOT13": self.cache, "PUMICE_TEST_DRIVERS_OPTIONAL": "1", **environment},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        return done.returncode, done.stdout


class TestSh(Script):
    def setUp(self):
        super().setUp()
        self.copy("tools/test.sh")
        self.copy("tests/report.py")
        self.write("tools/setup.sh", "exit ${SETUP:-0}")
        self.write("tools/swiftshader.sh", "exit 1")
        self.write("tests/root13.sh", "exit ${ROOT13:-0}")
        self.write("bin/cmake", '[ "$1" != --build ] || exit ${BUILD:-0}\n'
                   'while [ "$1" != -B ]; do shift; done; mkdir -p "$2/Testing/Temporary"; touch "$2/Testing/Temporary/LastTest.log"')
        self.write("bin/ctest", 'echo "100% tests passed"; [ "${VALIDATED:-}" = "" ] || [ "${PUMICE_VALIDATE:-}" != 1 ] || exit $VALIDATED')

    def table(self, out):
        """The titles of the table of seconds, which ends what the script says."""
        lines = out.rsplit("== seconds\n", 1)[1].splitlines()
        return [line[8:] for line in lines if line[:6].strip().isdigit()]

    def test_all_stages_stand_in_the_table_when_nothing_fails(self):
        for root13 in ("0", "77"):
            code, out = self.run_script("tools/test.sh", ROOT13=root13)
            self.assertEqual(code, 0, out)
            self.assertEqual(len(self.table(out)), 9)
            self.assertNotIn("FAILED", out)

    def test_the_failed_stage_is_named_below_the_table_with_its_status(self):
        for variable, stage, count in (("SETUP", "what it needs", 1), ("BUILD", "building build-asan", 2),
                                       ("VALIDATED", "under Vulkan validation, on lavapipe", 5),
                                       ("ROOT13", "cooperative matrices, on Debian 13's lavapipe", 9)):
            code, out = self.run_script("tools/test.sh", **{variable: "9"})
            self.assertEqual(code, 9, out)
            self.assertEqual(self.table(out)[-1], stage)
            self.assertEqual(len(self.table(out)), count, out)
            self.assertEqual(out.splitlines()[-1], f"FAILED: {stage} (exit status 9)")


# A program of gpu.sh: writes down how it was called, and the rows that it would measure.
GPU_STAND_IN = r'''
echo "${0##*/} $*" >>"$CALLS"
engine=pumice bench=$2 rows=tg64@1
case ${0##*/},$1 in
pumice,devices) printf '[\n{"name": "Card X",\n"type": "discrete",\n"driver": "driver 1"}\n]\n' && exit ;;
pumice-make-model,*) touch "$1" && exit ;;
run.py,--backend) engine=llama.cpp-$2 bench=peer rows="pp512 tg64 batch64" ;;
transformers.py,*) engine=transformers bench=peer rows="8-requests 64-requests" ;;
esac
[ "$engine" != "${FAILS:-}" ] || exit 1
while [ $# -gt 0 ]; do
  case $1 in
  -m) model=${2##*/} ;;
  --results) csv=$2/card.csv ;;
  --label) label=$2 ;;
  esac
  shift
done
for row in $rows; do echo "$label,$engine,$bench,${model%.gguf},${row/-/ },tokens_per_s,c,d,day,tok/s,1,1,1,1" >>"$csv"; done
echo "{}"'''


class GpuSh(Script):
    """bench/gpu.sh in an archive as it packs it, of stand-ins."""

    def setUp(self):
        super().setUp()
        for name in ("gpu/bin", "gpu/peer", "bench/peers/llama_cpp", "results"):
            os.makedirs(self.path(name))
        self.copy("bench/gpu.sh")
        self.commit("abc1234")
        for name in ("gpu/bin/pumice", "gpu/bin/pumice-make-model", "bench/peers/llama_cpp/run.py", "bench/peers/transformers.py"):
            self.write(name, GPU_STAND_IN)
        self.write("bin/python3", 'exec bash "$@"')

    def commit(self, name):
        with open(self.path("COMMIT"), "w", encoding="utf-8") as file:
            file.write(name + "\n")

    def gpu(self, *steps, **environment):
        """What a run says, and the calls of stand-ins that measure."""
        calls = self.path("calls")
        open(calls, "w", encoding="utf-8").close()
        self.write("run.sh", f"exec bash '{self.path('bench/gpu.sh')}' run {' '.join(steps)}")
        code, out = self.run_script("run.sh", CALLS=calls, TMPDIR=self.path("cache"), PUMICE_GPU_RESULTS=self.path("results"),
                                    PUMICE_TEST_VENV="", **environment)
        with open(calls, encoding="utf-8") as file:
            lines = file.read().splitlines()
        return code, out, [line for line in lines if " devices " not in line]

    def forget(self, part):
        """Takes rows out of the results, as when time was over before them."""
        with open(self.path("results/card.csv"), encoding="utf-8") as file:
            lines = file.readlines()
        with open(self.path("results/card.csv"), "w", encoding="utf-8") as file:
            file.writelines(line for line in lines if part not in line)

    def test_a_later_run_measures_what_is_left(self):
        code, out, calls = self.gpu("devices", "bench")
        self.assertEqual(code, 0, out)
        self.assertEqual([sum(what in line for line in calls) for what in ("make-model", "bench model", "bench startup")], [3, 3, 1])
        code, out, calls = self.gpu("bench")
        self.assertEqual((code, calls, out.count("measured before")), (0, [], 3), out)
        self.forget("random-7b-f16")
        _, out, calls = self.gpu("bench")
        self.assertEqual([line.split()[0] for line in calls], ["pumice-make-model", "pumice"], out)
        self.assertIn("random-7b-f16.gguf", calls[1])
        _, _, calls = self.gpu("bench", PUMICE_GPU_AGAIN="1")
        self.assertEqual(len(calls), 7)
        self.commit("def5678")
        _, _, calls = self.gpu("bench")
        self.assertEqual(len(calls), 7)
        self.assertLessEqual(len(os.listdir(self.path("results"))), 8)

    def test_a_later_run_has_the_tests_that_did_not_pass(self):
        with open(self.path("gpu/tests.txt"), "w", encoding="utf-8") as file:
            file.write("op test_good\nop test_bad\ncuda test_absent\n")
        for name, status in (("good", 0), ("bad", 3), ("absent", 77)):
            self.write(f"gpu/bin/test_{name}", f'echo {name} >>"$CALLS"; echo "skipped: none"; exit {status}')
        code, out, calls = self.gpu("tests")
        self.assertEqual((code, calls[1:]), (1, ["good", "bad", "absent"]), out)
        self.assertRegex(out, r"(?s)op.good \d+ s passed\n.*op.bad \d+ s FAILED with 3\n.*cuda.absent \d+ s skipped: none\n"
                         "tests    1 passed, 1 failed, 1 skipped\n")
        code, out, calls = self.gpu("tests")
        self.assertEqual((code, calls), (1, ["bad", "absent"]), out)
        self.assertIn("0 passed, 1 failed, 1 skipped; 1 had passed before\n", out)
        self.commit("def5678")
        self.assertEqual(self.gpu("tests")[2], ["good", "bad", "absent"])

    def test_peers_have_each_figure_and_are_taken_up_where_they_ended(self):
        code, out, calls = self.gpu("peers")
        self.assertEqual(code, 0, out)
        peers = [line for line in calls if ".py" in line]
        llama = [line for line in peers if line.startswith("run.py")]
        self.assertEqual([line.split()[2] for line in llama], ["cuda", "vulkan"] * 3)
        for line in llama:
            self.assertRegex(line, "--pp 512 --batch 16,64 ")
        other, = [line for line in peers if line.startswith("transformers.py")]
        self.assertRegex(other, "--batch 8,.*64 .*-m .*random-7b-f16.gguf")
        _, out, calls = self.gpu("peers")
        self.assertEqual(calls, [], out)
        self.forget("llama.cpp-vulkan,peer,random-7b-q8_0,batch64")
        self.forget("64 requests")
        _, out, calls = self.gpu("peers")
        self.assertEqual([line.split()[0] for line in calls],
                         ["pumice-make-model", "transformers.py", "pumice-make-model", "run.py"], out)
        code, out, _ = self.gpu("peers", FAILS="llama.cpp-cuda", PUMICE_GPU_AGAIN="1")
        self.assertEqual((code, out.count("cuda: FAILED with 1")), (1, 3), out)


class Report(Script):
    """tests/report.py, from logs as ctest writes them."""

    def report(self, *tests):
        self.write("log", "".join(f"1/2 Testing: {name}\n{output}\n" for name, output in tests))
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "tests/report.py"), self.path("log")], check=False,
                              stdout=subprocess.PIPE, text=True)
        return done.returncode, done.stdout.splitlines()

    def test_cases_of_a_variant_stand_by_driver_and_skips_with_their_reasons(self):
        code, lines = self.report(
            ("op.matmul.lavapipe", "  matmul rows1      3 cases,    700 elements, worst error 1.5e-07"),
            ("op.quantise.lavapipe", "  matmul rows1      2 cases,     10 elements, worst error 2.5e-07"),
            ("op.matmul.swiftshader", "  matmul rows2      4 cases,    700 elements, worst error 0.0e+00\n"
                                      "skipped: matmul lanes1: subgroups of 8 with shuffle (6 cases)"),
            ("mutants.swiftshader", "killed 3 of 4 mutants on swiftshader in 9 s, 2 controls"))
        self.assertEqual(code, 0)
        self.assertEqual([line.split() for line in lines], [
            ["cases", "lavapipe", "swiftshader", "worst", "error"], ["matmul", "rows1", "5", "-", "2.5e-07"],
            ["matmul", "rows2", "-", "4", "0.0e+00"],
            "skipped on swiftshader: matmul lanes1: subgroups of 8 with shuffle (6 cases)".split(),
            "killed 3 of 4 mutants on swiftshader in 9 s, 2 controls".split()])

    def test_a_log_without_cases_is_a_failure(self):
        self.assertEqual(self.report(("unit.hash", "nothing"))[0], 1)


class Root13(Script):
    """As one who is root and may mount; a root that stands in the cache is used."""

    def setUp(self):
        super().setUp()
        self.copy("tests/root13.sh")
        self.copy("tools/setup.sh")
        self.copy("tools/swiftshader.sh")
        self.write("bin/id", "echo 0")
        self.write("bin/unshare", 'while [ "${1#--}" != "$1" ]; do [ "$1" != --propagation ] || shift; shift; done; exec "$@"')
        self.write("bin/mount", "exit ${MOUNT:-0}")
        self.write("bin/umount", "exit 0")
        self.write("bin/chroot", "exit ${INSIDE:-0}")
        self.write("bin/apt-get", "exit 0")
        self.write("bin/apt-config", "exit 0")
        self.write("bin/debootstrap", 'echo "$SAYS"; exit ${MAKES:-0}')

    def make_root(self):
        with open(self.path("tools/setup.sh"), "rb") as file:
            recipe = f"3 {hashlib.sha256(file.read()).hexdigest()}  -"
        for name in ("root/pumice/bench/results", "root/assets", "root/build", "root/tmp", "root/proc", "root/dev"):
            os.makedirs(os.path.join(self.cache, name))
        with open(os.path.join(self.cache, "root", "recipe"), "w", encoding="utf-8") as file:
            file.write(recipe)

    def test_what_fails_in_the_root_gives_its_own_status_and_never_77(self):
        self.make_root()
        for inside, expected in (("0", 0), ("1", 1), ("8", 8), ("77", 1)):
            code, out = self.run_script("tests/root13.sh", INSIDE=inside)
            self.assertEqual(code, expected, out)
            self.assertNotIn("SKIPPED", out)
        code, out = self.run_script("tests/root13.sh", MOUNT="32")
        self.assertEqual(code, 32, out)

    def test_no_root_to_be_had_is_77_with_the_reason(self):
        mirror = {"PUMICE_MIRROR13": "http://deb.example/debian"}
        code, out = self.run_script("tests/root13.sh", SAYS="E: Failed getting release file", MAKES="1", **mirror)
        self.assertEqual(code, 77, out)
        self.assertRegex(out, "SKIPPED: root13: the root cannot be made: E: Failed getting release file")
        code, out = self.run_script("tests/root13.sh")
        self.assertEqual(code, 77, out)
        self.assertIn("PUMICE_MIRROR13", out)
        self.write("bin/id", "echo 1000")
        code, out = self.run_script("tests/root13.sh")
        self.assertEqual(code, 77, out)
        self.assertIn("only root", out)

    def test_a_failure_while_the_root_is_made_is_none_of_the_archive(self):
        mirror = {"PUMICE_MIRROR13": "http://deb.example/debian"}
        for makes, expected in (("9", 9), ("77", 1)):
            code, out = self.run_script("tests/root13.sh", SAYS="no space left on device", MAKES=makes, **mirror)
            self.assertEqual(code, expected, out)
            self.assertNotIn("SKIPPED", out)
            self.assertIn("no space left on device", out)


if __name__ == "__main__":
    main()

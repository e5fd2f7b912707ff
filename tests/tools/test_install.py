"""The installed tree: what libpumice.so exports, outside programs that are built against the
tree by pkg-config and by find_package, and the examples in the top comment of pumice.h."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.environ["PUMICE_TEST_BINARY"]
CMAKE, CC, CXX = os.environ["PUMICE_CMAKE"], os.environ["PUMICE_CC"], os.environ.get("PUMICE_CXX", "c++")
SHARED = os.environ["PUMICE_TEST_SHARED"] == "ON"
HERE = os.path.dirname(os.path.abspath(__file__))
OUTSIDE = os.path.join(HERE, "outside.c")
LANGUAGES = {"c": [CC, "-std=c11", "-x", "c"], "c++": [CXX, "-std=c++17", "-x", "c++"]}
STRICT = ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"]

# What the examples take from the program around them.
AROUND = """#include <pumice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void die(const char *text) { fprintf(stderr, "%s\\n", text); exit(1); }
bool serving(void);
void deliver(uint64_t id, uint32_t index, const pm_event *event);
"""


def run(*command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        raise AssertionError("%s\nexit status %d\n%s" % (" ".join(command), done.returncode, done.stdout))
    return done.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp(prefix="pumice-install-")
        cls.addClassCleanup(shutil.rmtree, cls.scratch)
        # Installed in one place and moved to another: nothing in the tree names its prefix.
        first, cls.prefix = os.path.join(cls.scratch, "first"), os.path.join(cls.scratch, "prefix")
        run(CMAKE, "--install", BUILD, "--prefix", first)
        os.rename(first, cls.prefix)
        cls.lib = os.path.dirname(cls.find("libpumice.a"))
        cls.env = dict(os.environ, PKG_CONFIG_PATH=os.path.join(cls.lib, "pkgconfig"),
                       LD_LIBRARY_PATH=cls.lib)
        with open(cls.find("pumice.h"), encoding="utf-8") as f:
            cls.header = f.read()

    @classmethod
    def find(cls, name):
        for folder, _, files in os.walk(cls.prefix):
            if name in files:
                return os.path.join(folder, name)
        raise AssertionError("%s is not installed" % name)

    def flags(self, *options):
        return run("pkg-config", *options, "pumice", env=self.env).split()

    def says(self, program):
        self.assertIn("PM_ERR_IO: no-such-file.gguf", run(program, env=self.env))

    def test_exports_are_the_header(self):
        if not SHARED:
            self.skipTest("PUMICE_SHARED is off")
        code = re.sub(r"/\*.*?\*/", "", self.header, flags=re.S)
        code = re.sub(r"typedef\b[^;{]*;", "", code)
        declared = set(re.findall(r"\b(pm_\w+)\s*\(", code))
        self.assertGreater(len(declared), 20)
        lines = run("nm", "-D", "--defined-only", self.find("libpumice.so")).splitlines()
        self.assertEqual(declared, {line.split()[-1] for line in lines})

    def test_pkg_config(self):
        for compiler in LANGUAGES.values():
            program = os.path.join(self.scratch, "outside")
            if SHARED:
                run(*compiler, *STRICT, OUTSIDE, "-x", "none", "-o", program, *self.flags("--cflags", "--libs"))
                self.assertIn("libpumice.so", run("readelf", "-d", program))
                self.says(program)
            libs = ["-l:libpumice.a" if f == "-lpumice" else f
                    for f in self.flags("--static", "--cflags", "--libs")]
            run(*compiler, *STRICT, OUTSIDE, "-x", "none", "-o", program, *libs)
            self.assertNotIn("libpumice.so", run("readelf", "-d", program))
            self.says(program)

    def test_find_package(self):
        for components in ("", "COMPONENTS static"):
            source = tempfile.mkdtemp(dir=self.scratch)
            shutil.copy(OUTSIDE, source)
            shutil.copy(OUTSIDE, os.path.join(source, "outside.cpp"))
            with open(os.path.join(source, "CMakeLists.txt"), "w", encoding="utf-8") as f:
                f.write("cmake_minimum_required(VERSION 3.21)\nproject(outside LANGUAGES C CXX)\n"
                        "set(CMAKE_C_STANDARD 11)\nset(CMAKE_CXX_STANDARD 17)\n"
                        "find_package(Pumice 0.1 REQUIRED %s)\n"
                        "add_executable(c outside.c)\ntarget_link_libraries(c Pumice::pumice)\n"
                        "add_executable(cxx outside.cpp)\ntarget_link_libraries(cxx Pumice::pumice)\n" % components)
            build = os.path.join(source, "build")
            run(CMAKE, "-S", source, "-B", build, "-DCMAKE_PREFIX_PATH=" + self.prefix,
                "-DCMAKE_C_COMPILER=" + CC, "-DCMAKE_CXX_COMPILER=" + CXX)
            run(CMAKE, "--build", build)
            for name in ("c", "cxx"):
                program = os.path.join(build, name)
                self.assertEqual("libpumice.so" in run("readelf", "-d", program), SHARED and not components)
                self.says(program)

    def test_program(self):
        self.assertTrue(run(self.find("pumice"), "--version").strip())

    def test_header_examples_compile(self):
        # An example is a run of indented lines of the top comment, before its conventions.
        top = self.header[:self.header.index("Conventions, everywhere")]
        blocks = re.findall(r"(?:^ \*   .*\n(?:^ \*\n(?=^ \*   ))?)+", top, flags=re.M)
        self.assertGreaterEqual(len(blocks), 1)
        text = AROUND
        for i, block in enumerate(blocks):
            body = re.sub(r"^ \*", "", block, flags=re.M)
            text += ("void example_%d(pm_engine *e, const char *text);\n"
                     "void example_%d(pm_engine *e, const char *text)\n{\n(void)e;\n(void)text;\n(void)die;\n{\n%s}\n}\n"
                     % (i, i, body))
        for language, compiler in LANGUAGES.items():
            file = os.path.join(self.scratch, "examples." + ("c" if language == "c" else "cpp"))
            with open(file, "w", encoding="utf-8") as f:
                f.write(text)
            run(*compiler, *STRICT, "-fsyntax-only", "-I", os.path.dirname(self.find("pumice.h")), file)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

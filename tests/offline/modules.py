"""The modules of this build: what shader_table.c lists, and what shaders/variants.txt says of them."""
import os
import re
import shutil
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def built(binary):
    """{name: path of its .spv} of all modules in the program."""
    folder = os.path.join(binary, "spv")
    with open(os.path.join(folder, "shader_table.c"), encoding="utf-8") as file:
        names = re.findall(r'^    \{"([a-z0-9_]+)",', file.read(), re.MULTILINE)
    if not names:
        sys.exit(f"{folder}/shader_table.c: no modules")
    return {name: os.path.join(folder, name + ".spv") for name in names}


def base():
    """Names of the modules that need nothing of the compiler, so that every build has them."""
    names = set()
    with open(os.path.join(SOURCE, "shaders", "variants.txt"), encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if len(fields) >= 3 and not line.startswith("#") and fields[2] == "-":
                names.add(fields[0])
    return names


def tool(name, package):
    """Path of a program, or the end of the test with 77."""
    path = shutil.which(name)
    if path is None:
        print(f"skipped: {name} is not installed (package {package})")
        sys.exit(77)
    return path

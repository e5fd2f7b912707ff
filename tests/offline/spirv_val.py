"""spirv_val.py BUILD - spirv-val accepts every module of the program, for Vulkan 1.3.

The build runs spirv-val on each module as well, where it is installed when cmake looks; this
test says how many modules there are and that none went by.
"""
import subprocess
import sys

import modules


def main():
    spirv_val = modules.tool("spirv-val", "spirv-tools")
    built = modules.built(sys.argv[1])
    bad = 0
    for name, path in sorted(built.items()):
        done = subprocess.run([spirv_val, "--target-env", "vulkan1.3", path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            print(f"{name}: {done.stdout.decode('utf-8', 'replace').strip()}")
            bad += 1
    missing = modules.base() - built.keys()
    if missing:
        print("modules of variants.txt that need nothing, and are not in the program:", *sorted(missing))
    print(f"{len(built)} modules, {bad} that spirv-val refuses")
    return 1 if bad or missing else 0


sys.exit(main())

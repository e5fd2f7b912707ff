#!/usr/bin/env bash
# demo.sh - from a fresh machine to a talk with the demo model: installs what is missing,
# builds a release, starts the chat on the best Vulkan device. Arguments go to pumice chat.
# With standard input not a terminal it answers one prompt per line and exits.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build

# The second run: nothing in the tree is newer than the program.
is_current() {
  [ -x "$build/pumice" ] &&
    [ -z "$(find "$root/src" "$root/include" "$root/shaders" "$root/tools" "$root/cmake" "$root/CMakeLists.txt" \
      -newer "$build/pumice" -type f \( -name '*.[ch]' -o -name '*.comp' -o -name '*.glsl' -o -name '*.txt' -o -name '*.cmake' \) \
      -print -quit)" ]
}

if ! is_current; then
  bash "$root/tools/setup.sh" run
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >&2
  cmake --build "$build" --target pumice >&2
  touch "$build/pumice"
fi
exec "$build/pumice" chat -m "$root/tools/demo_model/pumice-demo-q8_0.gguf" --temp 0 "$@"

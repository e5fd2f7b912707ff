#!/usr/bin/env bash
# demo.sh - from a fresh machine to a talk with the demo model: installs what is missing,
# builds a release, starts the chat on the best Vulkan device. Arguments go to pumice chat.
# With standard input not a terminal it answers one prompt per line and exits.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build

# From the second time on: nothing that the program is made of is newer than it.
is_current() {
  [ -x "$build/pumice" ] &&
    [ -z "$(find "$root"/{CMakeLists.txt,cmake,include,shaders,src,tools} -newer "$build/pumice" \
      \( -name '*.[ch]' -o -name '*.comp' -o -name '*.glsl' -o -name '*.txt' -o -name '*.cmake' \) -print -quit)" ]
}

# Standard input is the chat's.
if ! is_current; then
  {
    bash "$root/tools/setup.sh" run
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release
    cmake --build "$build" --target pumice
    touch "$build/pumice"
  } </dev/null >&2
fi
exec "$build/pumice" chat -m "$root/tools/demo_model/pumice-demo-q8_0.gguf" --temp 0 "$@"

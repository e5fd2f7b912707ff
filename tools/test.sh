#!/usr/bin/env bash
# test.sh - the whole suite, from a fresh machine: installs what is missing, builds with
# warnings as errors, runs every test on two independent Vulkan drivers (lavapipe and
# SwiftShader), the unit and op tests under the address and undefined-behaviour sanitizers,
# and the op and model tests under Vulkan validation.
#
#   PUMICE_ASSETS=DIR           real models and vectors (default: ../shared/assets, if there)
#   PUMICE_SWIFTSHADER_ICD=FILE where SwiftShader's ICD file is, if not in Debian's chromium
#   PUMICE_ONE_DRIVER=1         go on with lavapipe alone where SwiftShader cannot be had
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
assets=${PUMICE_ASSETS:-$root/../shared/assets}
[ -d "$assets" ] && assets=$(cd "$assets" && pwd) || { echo "no assets at $assets: tests that want them are skipped"; assets=; }
jobs=$(nproc)
export HOME=${HOME:-/tmp}

bash "$root/tools/setup.sh" test

lavapipe=$(ls /usr/share/vulkan/icd.d/lvp_icd*.json 2>/dev/null | head -n 1 || true)
swiftshader=${PUMICE_SWIFTSHADER_ICD:-/usr/lib/chromium/vk_swiftshader_icd.json}
[ -e "$lavapipe" ] || { echo "lavapipe is missing (no lvp_icd*.json in /usr/share/vulkan/icd.d)" >&2; exit 1; }
drivers="lavapipe=$lavapipe"
if [ -e "$swiftshader" ]; then
  drivers="$drivers;swiftshader=$swiftshader"
elif [ "${PUMICE_ONE_DRIVER:-}" = 1 ]; then
  echo "SKIPPED: SwiftShader is not at $swiftshader: its half of the device tests does not run"
else
  echo "SwiftShader is not at $swiftshader; set PUMICE_SWIFTSHADER_ICD, or PUMICE_ONE_DRIVER=1 to do without" >&2
  exit 1
fi

# build FOLDER cmake-options...
build() {
  local folder=$1
  shift
  cmake -S "$root" -B "$folder" -G Ninja -DPUMICE_TESTS=ON -DPUMICE_WERROR=ON \
    -DPUMICE_ASSETS="$assets" -DPUMICE_TEST_DRIVERS="$drivers" "$@" >/dev/null
  cmake --build "$folder"
}

# run FOLDER title ctest-options...
run() {
  local folder=$1 title=$2
  shift 2
  printf '\n== %s\n' "$title"
  (cd "$folder" && ctest --output-on-failure -j "$jobs" "$@")
}

build "$root/build-test"
run "$root/build-test" "everything, on every driver"

PUMICE_VALIDATE=1 run "$root/build-test" "op and model tests under validation" -L 'op|model' -R lavapipe

build "$root/build-asan" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPUMICE_SANITIZE=address,undefined
# Drivers and their libraries keep memory until the process ends: leaks are ours only in tests
# without a device.
ASAN_OPTIONS=detect_leaks=1 run "$root/build-asan" "unit tests under sanitizers" -L 'unit|sched|fuzz'
ASAN_OPTIONS=detect_leaks=0 run "$root/build-asan" "op tests under sanitizers" -L op -R 'lavapipe'

#!/usr/bin/env bash
# test.sh - the whole suite, from a fresh machine: installs what is missing, builds with
# warnings as errors, and runs
#   1. every test on two independent Vulkan drivers, lavapipe and SwiftShader, but what the host decides,
#      whatever computes, on the first alone (tests/again.h); only here what takes minutes of compiling
#      and no other path through the code,
#   2. the suite under Vulkan validation, on lavapipe, likewise without what the host decides, on four
#      types of weights,
#   3. the tests of the lower floors, of the ops and of the program under the address and
#      undefined-behaviour sanitizers, where the pages check their invariants after each call,
#   4. eight threads around one that steps, threads that share a device, and jobs on threads, under the thread sanitizer,
#   5. the op and model suites in a Debian 13 root, whose lavapipe has cooperative matrices
#      (tests/root13.sh; where no root can be had, that is said).
#
# However it ends, the seconds of each stage stand last, and the stage that failed.
#
#   PUMICE_ASSETS=DIR               real models and vectors (default: ../shared/assets, if there)
#   PUMICE_SWIFTSHADER_ICD=FILE     SwiftShader's ICD file, where tools/swiftshader.sh does not find it
#   PUMICE_TEST_DRIVERS_OPTIONAL=1  a driver that cannot be had is said, and no failure
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc)

stages=()
# stage "title": the one before has ended.
stage() {
  stages+=("$SECONDS $1")
  printf '\n== %s\n' "$1"
}

# The table of stages, with the exit status of the last.
finish() {
  local status=$? i
  trap - EXIT
  stages+=("$SECONDS end")
  printf '\n== seconds\n'
  for ((i = 0; i + 1 < ${#stages[@]}; i++)); do
    printf '%6d  %s\n' $((${stages[i + 1]%% *} - ${stages[i]%% *})) "${stages[i]#* }"
  done
  [ "$status" -eq 0 ] || printf '\nFAILED: %s (exit status %d)\n' "${stages[-2]#* }" "$status"
  exit "$status"
}
trap finish EXIT

stage "what it needs"
bash "$root/tools/setup.sh" test

assets=${PUMICE_ASSETS:-$root/../shared/assets}
if [ -d "$assets" ]; then
  assets=$(cd "$assets" && pwd)
else
  echo "no assets at $assets: the tests that want them are skipped"
  assets=
fi

drivers=
# add_driver NAME ICD-FILE
add_driver() {
  if [ -r "$2" ]; then
    drivers=${drivers:+$drivers;}$1=$2
  elif [ "${PUMICE_TEST_DRIVERS_OPTIONAL:-}" = 1 ]; then
    echo "SKIPPED: $1 is not there; its part of the device tests does not run"
  else
    echo "the Vulkan driver $1 is not there; PUMICE_TEST_DRIVERS_OPTIONAL=1 does without" >&2
    exit 1
  fi
}
add_driver lavapipe "$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' 2>/dev/null | head -n 1)"
add_driver swiftshader "$(bash "$root/tools/swiftshader.sh" || true)"

# The Debian 13 root is a cache of the user's; pipelines are the suite's own. A HOME for those
# that want one.
export PUMICE_ROOT13=${PUMICE_ROOT13:-${XDG_CACHE_HOME:-${HOME:-$root/build-test}/.cache}/pumice/root13}
export XDG_CACHE_HOME=$root/build-test/cache HOME=${HOME:-$root/build-test}

# build FOLDER cmake-options... With $targets just what those need.
build() {
  local folder=$1
  shift
  stage "building ${folder##*/}"
  cmake -S "$root" -B "$folder" -G Ninja -DPUMICE_TESTS=ON -DPUMICE_WERROR=ON \
    -DPUMICE_ASSETS="$assets" -DPUMICE_TEST_DRIVERS="$drivers" "$@" >/dev/null
  cmake --build "$folder" ${targets:+--target $targets} -- --quiet
}

# run FOLDER title ctest-options... What ran by variant and driver, and the reasons of what was skipped, stand
# above ctest's summary.
run() {
  local folder=$1 log=$1/ctest.log status=0
  stage "$2"
  shift 2
  (cd "$folder" && ctest --output-on-failure -j "$jobs" "$@" 2>&1) | tee "$log" | sed -u '/% tests passed/,$d' || status=$?
  python3 "$root/tests/report.py" "$folder/Testing/Temporary/LastTest.log" || true
  sed -n '/% tests passed/,$p' "$log"
  return "$status"
}

# Without NDEBUG: the pages check their invariants after each call.
build "$root/build-asan" -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O2 -g" -DPUMICE_SANITIZE=address,undefined
build "$root/build-test"
run "$root/build-test" "everything, on every driver"
# Validation looks at calls, which are the same for types that are stored alike.
PUMICE_VALIDATE=1 PUMICE_TEST_AGAIN=1 PUMICE_TEST_TYPES=f16,q8_0,q4_k,iq2_xxs run "$root/build-test" \
  "under Vulkan validation, on lavapipe" -LE '^(oracle|offline|cuda|mutants)$' -E 'swiftshader|lanes|tools\.(verify|bench|peers)'
# Last, with all pipelines in the cache: a compiler of shaders under the sanitizers takes four times as long.
run "$root/build-asan" "under the sanitizers, on lavapipe" -L '^(unit|sched|fuzz|op|tools)$' -E 'swiftshader|lanes|tools\.(verify|peers)'

targets="test_threads test_thread test_vk_threads" build "$root/build-tsan" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPUMICE_SANITIZE=thread
run "$root/build-tsan" "under the thread sanitizer, on lavapipe" -R '^(model\.threads\.lavapipe|op\.vk_threads\.lavapipe|unit\.thread)$'

# Where no root can be had, root13.sh says why and exits with 77.
stage "cooperative matrices, on Debian 13's lavapipe"
status=0
PUMICE_ASSETS=$assets bash "$root/tests/root13.sh" || status=$?
[ "$status" -eq 0 ] || [ "$status" -eq 77 ] || exit "$status"

#!/usr/bin/env bash
# gpu.sh - everything that a machine with a GPU can tell, in three commands of ten minutes each.
#
#   gpu.sh pack OUT.tar.xz    here: builds, and packs programs, their libraries, SPIR-V and sources
#   gpu.sh peers OUT.tar.xz   here: packs llama.cpp's libraries for Vulkan and CUDA (from npm; code for an H100 and
#                             H200 alone), to be unpacked in the same place
#   gpu.sh run [STEP...]      there, in the unpacked archive, or in a source tree (which is then built first)
#
# Steps, what is worth most first, all of them by default; a run ends after PUMICE_GPU_SECONDS (default 570), says what
# it did not reach, and another run with the steps that are left adds to the same folder; models that bench, peers and tune
# have measured there for this commit, and tests that have passed, do not come again (PUMICE_GPU_AGAIN=1: they do):
#   devices  what the machine is
#   bench    Llama-2-7B's shape with random weights in Q4_0, F16 and Q8_0: tg in percent of the memory's measured rate, pp
#            of the matrices', and 1 to 64 sequences at once
#   peers    the same beside llama.cpp on CUDA and Vulkan, F16 also beside transformers, with 8, 1 and 64 requests
#   verify   pumice verify               kernels  nvcc's build of the CUDA kernels
#   capture  what they give, as vectors, which are replayed       tests  the suites
#   tune     what pumice tune changes    ops      each op against the device's peaks
# Where one command has ten minutes: `run devices bench peers`, `run devices verify kernels capture tests`, `run devices
# tune ops`. A model of 7B in F16 is made in the time that writing 13 GB takes; all three lie in TMPDIR: 25 GB.
#
# The machine that runs needs bash, tar and xz, a Vulkan driver, and a C library not older than this
# machine's (pack on Debian 12: glibc 2.36); nvcc for its own build of the CUDA kernels (without it, the
# one that was packed is taken, where the driver is new enough). No package, no glslang, no network. Peers need
# python3; llama.cpp's CUDA libcudart.so.13 and libcublas.so.13, of the system's CUDA or of torch's.
#
# pack takes the newest glslang of $PUMICE_GLSLANG, the Debian 13 root of tests/root13.sh, and this machine.
#
# run leaves results/<device>-<date>/ (build-gpu/results/... in a source tree; or $PUMICE_GPU_RESULTS), 7 files:
#   summary.txt   machine, device, driver, date, commit; what each step found; each test with its verdict and time
#   machine.txt   pumice devices --json, nvidia-smi -q
#   <device>-<driver>.csv  the numbers of ops, bench and peers, as bench/results collects them; of tuned models under
#                 the label "<commit>-tuned"
#   details.jsonl bench model, tune and verify with --json, a line each
#   log.txt       what tests, peers, the CUDA kernels' build and their capture printed
#   pages.tar.gz  <model>.html, ops.html, verify.html
#   vectors.tar.gz  what CUDA gave (tests/cuda/vectors.h): unpack it in tests/cuda
# Exits with 1 when a test failed, with 77 without a Vulkan device.
#
#   PUMICE_GPU_MODELS="FILE..."  more models to measure     PUMICE_GPU_TIMEOUT=S  of one test (default 300)
#   PUMICE_GPU_SHAPES=REGEX      of the random models' names (default ^7b): 7b-q4_0 7b-f16 7b-q8_0 8b-q4_k_m 1b-q4_0 1b-q8_0
#                                1b-f16; on a CPU, to rehearse, tiny-q4_0 tiny-f16 tiny-q8_0
#   PUMICE_TEST_PEER=DIR         llama.cpp's libraries (default: those of gpu.sh peers)
#   PUMICE_GPU_TESTS=REGEX       of the tests' names        PUMICE_DEVICE=N|NAME  as for pumice
#   PUMICE_GPU_ICD=FILE          the Vulkan driver to take in place of the GPU's, a CPU's too: to rehearse a
#                                run without a GPU. The summary says what the device is.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build-gpu
gpu=$root/gpu

die() {
  echo "gpu.sh: $*" >&2
  exit 1
}

# ------------------------------------------------------------------ pack

# A program of the Debian 13 root, run by that root's own loader. wrapper NAME
wrapper() {
  local debian13=${PUMICE_ROOT13:-${XDG_CACHE_HOME:-$HOME/.cache}/pumice/root13}/root
  local program=$debian13/usr/bin/$1 libraries=$debian13/usr/lib/$(uname -m)-linux-gnu loader
  loader=$(echo "$debian13"/usr/lib64/ld-linux-*.so.* "$debian13"/usr/lib/ld-linux-*.so.*)
  loader=${loader%% *}
  [ -x "$program" ] && [ -x "$loader" ] || return 1
  mkdir -p "$build/tools"
  printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$libraries" "$program" >"$build/tools/$1"
  chmod +x "$build/tools/$1"
  "$build/tools/$1" --version >/dev/null 2>&1 && echo "$build/tools/$1"
}

# The newest glslang at hand, and the spirv-val that knows what it makes (or OFF).
find_compiler() {
  glslang=${PUMICE_GLSLANG:-} spirv_val=OFF
  if [ -n "$glslang" ]; then
    return
  fi
  if glslang=$(wrapper glslang || wrapper glslangValidator); then
    spirv_val=$(wrapper spirv-val) || spirv_val=OFF
    return
  fi
  glslang=$(command -v glslang || command -v glslangValidator) || die "no glslang here"
  spirv_val=$(command -v spirv-val) || spirv_val=OFF
}

compile() {
  find_compiler
  echo "shaders by $("$glslang" --version | head -n 1)"
  # DT_RPATH, not DT_RUNPATH: the packed libraries find each other by it, too.
  cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPUMICE_TESTS=ON -DPUMICE_GLSLANG="$glslang" \
    -DPUMICE_SPIRV_VAL="$spirv_val" -DCMAKE_BUILD_RPATH='$ORIGIN/../lib' \
    -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags >/dev/null
  cmake --build "$build" -- --quiet
}

# Puts the programs of the build into a folder: programs FOLDER
programs() {
  local out=$1 file
  mkdir -p "$out/bin" "$out/lib"
  cp "$build/pumice" "$build/pumice-make-model" "$build/pumice-llama-bench" "$build/tests/cuda/pumice-cuda-capture" "$out/bin/"
  # Tests of the device, by ctest's labels; each program once, whatever drivers there are here.
  (cd "$build" && ctest --show-only=json-v1) | python3 -c '
import json, os, sys
seen = set()
for test in json.load(sys.stdin)["tests"]:
    command = test.get("command", [""])
    label = next((p["value"][0] for p in test.get("properties", []) if p["name"] == "LABELS"), "")
    name = os.path.basename(command[0])
    if name.startswith("test_") and len(command) == 1 and label in sys.argv[1:] and name not in seen:
        seen.add(name)
        print(label, name, command[0])' unit op sched model fault cuda >"$out/all"
  # Without test drivers ctest knows no device test: those are the other test programs.
  find "$build/tests" -name 'test_*' -type f -perm -u+x | sort | while read -r file; do
    grep -q " ${file##*/} " "$out/all" || echo "$(basename "$(dirname "$file")") ${file##*/} $file"
  done >>"$out/all"
  awk '$1 != "unit" && $1 != "sched" && $1 != "fuzz" {print $1, $2}' "$out/all" | sort -u >"$out/tests.txt"
  while read -r _ name; do
    cp "$(awk -v name="$name" '$2 == name {print $3; exit}' "$out/all")" "$out/bin/"
  done <"$out/tests.txt"
  rm "$out/all"
}

pack() {
  local archive=${1:?usage: gpu.sh pack OUT.tar.xz} file newest
  [ -d "$root/.git" ] || [ -f "$root/.git" ] || die "pack wants a source tree under git"
  compile
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  local top=$stage/pumice-gpu
  mkdir "$top"
  git -C "$root" archive HEAD -- . ':!tests/fuzz/corpus' | tar -x -C "$top"
  git -C "$root" describe --always --dirty >"$top/COMMIT"
  programs "$top/gpu"
  strip "$top"/gpu/bin/*
  # What they need beyond the C library; Vulkan's loader apart, for machines that lack it.
  for file in "$top"/gpu/bin/*; do
    ldd "$file" | awk '$3 ~ /^\// {print $3}'
  done | sort -u | grep -Ev '/(libc|libm|libdl|librt|libpthread)\.so' | while read -r file; do
    cp -L "$file" "$top/gpu/lib/"
  done
  mkdir -p "$top/gpu/loader" "$top/gpu/spv"
  file=$(ldconfig -p | awk '/libvulkan\.so\.1 / {print $NF; exit}')
  [ -z "$file" ] || cp -L "$file" "$top/gpu/loader/libvulkan.so.1"
  find "$build/spv" -name "*.spv" ! -name "probe_*" -exec cp {} "$top/gpu/spv/" \;
  newest=$(for file in "$top"/gpu/bin/* "$top"/gpu/lib/*; do
    objdump -T "$file" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' || true
  done | sort -uV | tail -n 1)
  echo "programs need ${newest:-no glibc}"
  [ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.36 ] ||
    die "$newest is newer than Debian 12's glibc; pack on Debian 12"
  if bash "$root/tests/cuda/nvcc.sh" "$top/gpu/libpumice_cuda.so" -gencode 'arch=compute_75,code=[sm_75,compute_75]' \
    -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -gencode arch=compute_100,code=sm_100 \
    -gencode arch=compute_120,code=sm_120 >"$stage/nvcc.log" 2>&1; then
    strip "$top/gpu/libpumice_cuda.so"
  else
    echo "without a CUDA build of the kernels: $(tail -n 1 "$stage/nvcc.log")"
  fi
  tar -C "$stage" -c pumice-gpu | xz -T0 -9e >"$archive.part"
  mv "$archive.part" "$archive"
  local bytes
  bytes=$(stat -c %s "$archive")
  echo "$archive: $((bytes / 1024)) KiB, $(wc -l <"$top/gpu/tests.txt") test programs, $(ls "$top/gpu/spv" | wc -l) SPIR-V modules"
  [ "$bytes" -lt $((40 << 20)) ] || die "$archive has more than 40 MiB"
}

# llama.cpp's libraries in a second archive, since both together are too large for one.
peers() {
  local archive=${1:?usage: gpu.sh peers OUT.tar.xz} backend from to
  stage=$(mktemp -d)
  trap 'rm -rf "$stage"' EXIT
  local top=pumice-gpu/gpu/peer/node_modules/@node-llama-cpp
  for backend in vulkan cuda; do
    sh "$root/tests/oracle/setup.sh" peer "$stage/npm" $backend >/dev/null
    from=$(echo "$stage"/npm/node_modules/@node-llama-cpp/linux-*-$backend)
    to=$stage/$top/${from##*/}
    mkdir -p "$to"
    cp -r "$from/bins" "$to/"
  done
  rm "$stage/$top"/*/bins/*/llama-addon.node
  python3 "$root/bench/peers/llama_cpp/trim_cuda.py" "$stage/$top"/*-cuda/bins/*/libggml-cuda.so 90
  tar -C "$stage" -c pumice-gpu | xz -T0 -6 >"$archive.part"
  mv "$archive.part" "$archive"
  echo "$archive: $(($(stat -c %s "$archive") / 1024)) KiB"
  [ "$(stat -c %s "$archive")" -lt $((40 << 20)) ] || die "$archive has more than 40 MiB"
}

# ------------------------------------------------------------------- run

# Seconds of the run that are left.
left() {
  echo $((deadline - $(date +%s)))
}

# limited SECONDS COMMAND...: within that and within the run; 124: its time was over.
limited() {
  local seconds=$1 rest
  rest=$(left)
  shift
  [ "$rest" -ge 3 ] || return 124
  timeout "$((seconds < rest ? seconds : rest))" "$@"
}

# failed WHAT STATUS TEXT: to the summary, as a failure where it is not the run that ended.
failed() {
  if [ "$2" -eq 124 ] && [ "$(left)" -lt 3 ]; then
    say "$1: not reached, the run's time is over"
  else
    say "$1: FAILED with $2: $3"
    failures=1
  fi
}

# note NAME FILE: a line of details, from a file of JSON.
note() {
  printf '{"of": "%s", "is": %s}\n' "$1" "$(tr -d '\n\t' <"$2")" >>"$results/details.jsonl"
}

# say LINE: to the summary and to the terminal
say() {
  echo "$*" | tee -a "$results/summary.txt"
}

# The driver that PUMICE_GPU_ICD names; a loader where there is none, and NVIDIA's ICD where its package did
# not leave the file.
find_vulkan() {
  if [ -n "${PUMICE_GPU_ICD:-}" ]; then
    [ -r "$PUMICE_GPU_ICD" ] || die "PUMICE_GPU_ICD: cannot read $PUMICE_GPU_ICD"
    export VK_DRIVER_FILES=$PUMICE_GPU_ICD VK_ICD_FILENAMES=$PUMICE_GPU_ICD
  fi
  if ! ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1 ' && [ -d "$gpu/loader" ]; then
    export LD_LIBRARY_PATH=$gpu/loader${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    loader="the packed one"
  else
    loader="the machine's"
  fi
  local icd=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json # as containers have it that mount the driver
  if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && [ -r $icd ] &&
    ! ls /usr/share/vulkan/icd.d/nvidia*.json /etc/vulkan/icd.d/nvidia*.json >/dev/null 2>&1; then
    export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd
    loader="$loader, with the ICD file of a mounted driver"
  elif [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && ldconfig -p 2>/dev/null | grep -q 'libGLX_nvidia\.so\.0 ' &&
    ! ls /usr/share/vulkan/icd.d/nvidia*.json /etc/vulkan/icd.d/nvidia*.json >/dev/null 2>&1; then
    echo '{"file_format_version": "1.0.0", "ICD": {"library_path": "libGLX_nvidia.so.0", "api_version": "1.3.0"}}' \
      >"$work/nvidia_icd.json"
    export VK_DRIVER_FILES=$work/nvidia_icd.json VK_ICD_FILENAMES=$work/nvidia_icd.json
    loader="$loader, with an ICD file for NVIDIA's driver"
  fi
}

# The value of "key" in the first device of devices.json.
device_value() {
  sed -n "s/.*\"$1\":[[:space:]]*\"\([^\"]*\)\".*/\1/p" "$work/devices.json" | head -n 1
}

step_devices() {
  cp "$work/devices.json" "$results/machine.txt"
  command -v nvidia-smi >/dev/null && nvidia-smi -q >>"$results/machine.txt" 2>&1 || true
  {
    echo "date     $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo "machine  $(uname -srm), $(nproc) cores, $(awk '/MemTotal/ {print int($2 / 1048576)}' /proc/meminfo) GiB"
    echo "device   $(device_value name)$([ "$(device_value type)" != cpu ] || echo ": a CPU, no GPU was measured")"
    echo "driver   $(device_value driver)"
    echo "loader   $loader"
  } | tee -a "$results/summary.txt"
}

# A model that tests and measurements share: layer FILE
make_layer() {
  [ -f "$1" ] || "$gpu/bin/pumice-make-model" "$1" --dim 4096 --hidden 14336 --layers 1 --heads 32 --kv-heads 8 \
    --head-dim 128 --vocab 8192 --type Q4_K_M --rope-theta 500000 --seed 7
}

# passed NAME: the test has, at this commit.
passed() {
  [ "${PUMICE_GPU_AGAIN:-}" != 1 ] && awk -v commit="$(commit)" -v name="$1" '$1 == "commit" {same = $2 == commit}
    $1 == "test" && $2 == name && $NF == "passed" && same {found = 1} END {exit !found}' "$results/summary.txt"
}

step_tests() {
  local label name status start passed=0 skipped=0 failed=0 before=0 verdict
  make_layer "$work/tests/cuda/layer.gguf"
  while read -r label name; do
    [[ "$label.${name#test_}" =~ ${PUMICE_GPU_TESTS:-.} ]] || continue
    if passed "$label.${name#test_}"; then
      before=$((before + 1))
      continue
    fi
    start=$(date +%s) status=0
    if [ "$(left)" -lt 3 ]; then
      say "tests    not reached from $label.${name#test_} on, the run's time is over"
      break
    fi
    printf '\n== %s.%s\n' "$label" "${name#test_}" >>"$results/log.txt"
    limited "${PUMICE_GPU_TIMEOUT:-300}" "$gpu/bin/$name" >"$work/test.log" 2>&1 </dev/null || status=$?
    cat "$work/test.log" >>"$results/log.txt"
    case $status in
    0) verdict=passed passed=$((passed + 1)) ;;
    77) verdict="skipped: $(sed -n 's/^ *skipped: //Ip' "$work/test.log" | head -n 1)" skipped=$((skipped + 1)) ;;
    124) if [ "$(left)" -lt 3 ]; then verdict="not reached its end"; else verdict="FAILED: no end" failed=$((failed + 1)); fi ;;
    *) verdict="FAILED with $status" failed=$((failed + 1)) ;;
    esac
    say "test     $label.${name#test_} $(($(date +%s) - start)) s $verdict"
  done <"$gpu/tests.txt"
  say "tests    $passed passed, $failed failed, $skipped skipped$([ $before -eq 0 ] || echo "; $before had passed before")"
  [ "$failed" -eq 0 ] || failures=1
}

# nvcc's build on this machine, else the packed one.
step_kernels() {
  local status=0
  limited 300 bash "$root/tests/cuda/nvcc.sh" "$work/tests/cuda/libpumice_cuda.so" -arch=native >>"$results/log.txt" 2>&1 ||
    limited 300 bash "$root/tests/cuda/nvcc.sh" "$work/tests/cuda/libpumice_cuda.so" >>"$results/log.txt" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then
    say "kernels  compiled here by nvcc"
  elif [ -f "$gpu/libpumice_cuda.so" ]; then
    cp "$gpu/libpumice_cuda.so" "$work/tests/cuda/"
    say "kernels  the packed build ($(tail -n 1 "$results/log.txt"))"
  else
    say "kernels  skipped: $(tail -n 1 "$results/log.txt")"
  fi
}

step_capture() {
  local status=0
  make_layer "$work/tests/cuda/layer.gguf"
  rm -rf "$work/vectors"
  mkdir -p "$work/vectors"
  limited 300 "$gpu/bin/pumice-cuda-capture" "$work/vectors" --library "$work/tests/cuda/libpumice_cuda.so" \
    --demo "$root/tools/demo_model/pumice-demo-q8_0.gguf" --text "$root/tools/demo_model/heldout-200.jsonl" \
    --layer "$work/tests/cuda/layer.gguf" >"$work/step.log" 2>&1 || status=$?
  cat "$work/step.log" >>"$results/log.txt"
  say "capture  $(tail -n 1 "$work/step.log")"
  case $status in 0 | 77) ;; *) failures=1 ;; esac
  status=0
  if command -v "$python" >/dev/null; then
    PYTHONDONTWRITEBYTECODE=1 limited 300 "$python" "$root/tests/cuda/capture_torch.py" "$work/vectors" >"$work/step.log" 2>&1 || status=$?
  else
    echo "skipped: no $python" >"$work/step.log" status=77
  fi
  cat "$work/step.log" >>"$results/log.txt"
  say "torch    $(tail -n 1 "$work/step.log")"
  case $status in 0 | 77) ;; *) failures=1 ;; esac
  if [ -n "$(ls "$work/vectors")" ]; then # Pumice against what was just recorded
    tar -C "$work" -cz -f "$results/vectors.tar.gz" vectors
    replay_vectors
  fi
}

replay_vectors() {
  local name status
  for name in test_cuda_vectors test_cuda_model test_cuda_text test_cuda_torch; do
    [ "$name" != test_cuda_torch ] || ls "$work"/vectors/*/torch.*.vec >/dev/null 2>&1 || continue
    status=0
    printf '\n== %s, with the vectors just made\n' "$name" >>"$results/log.txt"
    PUMICE_CUDA_VECTORS=$work/vectors limited "${PUMICE_GPU_TIMEOUT:-300}" "$gpu/bin/$name" >>"$results/log.txt" 2>&1 || status=$?
    if [ "$status" -eq 0 ]; then say "replay   $name passed"; else failed "replay   $name" "$status" "see log.txt"; fi
  done
}

commit() {
  cat "$root/COMMIT" 2>/dev/null || git -C "$root" describe --always --dirty 2>/dev/null || echo unknown
}

# pumice_bench NAME MODE options...: adds to the CSV file; a failure goes to the summary
pumice_bench() {
  local name=$1 mode=$2 status=0
  shift 2
  limited 300 "$gpu/bin/pumice" bench "$mode" "$@" --results "$results" --label "${label:-$(commit)}" \
    >"$work/bench.out" 2>"$work/step.log" || status=$?
  [ "$status" -eq 0 ] || failed "bench    $name $mode" "$status" "$(tail -n 1 "$work/step.log")"
  return "$status"
}

step_ops() {
  pumice_bench device ops --html "$work/pages/ops.html" || return 0
  sed -n 's/^[ *] /ops      /p' "$work/bench.out" | tee -a "$results/summary.txt"
}

step_verify() {
  local status=0
  limited 300 "$gpu/bin/pumice" verify --json --html "$work/pages/verify.html" >"$work/verify.out" 2>"$work/step.log" ||
    status=$?
  [ "$status" -eq 0 ] || failed "verify  " "$status" "$(tail -n 1 "$work/step.log")"
  [ ! -s "$work/verify.out" ] || note verify "$work/verify.out"
  [ "$status" -ne 0 ] || say "verify   $(grep -c '"pass"' "$work/verify.out") rows pass"
}

# rates LABEL MODEL: what the CSV file has of it, on one line.
rates() {
  awk -F, -v label="$1" -v subject="$(basename "$2" .gguf)" '$1 == label && $2 == "pumice" && $4 == subject &&
    $6 ~ /^(tokens_per_s|percent_of_bandwidth|percent_of_flops|first_token_ms)$/ {
    printf "%s%s %.4g %s", $5 == last ? ", " : (last == "" ? "" : "; "), $5 == last ? "" : $5, $(NF - 3), $(NF - 4); last = $5}' \
    "$results"/*.csv
}

# measured ENGINE BENCH NAME [ROW]: this commit's numbers of the model stand in the CSV file, those that begin with ROW.
measured() {
  [ "${PUMICE_GPU_AGAIN:-}" != 1 ] && cat "$results"/*.csv 2>/dev/null |
    awk -v key="${label:-$(commit)},$1,$2,$3,${4:-}" 'index($0, key) == 1 {found = 1} END {exit !found}'
}

# <function>_done NAME: what each_model's function would measure has been.
measure_done() {
  measured pumice model "$1" && { [ "$1" != "${first_shape:-$1}" ] || measured pumice startup "$1"; }
}

# measure MODEL NAME
measure() {
  pumice_bench "$2" model -m "$1" --html "$work/pages/$2.html" --json || return 0
  note "$2" "$work/bench.out"
  [ "$2" != "$first_shape" ] || pumice_bench "$2" startup -m "$1" --starts 1 || return 0
  say "bench    $2: $(rates "$(commit)" "$1")"
}

# Where llama.cpp's CUDA finds CUDA's own libraries: the system's, and those that torch brings.
cuda_libraries() {
  local folder
  for folder in /usr/local/cuda/lib64 $("$python" -c 'import nvidia, glob
print(*(d for p in nvidia.__path__ for d in glob.glob(p + "/*/lib")))' 2>/dev/null || true); do
    [ ! -d "$folder" ] || printf ':%s' "$folder"
  done
}

peer_backends() {
  echo cuda vulkan
  [[ $1 != *-f16 ]] || echo transformers
}

# peer_measured BACKEND NAME: to its last row
peer_measured() {
  case $1 in
  transformers) measured transformers peer "$2" "64 requests" ;;
  *) measured "llama.cpp-$1" peer "$2" batch64 ;;
  esac
}

peer_done() {
  local backend
  for backend in $(peer_backends "$1"); do
    peer_measured "$backend" "$1" || return 1
  done
}

# peer MODEL NAME: beside llama.cpp on CUDA and Vulkan, and, since its weights are of f16, transformers
peer() {
  local backend status log=$work/peer.log command
  for backend in $(peer_backends "$2"); do
    status=0
    if peer_measured "$backend" "$2"; then
      say "peer     $2 $backend: measured before"
      continue
    fi
    case $backend in
    transformers)
      command=("$root/bench/peers/transformers.py" --batch 8,1,64 --reps 1)
      ;;
    *) command=("$root/bench/peers/llama_cpp/run.py" --backend "$backend" --rounds 1 --starts 0 --seconds 10 --pp 512 --batch 16,64) ;;
    esac
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}$([ $backend != cuda ] || cuda_libraries) PYTHONDONTWRITEBYTECODE=1 limited 240 \
      "$python" "${command[@]}" -m "$1" --pumice "$gpu/bin/pumice" --results "$results" --label "$(commit)" >"$log" \
      2>"$work/step.log" || status=$?
    printf '\n== %s, %s\n' "$2" "$backend" | cat - "$log" "$work/step.log" >>"$results/log.txt"
    case $status in
    0) sed "s/^/peer     $2 $backend: /" "$log" | tee -a "$results/summary.txt" ;;
    77) say "peer     $2 $backend: $(tail -n 1 "$log")" ;;
    *) failed "peer     $2 $backend" "$status" "$(tail -n 1 "$work/step.log")" ;;
    esac
  done
}

seven="--dim 4096 --hidden 11008 --layers 32 --heads 32 --kv-heads 32 --head-dim 128 --vocab 32000 --ctx 4096"
eight="--dim 4096 --hidden 14336 --layers 32 --heads 32 --kv-heads 8 --head-dim 128 --vocab 128256 --ctx 4096 --rope-theta 500000"
one="--dim 2048 --hidden 5632 --layers 22 --heads 32 --kv-heads 4 --head-dim 64 --vocab 32000 --ctx 2048"
tiny="--dim 256 --hidden 512 --layers 2 --heads 4 --kv-heads 4 --head-dim 64 --vocab 512 --ctx 2304"

# The random models' names and options, what is worth most first.
shapes() {
  local name
  if [ "$(device_value type)" = cpu ]; then
    printf '%s\n' "tiny-q4_0 $tiny --type Q4_0" "tiny-f16 $tiny --type F16" "tiny-q8_0 $tiny --type Q8_0"
    return
  fi
  printf '%s\n' "7b-q4_0 $seven --type Q4_0" "7b-f16 $seven --type F16" "7b-q8_0 $seven --type Q8_0" \
    "8b-q4_k_m $eight --type Q4_K_M" "1b-q4_0 $one --type Q4_0" "1b-q8_0 $one --type Q8_0" "1b-f16 $one --type F16" |
    while read -r name options; do
      [[ ! "$name" =~ ${PUMICE_GPU_SHAPES:-^7b} ]] || echo "$name $options"
    done
}

# each_model FUNCTION: of PUMICE_GPU_MODELS, and random ones, each made once and kept until the run ends
each_model() {
  local name options file status
  while read -r name options; do
    file=$work/models/random-$name.gguf status=0
    if "$1_done" "random-$name"; then
      say "$(printf '%-8s' "${1/measure/bench}") random-$name: measured before"
      first_shape=${first_shape:-random-$name}
      continue
    fi
    # shellcheck disable=SC2086 # options are words
    [ -f "$file" ] || limited 120 "$gpu/bin/pumice-make-model" "$file.part" $options --repeat 2>"$work/step.log" || status=$?
    if [ "$status" -ne 0 ]; then
      rm -f "$file.part"
      failed "model    random-$name" "$status" "$(tail -n 1 "$work/step.log")"
      continue
    fi
    [ -f "$file" ] || mv "$file.part" "$file"
    first_shape=${first_shape:-random-$name}
    "$1" "$file" "random-$name" </dev/null
  done < <(shapes)
  for file in ${PUMICE_GPU_MODELS:-}; do
    name=$(basename "$file" .gguf)
    if "$1_done" "$name"; then
      say "$(printf '%-8s' "${1/measure/bench}") $name: measured before"
    else
      "$1" "$file" "$name" </dev/null
    fi
  done
}

step_bench() {
  each_model measure
}

tune_done() {
  local label
  label=$(commit)-tuned
  measured pumice model "$1"
}

# tune MODEL NAME: what is faster than the usual choices, in a cache of its own, and how fast the model is with it
tune() {
  local status=0 label
  label=$(commit)-tuned
  XDG_CACHE_HOME=$work/cache-tuned limited 90 "$gpu/bin/pumice" tune -m "$1" --json >"$work/tune.out" 2>"$work/step.log" ||
    status=$?
  [ "$status" -eq 0 ] || { failed "tune     $2" "$status" "$(tail -n 1 "$work/step.log")" && return 0; }
  note "$2 tuned" "$work/tune.out"
  XDG_CACHE_HOME=$work/cache-tuned pumice_bench "$2" model -m "$1" || return 0
  say "tune     $2: $(sed -n 's/.*"planned":[[:space:]]*\([0-9]*\).*/\1/p' "$work/tune.out" | head -n 1) choices," \
    "$(sed -n 's/.*"chosen":[[:space:]]*\([0-9]\{1,\}\).*/\1/p' "$work/tune.out" | head -n 1) are not the usual ones:" \
    "$(rates "$label" "$1")"
}

step_tune() {
  each_model tune
}

step_peers() {
  export PUMICE_TEST_PEER=${PUMICE_TEST_PEER:-$gpu/peer}
  if [ ! -d "$PUMICE_TEST_PEER" ] && ! "$python" -c 'import torch, transformers' 2>/dev/null; then
    say "peers    skipped: no $PUMICE_TEST_PEER (gpu.sh peers), and no torch and transformers"
    return
  fi
  each_model peer
}

run() {
  local steps=("$@") step status=0
  deadline=$(($(date +%s) + ${PUMICE_GPU_SECONDS:-570}))
  [ ${#steps[@]} -gt 0 ] || steps=(devices bench peers verify kernels capture tests tune ops)
  for step in "${steps[@]}"; do
    [[ $step =~ ^(devices|bench|peers|verify|kernels|capture|tests|tune|ops)$ ]] ||
      die "no step '$step': devices bench peers verify kernels capture tests tune ops"
  done
  if [ ! -d "$gpu" ]; then # a source tree
    compile
    gpu=$build/gpu
    programs "$gpu"
  fi
  work=${TMPDIR:-/tmp}/pumice-gpu-$(id -u)
  python=${PUMICE_TEST_VENV:+$PUMICE_TEST_VENV/bin/}python3
  first_shape=''
  mkdir -p "$work/tests/cuda" "$work/models" "$work/pages"
  trap 'rm -rf "$work/models"' EXIT
  find_vulkan
  export PUMICE_TEST_SOURCE=$root PUMICE_TEST_BINARY=$work PUMICE_TEST_ASSETS=${PUMICE_ASSETS:-} PUMICE_CUDA_LIBRARY=$work/tests/cuda/libpumice_cuda.so
  export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$work/cache}
  "$gpu/bin/pumice" devices --json >"$work/devices.json" 2>"$work/step.log" || status=$?
  if [ "$status" -ne 0 ] || [ -z "$(device_value name)" ]; then
    echo "skipped: no Vulkan device: $(tail -n 1 "$work/step.log")"
    exit 77
  fi
  local slug
  slug=$(device_value name | tr '[:upper:]' '[:lower:]' | tr -cs 'a-z0-9' '-' | sed 's/^-//; s/-$//')
  results=${gpu%/gpu}/results/$slug-$(date -u +%Y-%m-%d)
  results=${PUMICE_GPU_RESULTS:-$results}
  mkdir -p "$results"
  failures=0
  [ "$(awk '$1 == "commit" {last = $2} END {print last}' "$results/summary.txt" 2>/dev/null)" = "$(commit)" ] ||
    say "commit   $(commit)"
  for step in "${steps[@]}"; do
    "step_$step"
  done
  [ -z "$(ls "$work/pages")" ] || tar -C "$work" -cz -f "$results/pages.tar.gz" pages
  echo "results are in $results: $(ls "$results" | tr '\n' ' ')"
  exit "$failures"
}

case ${1:-} in
pack) shift && pack "$@" ;;
peers) shift && peers "$@" ;;
run) shift && run "$@" ;;
*)
  sed -n '2,46s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
  ;;
esac

#!/usr/bin/env bash
# nvcc.sh - compiles the reference kernels with nvcc into one shared library.
#
#   nvcc.sh OUT.so [nvcc options, default: code and PTX for compute capability 8.0]
#
# nvcc is $PUMICE_NVCC, or the one in PATH, or in /usr/local/cuda/bin. A warning is an error. Where there
# is none, says so and exits with 77. The CUDA runtime is linked in; the driver is not needed here.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
out=${1:?usage: nvcc.sh OUT.so [nvcc options]}
shift
nvcc=${PUMICE_NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
if [ ! -x "$nvcc" ]; then
  echo "skipped: no nvcc; PUMICE_NVCC=FILE names one"
  exit 77
fi
[ $# -gt 0 ] || set -- -gencode 'arch=compute_80,code=[sm_80,compute_80]'
"$nvcc" --version | tail -n 2 | head -n 1
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
for file in "$root"/tests/cuda/*.cu; do
  name=${file##*/}
  "$nvcc" -std=c++17 -O2 -fmad=false --Werror all-warnings -Xcompiler -Wall,-Wextra,-fPIC "$@" \
    -I"$root/tests" -I"$root/src" -I"$root/include" -c "$file" -o "$objects/${name%.cu}.o"
  echo "compiled $name"
done
# The codebook types' grids, plain C.
for file in "$root/src/gguf/codebook.c" "$root/tests/cuda/grid.c"; do
  name=${file##*/}
  "$nvcc" -O2 -Xcompiler -std=gnu11,-Wall,-Wextra,-fPIC -I"$root/tests" -I"$root/src" -I"$root/include" -c "$file" \
    -o "$objects/${name%.c}.o"
done
"$nvcc" -shared -cudart static "$@" -o "$objects/library.so" "$objects"/*.o
mv "$objects/library.so" "$out"

#!/bin/sh
# Gets what the oracle tests compare with. Nothing of it is needed to build or to run the
# other tests; without it the oracle tests skip and say so.
#
#   setup.sh venv DIR   a Python venv: torch (CPU), transformers, tokenizers, sentencepiece,
#                       gguf, numpy, jinja2            (1 GB or more; PUMICE_TEST_VENV=DIR)
#   setup.sh peer DIR [cpu|vulkan|cuda]
#                       llama.cpp's libraries, prebuilt for the CPU, or for a GPU too, from npm
#                                                      (about 30 MB; PUMICE_TEST_PEER=DIR)
set -eu
usage() { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -eq 2 ] || { [ $# -eq 3 ] && [ "$1" = peer ]; } || usage
dir=$2
case $1 in
venv)
    python3 -m venv "$dir"
    # Several GB where the default build is the one for CUDA: PUMICE_PIP_ARGS can name an index of CPU builds.
    "$dir/bin/pip" install --quiet ${PUMICE_PIP_ARGS:-} torch==2.13.0
    "$dir/bin/pip" install --quiet transformers==5.24.0 tokenizers sentencepiece protobuf gguf==0.19.0 numpy jinja2
    echo "export PUMICE_TEST_VENV=$dir"
    ;;
peer)
    command -v npm > /dev/null || { echo "npm is missing (Debian: apt-get install npm)" >&2; exit 1; }
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) package=@node-llama-cpp/linux-x64 ;;
    Linux-aarch64) package=@node-llama-cpp/linux-arm64 ;;
    *) echo "no prebuilt CPU libraries are known for $(uname -s) $(uname -m)" >&2; exit 1 ;;
    esac
    case ${3:-cpu} in
    cpu) more= ;;
    vulkan) more=$package-vulkan@3.22.1 ;;
    cuda) more="$package-cuda@3.22.1 $package-cuda-ext@3.22.1" ;;
    *) usage ;;
    esac
    mkdir -p "$dir"
    # shellcheck disable=SC2086 # several packages, or none
    npm install --prefix "$dir" --ignore-scripts --no-audit --no-fund --no-save "$package@3.22.1" $more >&2
    echo "export PUMICE_TEST_PEER=$dir"
    ;;
*) usage ;;
esac

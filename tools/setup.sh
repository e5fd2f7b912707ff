#!/usr/bin/env bash
# setup.sh run|test - installs what is missing to build and run Pumice, or to test it.
#
# Debian and Ubuntu: through apt, with sudo when not root; says what it installs and does
# nothing when all is there. On other systems it names what is missing and exits with 1.
set -euo pipefail

want=${1:?usage: setup.sh run|test}

run_packages=(gcc libc6-dev cmake ninja-build pkg-config glslang-tools
  libvulkan-dev libvulkan-volk-dev libpcre2-dev libutf8proc-dev libcjson-dev libedit-dev
  libvulkan1 mesa-vulkan-drivers)
test_packages=(g++ libcmocka-dev vulkan-validationlayers spirv-tools clang python3)
case $want in
  run) packages=("${run_packages[@]}") ;;
  test) packages=("${run_packages[@]}" "${test_packages[@]}") ;;
  *) echo "usage: setup.sh run|test" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

# Without apt: the tools and libraries, by what the build looks for.
check_without_apt() {
  local missing=()
  local tool header
  for tool in cc cmake ninja pkg-config; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  command -v glslang >/dev/null || command -v glslangValidator >/dev/null || missing+=(glslang)
  for header in libpcre2-8 libutf8proc libcjson libedit vulkan; do
    pkg-config --exists "$header" 2>/dev/null || missing+=("$header (development files)")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    return 0
  fi
  say "This system has no apt, so nothing can be installed here. Missing: ${missing[*]}"
  say "README.md names the packages for Fedora and Arch; volk.h and a Vulkan driver are needed, too."
  return 1
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  check_without_apt
  exit
fi

is_installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
is_offered() { apt-cache show --no-all-versions "$1" >/dev/null 2>&1; }

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
# SwiftShader, the second driver of the tests, comes inside Debian's chromium package.
# Ubuntu's is a snap without it: there the tests need PUMICE_SWIFTSHADER_ICD.
if [ "$want" = test ] && [ ! -e /usr/lib/chromium/vk_swiftshader_icd.json ] && ! grep -qi '^ID=ubuntu' /etc/os-release; then
  missing+=(chromium)
fi
# The sanitizers' and fuzzers' run time of clang has its version in its name.
if [ "$want" = test ] && ! ls /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a >/dev/null 2>&1; then
  needs_clang_rt=1
else
  needs_clang_rt=
fi
if [ ${#missing[@]} -eq 0 ] && [ -z "$needs_clang_rt" ]; then
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { say "Not root and no sudo; install by hand: ${missing[*]}"; exit 1; }
  as_root=(sudo)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" >&2; }

is_offered "${missing[0]:-clang}" || { say "Reading the package lists"; apt update; }
if [ -n "$needs_clang_rt" ]; then
  version=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
  if [ -n "$version" ] && is_offered "libclang-rt-$version-dev"; then
    missing+=("libclang-rt-$version-dev")
  fi
fi
if [ ${#missing[@]} -gt 0 ]; then
  say "Installing: ${missing[*]}"
  apt install -y --no-install-recommends "${missing[@]}" || { apt update; apt install -y --no-install-recommends "${missing[@]}"; }
fi

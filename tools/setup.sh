#!/usr/bin/env bash
# setup.sh run|test - installs what is missing to build and run Pumice, or to test it.
#
# Debian and Ubuntu: through apt, with sudo when not root; says what it installs and does
# nothing when all is there. On other systems it names what is missing and exits with 1.
set -euo pipefail

packages=(gcc libc6-dev cmake ninja-build pkg-config glslang-tools
  libvulkan-dev libvulkan-volk-dev libpcre2-dev libutf8proc-dev libcjson-dev libedit-dev
  libvulkan1 mesa-vulkan-drivers)
commands=(cc cmake ninja pkg-config)
libraries=(vulkan libpcre2-8 libutf8proc libcjson libedit)
case ${1:-} in
  run) ;;
  test)
    packages+=(g++ libcmocka-dev vulkan-validationlayers spirv-tools spirv-cross python3)
    commands+=(c++ spirv-val python3)
    libraries+=(cmocka)
    ;;
  *)
    echo "usage: setup.sh run|test" >&2
    exit 2
    ;;
esac

say() { printf '%s\n' "$*" >&2; }

# ---- without apt: what the build would not find ----

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  missing=()
  for command in "${commands[@]}"; do
    command -v "$command" >/dev/null || missing+=("$command")
  done
  command -v glslang >/dev/null || command -v glslangValidator >/dev/null || missing+=(glslang)
  for library in "${libraries[@]}"; do
    pkg-config --exists "$library" 2>/dev/null || missing+=("$library")
  done
  [ ${#missing[@]} -gt 0 ] || exit 0
  say "This system has no apt, so nothing can be installed from here. Not found: ${missing[*]}"
  say "README.md names the packages for Fedora, Arch and the LunarG SDK. A Vulkan driver and volk.h are needed, too."
  exit 1
fi

# ---- with apt ----

is_installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
is_offered() { apt-cache show --no-all-versions "$1" >/dev/null 2>&1; }
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" </dev/null >&2
}

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
# SwiftShader, the second driver of the tests, comes inside Debian's chromium package.
wants_swiftshader=
if [ "$1" = test ] && ! "$(dirname "${BASH_SOURCE[0]}")/swiftshader.sh" >/dev/null; then
  wants_swiftshader=1
fi
[ ${#missing[@]} -gt 0 ] || [ -n "$wants_swiftshader" ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
  command -v sudo >/dev/null || { say "Not root and no sudo. Install: ${missing[*]}"; exit 1; }
fi

is_offered "${missing[0]:-chromium}" || { say "Reading the package lists"; apt update; }
if [ -n "$wants_swiftshader" ]; then
  if is_offered chromium; then
    missing+=(chromium)
  else
    say "No chromium package here (Ubuntu's is a snap): SwiftShader has to come from elsewhere, see tools/swiftshader.sh"
  fi
fi
[ ${#missing[@]} -gt 0 ] || exit 0
say "Installing: ${missing[*]}"
apt install -y --no-install-recommends "${missing[@]}" ||
  { say "Once more with new package lists"; apt update; apt install -y --no-install-recommends "${missing[@]}"; }

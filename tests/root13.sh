#!/usr/bin/env bash
# root13.sh [COMMAND...] - the op and model suites on Debian 13's newest lavapipe.
#
# Debian 12's glslang compiles no cooperative matrix, and its drivers offer none. This makes a
# Debian 13 root with debootstrap, with the Mesa of trixie-backports, whose lavapipe offers
# VK_KHR_cooperative_matrix and VK_NV_cooperative_matrix2 on any CPU, builds there, and runs
# the suites, and the compilers of AMD's newer families over all modules: Debian 13's own Mesa
# still compiles for GPUs that are not there, so its RADV lies in the root beside the newer one.
# The root and the build stay in the cache and are used again. With a COMMAND it runs that in the
# build folder instead of the suites; it may write to bench/results and to nothing else of the tree:
#   tests/root13.sh cmake --build . --target offline-tables-newer
#
#   PUMICE_ROOT13=DIR    the cache (default: ~/.cache/pumice/root13, about 2 GB)
#   PUMICE_MIRROR13=URL  a Debian mirror (default: the one that this host's apt uses)
#   PUMICE_ASSETS=DIR    real models and vectors, as for tools/test.sh
#   PUMICE_TEST_PEER=DIR llama.cpp's libraries (tests/oracle/setup.sh), which are then in /peer there
#
# Needs root (chroot, mounts) and, the first time, the network. Exits with 77 and the reason
# where no root can be had: no rights, or no archive that gives the packages. Whatever else fails
# ends it with its own exit status, and never with 77. All
# mounts are in a mount namespace of this process and end with it, however it ends.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${PUMICE_ROOT13:-${XDG_CACHE_HOME:-$HOME/.cache}/pumice/root13}
assets=${PUMICE_ASSETS:-$source_dir/../shared/assets}
release=trixie
radv=/opt/radv # in the root

skip() {
  printf 'SKIPPED: root13: %s\n' "$*"
  exit 77
}

# ---- what it takes, and the namespace of the mounts ----

if [ "${ROOT13_NAMESPACE:-}" != $$ ]; then
  [ "$(id -u)" -eq 0 ] || skip "only root can make and enter a Debian root"
  command -v apt-get >/dev/null || skip "no apt here, whose mirror and settings the root would use"
  for command in unshare flock; do
    command -v $command >/dev/null || skip "no $command here (package util-linux)"
  done
  unshare --mount true 2>/dev/null || skip "this process may not mount"
  ROOT13_NAMESPACE=$$ exec unshare --mount --propagation private bash "$source_dir/tests/root13.sh" "$@"
fi

# From here on 77 is said by skip() alone.
fail() {
  printf 'root13: %s (exit status %d)\n' "$2" "$1" >&2
  [ "$1" -ne 77 ] || exit 1
  exit "$1"
}

# What apt and debootstrap say in the log when an archive does not give what they ask for.
apt_error() {
  grep -E '^E: ' "$log" | tail -n 1
}

mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
root=$cache/root log=$cache/make.log
unset ROOT13_NAMESPACE

# ---- making the root ----

# The archive that this host's apt reads; nothing on another distribution.
debian_mirror() {
  apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | awk '$1 == "Debian" && $2 == "Debian" {print $3; exit}'
}

# Runs a command inside FOLDER, with nothing of this environment but the proxy.
inside() {
  local folder=$1
  shift
  chroot "$folder" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
    DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    ${no_proxy:+no_proxy="$no_proxy"} "$@"
}

mount_system() {
  mount -t proc proc "$1/proc"
  mount --rbind /dev "$1/dev"
}

# How to reach the archive: what this host's apt, resolver and certificates say.
copy_network() {
  local folder=$1 file
  apt-config dump | grep -E '^Acquire::(http|https|Retries|Check-|ForceIPv)' >"$folder/etc/apt/apt.conf.d/00host" || true
  for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
    if [ -r "$file" ]; then
      mkdir -p "$folder${file%/*}"
      cat "$file" >"$folder$file"
    fi
  done
}

# The newest Mesa first, so that tools/setup.sh finds a driver and leaves it. A second driver is
# not wanted here, so lavapipe's file stands for SwiftShader's.
install_packages() {
  local folder=$1 apt=(apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0)
  inside "$folder" "${apt[@]}" update
  inside "$folder" "${apt[@]}" install -t "$release-backports" mesa-vulkan-drivers libvulkan1
  mkdir -p "$folder/tmp/tools"
  cp "$source_dir/tools/setup.sh" "$source_dir/tools/swiftshader.sh" "$folder/tmp/tools/"
  inside "$folder" PUMICE_SWIFTSHADER_ICD="/$(cd "$folder" && echo usr/share/vulkan/icd.d/lvp_icd*.json)" \
    bash /tmp/tools/setup.sh test
  rm -r "$folder/tmp/tools"
  rm -rf "$folder$radv"
  mkdir -p "$folder$radv"
  inside "$folder" sh -euc "cd $radv; apt-get -q -o APT::Sandbox::User=root download mesa-vulkan-drivers/$release
    dpkg-deb -x *.deb .; rm *.deb; mv \$(find . -name libvulkan_radeon.so) .; mv \$(find . -name 'radeon_icd*.json') icd.json
    sed -i 's,\"[^\"]*libvulkan_radeon.so,\"$radv/libvulkan_radeon.so,' icd.json; rm -r usr"
  inside "$folder" apt-get clean
}

make_root() {
  local mirror=$1 folder=$root script=
  if [ ! -d "$root" ]; then
    folder=$cache/root.new
    [ -e "/usr/share/debootstrap/scripts/$release" ] || script=/usr/share/debootstrap/scripts/sid
    rm -rf --one-file-system "$folder"
    mkdir -p "$folder/etc/dpkg/dpkg.cfg.d"
    # A cache, not a system: no synchronous writes, no manuals.
    printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' \
      'path-exclude=/usr/share/locale/*' >"$folder/etc/dpkg/dpkg.cfg.d/root13"
    http_proxy=${http_proxy:-$(apt-config dump | sed -nE 's/^Acquire::http::proxy "(.*)";$/\1/Ip')} \
      debootstrap --variant=minbase "$release" "$folder" "$mirror" ${script:+"$script"}
  fi
  printf 'deb %s %s main\n' "$mirror" "$release" "$mirror" "$release-backports" >"$folder/etc/apt/sources.list"
  copy_network "$folder"
  mount_system "$folder"
  install_packages "$folder"
  mkdir -p "$folder/pumice" "$folder/assets" "$folder/build"
  umount -R "$folder/proc" "$folder/dev"
  [ "$folder" = "$root" ] || mv "$folder" "$root"
  printf '%s' "$recipe" >"$root/recipe"
}

# Runs a command, sets `status`. Never in a condition, where bash would not heed -e inside.
attempt() {
  set +e
  (set -e; "$@") >"$log" 2>&1
  status=$?
  set -e
}

install_debootstrap() {
  local install=(apt-get -q -y --no-install-recommends install debootstrap)
  "${install[@]}" || { apt-get -q update && "${install[@]}"; }
}

recipe="3 $(sha256sum <"$source_dir/tools/setup.sh")" # the number: of make_root()
exec {lock}>"$cache/lock"
flock "$lock" # others may be making it, or be in it
if [ "$(cat "$root/recipe" 2>/dev/null)" != "$recipe" ]; then
  began=$SECONDS
  if ! command -v debootstrap >/dev/null; then
    attempt install_debootstrap
    [ "$status" -eq 0 ] || skip "no debootstrap here, and it cannot be installed: $(apt_error) (see $log)"
  fi
  mirror=${PUMICE_MIRROR13:-$(debian_mirror)}
  if [ -z "$mirror" ]; then
    attempt apt-get -q update
    mirror=$(debian_mirror)
  fi
  [ -n "$mirror" ] || skip "this host's apt names no Debian archive; PUMICE_MIRROR13 can"
  echo "making a Debian 13 root in $root (what it says: $log)"
  attempt make_root "$mirror"
  if [ "$status" -ne 0 ]; then
    reason=$(apt_error) || fail "$status" "making the root failed: $(tail -n 1 "$log") (see $log)"
    skip "the root cannot be made: $reason (see $log)"
  fi
  echo "made in $((SECONDS - began)) s, $(du -sm --one-file-system "$root" | cut -f1) MiB"
fi
flock -s "$lock"

# ---- in the root ----

# One build for each source tree, used again.
name=$(printf '%s' "$source_dir" | cksum | cut -d' ' -f1)
build=/build/$name
mkdir -p "$root$build"
exec {build_lock}>"$root$build/lock"
flock "$build_lock"
mount_system "$root"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$source_dir" "$root/pumice"
mount -o remount,bind,ro "$root/pumice"
mount --bind "$source_dir/bench/results" "$root/pumice/bench/results"
if [ -d "$assets" ]; then
  mount --bind "$assets" "$root/assets"
  mount -o remount,bind,ro "$root/assets"
else
  echo "no assets at $assets: the tests that want them are skipped"
fi

if [ -d "${PUMICE_TEST_PEER:-}" ]; then
  mkdir -p "$root/peer"
  mount --bind "$PUMICE_TEST_PEER" "$root/peer"
  mount -o remount,bind,ro "$root/peer"
  PUMICE_TEST_PEER=/peer
fi

# What a caller may say to the tests: PUMICE_TEST_SEED, PUMICE_VALIDATE, PUMICE_VARIANT, ...
mapfile -t said < <(env | grep -E '^PUMICE_[A-Z_]+=' | grep -vE '^PUMICE_(ROOT13|MIRROR13|ASSETS|TEST_DRIVERS|SWIFTSHADER)')

# Builds, then runs "$@", or the suites.
# shellcheck disable=SC2016 # for the shell inside
work='
set -euo pipefail
cd "$BUILD"
icd=$(echo /usr/share/vulkan/icd.d/lvp_icd*.json)
export VK_DRIVER_FILES=$icd XDG_CACHE_HOME=$BUILD/cache
assets=; [ -z "$(ls /assets)" ] || assets=/assets
cmake -S /pumice -B . -G Ninja -DPUMICE_TESTS=ON -DPUMICE_WERROR=ON -DPUMICE_ASSETS="$assets" \
  -DPUMICE_TEST_DRIVERS="lavapipe13=$icd" -DPUMICE_RADV_ICD="$RADV/icd.json" >configure.log || { cat configure.log; exit 1; }
grep "glslang: " configure.log || true
cmake --build . -- --quiet
[ $# -eq 0 ] || exec "$@"
./pumice devices
status=0
ctest --output-on-failure -j "$(nproc)" -L "^(op|model|offline)$" -E "offline\.(msl|amd\.(polaris10|vega10|navi10|navi21))" \
  >ctest.log 2>&1 || status=$?
sed "/% tests passed/,\$d" ctest.log
grep -hE "worst error|cases of|^ *(skipped|SKIPPED): " Testing/Temporary/LastTest.log | sort | uniq -c || true
sed -n "/% tests passed/,\$p" ctest.log
exit "$status"
'
status=0
inside "$root" BUILD="$build" RADV="$radv" "${said[@]}" bash -c "$work" root13 "$@" || status=$?
[ "$status" -eq 0 ] || fail "$status" "the build or its tests failed"

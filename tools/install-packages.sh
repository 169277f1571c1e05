#!/usr/bin/env bash
# Installs the Debian packages that DedupFS needs. Asks dpkg first: no network and no root are
# needed where all are there.
#   tools/install-packages.sh build    to build and run it
#   tools/install-packages.sh tests    also to run every test (default)
#   tools/install-packages.sh soak     also what the soak tests run on a mount
#   tools/install-packages.sh bench    also what the bench compares with, and profilers
set -euo pipefail

build_packages=(
  build-essential cmake ninja-build pkg-config ccache
  libfuse3-dev fuse3 librocksdb-dev libssl-dev libxxhash-dev libzstd-dev liblz4-dev libutf8proc-dev
  libspdlog-dev libexpected-dev libtomlplusplus-dev libcli11-dev nlohmann-json3-dev
)
test_packages=(
  libgtest-dev libgmock-dev clang-14 clang-tidy-14 clang-format-14 libclang-rt-14-dev
  python3 attr acl xfsprogs e2fsprogs git rsync borgbackup restic
  samba smbclient samba-vfs-modules nfs-ganesha nfs-ganesha-vfs libnfs-utils rpcbind iproute2
)
soak_packages=(postgresql fio stress-ng dbench)
bench_packages=(
  libbenchmark-dev procps fio bindfs mergerfs zfs-fuse btrfs-progs valgrind linux-perf
)

case ${1:-tests} in
  build) wanted=("${build_packages[@]}") ;;
  tests) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
  soak) wanted=("${build_packages[@]}" "${test_packages[@]}" "${soak_packages[@]}") ;;
  bench) wanted=("${build_packages[@]}" "${test_packages[@]}" "${bench_packages[@]}") ;;
  *)
    echo "usage: $0 [build|tests|soak|bench]" >&2
    exit 2
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $state == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  exit 0
fi

echo "installing: ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
# The tests start their servers themselves, on loopback: none is to serve because it was installed.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi
if ! "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"; then
  "${as_root[@]}" apt-get update
  "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
fi

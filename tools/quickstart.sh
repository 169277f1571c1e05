#!/usr/bin/env bash
# From a fresh checkout to a mounted file system. Can be run again at any time: it does only what is
# still missing.
#   tools/quickstart.sh [STORE] [MOUNTPOINT]
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
store=${1:-$HOME/dedupfs-store}
mountpoint=${2:-$HOME/dedupfs}
dedupfs=$root/build/release/tools/dedupfs/dedupfs

bash "$root/tools/install-packages.sh" build
(cd "$root" && cmake --preset release -DDEDUPFS_TESTS=OFF && cmake --build --preset release)

if [[ ! -e $store/format ]]; then
  "$dedupfs" format -- "$store"
fi
mkdir -p -- "$mountpoint"
if ! mountpoint -q -- "$mountpoint"; then
  "$dedupfs" mount -- "$store" "$mountpoint"
fi

cat <<EOF

DedupFS is mounted.
  your files:    $mountpoint
  the store:     $store
  the savings:   $dedupfs stats $store
  unmount:       $dedupfs umount $mountpoint
  mount again:   $dedupfs mount $store $mountpoint
EOF

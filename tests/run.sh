#!/usr/bin/env bash
# Every check of the project: static ones first, then the sanitizers, and the whole test suite of
# the release build last. The first stage that fails ends the run.
#   tests/run.sh            everything but soak tests and benchmarks
#   tests/run.sh --quick    the release build and its tests only
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
quick=no
case ${1:-} in
  '') ;;
  --quick) quick=yes ;;
  *)
    echo "usage: tests/run.sh [--quick]" >&2
    exit 2
    ;;
esac

jobs=2
logs=$root/build/logs
mkdir -p "$logs"
summary=()

# stage NAME FUNCTION: runs it with its output in a log file and on the terminal.
stage() {
  local name=$1 begin=$SECONDS
  printf '\n=== %s\n' "$name"
  if ! "$2" 2>&1 | tee "$logs/$2.log"; then
    printf '=== %s: FAILED after %d s (log: build/logs/%s.log)\n' "$name" $((SECONDS - begin)) "$2"
    exit 1
  fi
  summary+=("$(printf '%6d s  %s' $((SECONDS - begin)) "$name")")
}

build() { # PRESET [cmake options]
  cmake --preset "$@" && cmake --build --preset "$1" -j "$jobs"
}

tests_of() { # PRESET [ctest options]
  local preset=$1
  shift
  ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" --no-tests=error \
    --output-junit "$logs/$preset.xml" "$@"
}

packages() { bash tools/install-packages.sh tests; }

thread_safety() { build clang-thread-safety; }

tidy() {
  local found=$logs/tidy.found
  find chunkstore fs control tools -name '*.cc' -not -name '*_avx*.cc' -not -name '*_shani.cc' \
    -not -path 'tools/bench/*' -print0 |
    xargs -0 -P "$jobs" -n 4 clang-tidy-14 -p build/clang-thread-safety --quiet >"$found" 2>&1 ||
    true # its status says no more than the findings do
  ! grep -E -A4 '(warning|error): ' "$found"
}

address_sanitizer() {
  export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
  build asan && tests_of asan -L '^(unit|mount|crash)$'
}

thread_sanitizer() {
  # The flusher holds the locks of up to 2,000 files at once, by ascending inode: more than the
  # deadlock detector can follow. Clang's analysis and docs/locking.md look after the order.
  export TSAN_OPTIONS=detect_deadlocks=0:suppressions=$root/tests/sanitizers/tsan.supp
  build tsan && tests_of tsan -L '^(unit|mount|crash)$'
}

release_build() { build release -DDEDUPFS_TESTS=ON; }

release_tests() { tests_of release -LE '^(soak|bench)$'; }

skips() { python3 tests/lint/check_skips.py "$logs"/*.xml; }

rm -f "$logs"/*.xml
stage packages packages
if [[ $quick == no ]]; then
  stage "clang, with thread-safety analysis" thread_safety
  stage "clang-tidy" tidy
  stage "address and undefined-behaviour sanitizers" address_sanitizer
  stage "thread sanitizer" thread_sanitizer
fi
stage "release build" release_build
printf '\nstages so far:\n'
printf '%s\n' "${summary[@]}"
stage "release tests" release_tests

# Nothing more is printed after a run without a fault: ctest's own last lines stand at the end.
if ! skips >"$logs/skips.log" 2>&1; then
  cat "$logs/skips.log"
  exit 1
fi

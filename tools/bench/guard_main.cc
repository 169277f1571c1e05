// Does one part of the guard's work, for guard.py to run under callgrind.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tools/bench/guard_parts.h"

namespace {

constexpr int kUsage = 2;
constexpr int kNeedsAvx2 = 77;  // guard.py skips the part

// Counts of another compiler, or of a build that does not optimise, compare with nothing.
void PrintBuild() {
#if defined(__clang__)
  std::printf("clang %d", __clang_major__);
#else
  std::printf("gcc %d", __GNUC__);
#endif
#if defined(NDEBUG) && defined(__OPTIMIZE__)
  std::printf(" release");
#else
  std::printf(" not release");
#endif
#if defined(__x86_64__)
  std::puts(" x86-64");
#else
  std::puts(" other");
#endif
}

int Usage() {
  std::fputs(
      "usage: bench_guard build | prepare-lookup DIR | prepare-create DIR\n"
      "       bench_guard chunker MIB | fingerprint MIB | lookup COUNT DIR | create COUNT DIR\n",
      stderr);
  return kUsage;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view part = argc > 1 ? argv[1] : "";
  if (part == "build") {
    PrintBuild();
    return 0;
  }
  if (part == "prepare-lookup" && argc == 3) {
    dedupfs::PrepareLookup(argv[2]);
    return 0;
  }
  if (part == "prepare-create" && argc == 3) {
    dedupfs::PrepareCreate(argv[2]);
    return 0;
  }
  const uint64_t count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  if (count == 0) return Usage();
  if (part == "chunker" && argc == 3) return dedupfs::CountChunker(count) ? 0 : kNeedsAvx2;
  if (part == "fingerprint" && argc == 3) {
    dedupfs::CountFingerprint(count);
  } else if (part == "lookup" && argc == 4) {
    dedupfs::CountLookup(argv[3], count);
  } else if (part == "create" && argc == 4) {
    dedupfs::CountCreate(argv[3], count);
  } else {
    return Usage();
  }
  return 0;
}

#include <cstdio>
#include <exception>

#include "tools/dedupfs/arguments.h"
#include "tools/dedupfs/exit_codes.h"

int main(int argc, char** argv) {
  try {
    return dedupfs::ParseAndRun(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dedupfs: %s\n", error.what());
    return dedupfs::kExitFailure;
  }
}

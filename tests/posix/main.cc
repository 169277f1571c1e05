// Mounts DedupFS and ext4, and runs the rules on both.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <span>
#include <string_view>

#include "tests/posix/posix_fixture.h"
#include "tests/posix/tested_file_system.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

int RunAll() {
  if (::geteuid() != 0) {
    std::puts("SKIPPED: needs root: mounting and changing users");
    return 0;
  }
  if (::access("/dev/fuse", R_OK | W_OK) != 0) {
    std::puts("SKIPPED: needs fuse: there is no /dev/fuse");
    return 0;
  }
  // In a mount namespace of its own, so that no mount outlives the program.
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    std::puts("SKIPPED: needs namespaces: one of mounts");
    return 0;
  }
  const TempDir directory;
  ::chmod(directory.path().c_str(), 0755);  // other users must get to the mounts
  const auto ext4 = MakeExt4(directory.path());
  const auto dedupfs = MakeDedupfs(directory.path());
  const Status reference = ext4->Start();
  if (reference) {
    TheMounts().ext4 = ext4.get();
  } else {
    TheMounts().why_no_ext4 = reference.error().message;
  }
  if (const Status started = dedupfs->Start(); !started) {
    std::printf("DedupFS cannot be mounted: %s\n", started.error().message.c_str());
    return 1;
  }
  TheMounts().dedupfs = dedupfs.get();
  int result = RUN_ALL_TESTS();
  if (const Status stopped = dedupfs->Stop(); !stopped) {
    std::printf("DedupFS: %s\n", stopped.error().message.c_str());
    result = 1;
  }
  static_cast<void>(ext4->Stop());
  if (result == 0 && !reference) {
    std::printf("SKIPPED: %s\n", reference.error().message.c_str());
  }
  return result;
}

}  // namespace
}  // namespace dedupfs

int main(int argc, char** argv) {
  const std::span<char* const> arguments(argv, static_cast<size_t>(argc));
  if (argc > 1 && std::string_view(argv[1]) == dedupfs::kServeArgument) {
    return dedupfs::ServeDedupfs(arguments.subspan(2));
  }
  ::testing::InitGoogleTest(&argc, argv);
  return GTEST_FLAG_GET(list_tests) ? RUN_ALL_TESTS() : dedupfs::RunAll();
}

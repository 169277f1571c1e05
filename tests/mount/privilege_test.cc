// Set-id bits go where others write, stay where root does, and cost no request for each write.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>

#include "fs/fuse/request_counters.h"
#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

constexpr uid_t kOwner = 4242;
constexpr mode_t kSetIdMode = 06777;

class PrivilegeTest : public MountTest {
 protected:
  void MakeSetIdFile() {
    WriteFile(At("program"), std::string(8192, 'p'));
    ASSERT_EQ(::chown(At("program").c_str(), kOwner, kOwner), 0);
    ASSERT_EQ(::chmod(At("program").c_str(), kSetIdMode), 0);
    ASSERT_EQ(Mode(), kSetIdMode);
  }
  mode_t Mode() { return StatOf(At("program")).st_mode & 07777; }

  // The mode of a set-id program after `change` by its owner; 0 where that failed.
  mode_t ModeAfter(const std::function<bool(const std::string&)>& change) {
    MakeSetIdFile();
    const int result = InChild(kOwner, kOwner, [&] { return change(At("program")) ? 0 : 1; });
    EXPECT_EQ(result, 0);
    return result == 0 ? Mode() : 0;
  }
};

bool WriteWith(const std::string& path, int flags) {
  Fd file(path, O_WRONLY | flags);
  return file.ok() && ::pwrite(file.get(), "w", 1, 3) == 1 && file.Close() == 0;
}

TEST_F(PrivilegeTest, WriteByAnotherThanRootClearsSetIdBits) {
  EXPECT_EQ(ModeAfter([](const std::string& path) { return WriteWith(path, 0); }), 0777U);
  Remount();
  EXPECT_EQ(Mode(), 0777U);
}

TEST_F(PrivilegeTest, WriteWithoutTheWritebackCacheClearsSetIdBits) {
  SessionOptions options = Options();
  options.writeback_cache = false;
  ASSERT_NO_FATAL_FAILURE(Remount(options));
  EXPECT_EQ(ModeAfter([](const std::string& path) { return WriteWith(path, 0); }), 0777U);
}

TEST_F(PrivilegeTest, TruncateByAnotherThanRootClearsSetIdBits) {
  EXPECT_EQ(ModeAfter([](const std::string& path) { return ::truncate(path.c_str(), 5) == 0; }),
            0777U);
}

TEST_F(PrivilegeTest, TruncatingOpenByAnotherThanRootClearsSetIdBits) {
  EXPECT_EQ(ModeAfter([](const std::string& path) { return Fd(path, O_WRONLY | O_TRUNC).ok(); }),
            0777U);
}

TEST_F(PrivilegeTest, AllocateByAnotherThanRootClearsSetIdBits) {
  EXPECT_EQ(ModeAfter([](const std::string& path) {
              Fd file(path, O_RDWR);
              return ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) ==
                     0;
            }),
            0777U);
}

TEST_F(PrivilegeTest, CopyByAnotherThanRootClearsSetIdBits) {
  WriteFile(At("source"), std::string(4096, 's'));
  EXPECT_EQ(ModeAfter([this](const std::string& path) {
              Fd source(At("source"), O_RDONLY);
              Fd file(path, O_RDWR);
              return ::copy_file_range(source.get(), nullptr, file.get(), nullptr, 4096, 0) == 4096;
            }),
            0777U);
}

TEST_F(PrivilegeTest, WriteByRootKeepsSetIdBits) {
  MakeSetIdFile();
  EXPECT_TRUE(WriteWith(At("program"), 0));
  EXPECT_EQ(Mode(), kSetIdMode);
  Fd file(At("program"), O_RDWR);
  EXPECT_EQ(::ftruncate(file.get(), 100), 0);
  EXPECT_EQ(Mode(), kSetIdMode);
}

TEST_F(PrivilegeTest, ChownClearsSetIdBits) {
  MakeSetIdFile();
  ASSERT_EQ(::chown(At("program").c_str(), kOwner + 1, kOwner + 1), 0);
  EXPECT_EQ(Mode(), 0777U);
}

TEST_F(PrivilegeTest, SmallWritesAskForNoXattr) {
  constexpr int kWrites = 2'000;
  const auto& counters = session().counters();
  Fd file(At("small"), O_WRONLY | O_CREAT);
  ASSERT_EQ(::write(file.get(), "w", 1), 1);  // the kernel may look once for each inode
  const uint64_t before = counters.getxattr;
  EXPECT_LE(before, 1U);
  for (int i = 0; i < kWrites; ++i) ASSERT_EQ(::write(file.get(), "w", 1), 1);
  EXPECT_EQ(counters.getxattr, before);
  EXPECT_LT(counters.write, static_cast<uint64_t>(kWrites));  // the writeback cache is on
}

}  // namespace
}  // namespace dedupfs

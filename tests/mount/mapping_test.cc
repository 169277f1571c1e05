// Memory-mapped files.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

constexpr size_t kSize = 64 << 10;

using MappingTest = MountTest;

TEST_F(MappingTest, SharedMappingReachesTheFile) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  {
    Fd file(At("file"), O_RDWR);
    void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    ASSERT_NE(memory, MAP_FAILED) << strerror(errno);
    ASSERT_EQ(file.Close(), 0);  // the mapping stays
    std::memcpy(static_cast<char*>(memory) + 5'000, "mapped", 6);
    ASSERT_EQ(::msync(memory, kSize, MS_SYNC), 0);
    ASSERT_EQ(::munmap(memory, kSize), 0);
  }
  Remount();
  std::string expected(kSize, 'a');
  expected.replace(5'000, 6, "mapped");
  EXPECT_TRUE(ReadFile(At("file")) == expected);
}

TEST_F(MappingTest, StopWritesBackADirtyMapping) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  Fd file(At("file"), O_RDWR);
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  ASSERT_NE(memory, MAP_FAILED) << strerror(errno);
  ASSERT_EQ(file.Close(), 0);
  std::memcpy(static_cast<char*>(memory) + 9'000, "dirty", 5);
  StopSession();
  ASSERT_EQ(::munmap(memory, kSize), 0);
  ASSERT_NO_FATAL_FAILURE(StartSession(Options()));
  EXPECT_EQ(ReadFile(At("file")).substr(9'000, 5), "dirty");
}

TEST_F(MappingTest, PrivateMappingLeavesTheFileAlone) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  Fd file(At("file"), O_RDONLY);
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, file.get(), 0);
  ASSERT_NE(memory, MAP_FAILED) << strerror(errno);
  EXPECT_EQ(static_cast<char*>(memory)[kSize - 1], 'a');
  std::memset(memory, 'b', kSize);
  ASSERT_EQ(::munmap(memory, kSize), 0);
  EXPECT_TRUE(ReadFile(At("file")) == std::string(kSize, 'a'));
}

TEST_F(MappingTest, MappingSeesWhatIsWritten) {
  Fd file(At("file"), O_RDWR | O_CREAT);
  WriteAt(file.get(), std::string(kSize, 'a'), 0);
  void* memory = ::mmap(nullptr, kSize, PROT_READ, MAP_SHARED, file.get(), 0);
  ASSERT_NE(memory, MAP_FAILED) << strerror(errno);
  WriteAt(file.get(), "written", 7'000);
  EXPECT_EQ(std::string(static_cast<char*>(memory) + 7'000, 7), "written");
  ASSERT_EQ(::munmap(memory, kSize), 0);
}

}  // namespace
}  // namespace dedupfs

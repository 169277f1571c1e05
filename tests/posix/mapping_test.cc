// Memory-mapped files.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

constexpr size_t kSize = 64 << 10;

class MappingTest : public PosixTest {
 protected:
  int Create() {
    MakeFile("file", std::string(kSize, 'a'));
    return ::open(At("file").c_str(), O_RDWR | O_CLOEXEC);
  }
  static char* Map(int fd, int protection, int flags) {
    void* const memory = ::mmap(nullptr, kSize, protection, flags, fd, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
  }
};
POSIX_RULES(mapping, MappingTest);

TEST_P(MappingTest, SharedMappingAndCallsSeeTheSameBytes) {
  const int fd = Create();
  char* const memory = Map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  ASSERT_NE(memory, nullptr);
  ASSERT_EQ(::pwrite(fd, "written", 7, 5'000), 7);
  EXPECT_EQ(std::memcmp(memory + 5'000, "written", 7), 0);
  std::memcpy(memory + 9'000, "mapped", 6);
  std::string read(6, '\0');
  EXPECT_EQ(::pread(fd, read.data(), 6, 9'000), 6);
  EXPECT_EQ(read, "mapped");
  EXPECT_EQ(Error(::munmap(memory, kSize)), 0);
  ::close(fd);
}

TEST_P(MappingTest, MappingOutlivesItsHandle) {
  const int fd = Create();
  char* const memory = Map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  ASSERT_NE(memory, nullptr);
  ::close(fd);
  std::memcpy(memory + 100, "late", 4);
  EXPECT_EQ(Error(::msync(memory, kSize, MS_SYNC)), 0);
  EXPECT_EQ(Error(::munmap(memory, kSize)), 0);
  ASSERT_TRUE(tested().Remount(false));
  EXPECT_EQ(Content("file").substr(100, 4), "late");
}

TEST_P(MappingTest, PrivateMappingLeavesTheFileAlone) {
  const int fd = Create();
  char* const memory = Map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  ASSERT_NE(memory, nullptr);
  std::memset(memory, 'b', kSize);
  EXPECT_EQ(Error(::munmap(memory, kSize)), 0);
  ::close(fd);
  EXPECT_TRUE(Content("file") == std::string(kSize, 'a'));
}

TEST_P(MappingTest, WritingAMappingMovesTheTimes) {
  const int fd = Create();
  const std::string path = At("file");
  const timespec times[2] = {{100, 0}, {200, 0}};
  ASSERT_EQ(Error(::utimensat(AT_FDCWD, path.c_str(), times, 0)), 0);
  char* const memory = Map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  memory[0] = 'm';
  EXPECT_EQ(Error(::msync(memory, kSize, MS_SYNC)), 0);
  EXPECT_EQ(Error(::munmap(memory, kSize)), 0);
  ::close(fd);
  EXPECT_GT(Stat("file").st_mtim.tv_sec, 1'000'000'000);
}

TEST_P(MappingTest, TouchingWhatWasCutOffIsABusError) {
  const int fd = Create();
  const int signal = SignalOf([&] {
    char* const memory = Map(fd, PROT_READ, MAP_SHARED);
    if (memory == nullptr || memory[kSize - 1] != 'a') return 1;
    if (::ftruncate(fd, 5'000) != 0) return 2;
    if (memory[4'999] != 'a' || memory[5'000] != '\0') return 3;  // the rest of its page is zeros
    volatile const char* const gone = memory + 20'000;
    return *gone == 'a' ? 4 : 5;
  });
  EXPECT_EQ(signal, SIGBUS);
  ::close(fd);
}

TEST_P(MappingTest, BytesBehindTheEndNeverReachTheFile) {
  const int fd = Create();
  ASSERT_EQ(Error(::ftruncate(fd, 5'000)), 0);
  char* const memory = Map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  std::memset(memory + 4'990, 'z', 100);
  EXPECT_EQ(Error(::msync(memory, 4096 * 2, MS_SYNC)), 0);
  EXPECT_EQ(Error(::munmap(memory, kSize)), 0);
  ASSERT_EQ(Error(::ftruncate(fd, 6'000)), 0);
  EXPECT_TRUE(Content("file") ==
              std::string(4'990, 'a') + std::string(10, 'z') + std::string(1'000, '\0'));
  ::close(fd);
}

TEST_P(MappingTest, MappingNeedsAFittingHandle) {
  MakeFile("file", std::string(kSize, 'a'));
  const int reader = ::open(At("file").c_str(), O_RDONLY | O_CLOEXEC);
  const int writer = ::open(At("file").c_str(), O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(Map(reader, PROT_WRITE, MAP_SHARED), nullptr);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(Map(writer, PROT_READ, MAP_SHARED), nullptr);
  EXPECT_EQ(errno, EACCES);
  ::close(reader);
  ::close(writer);
}

TEST_P(MappingTest, SparseFileIsFilledThroughItsMapping) {
  const int fd = ::open(At("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  ASSERT_EQ(Error(::ftruncate(fd, kSize)), 0);
  char* const memory = Map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
  memory[30'000] = 'x';
  EXPECT_EQ(Error(::munmap(memory, kSize)), 0);
  ::close(fd);
  ASSERT_TRUE(tested().Remount(false));
  std::string expected(kSize, '\0');
  expected[30'000] = 'x';
  EXPECT_TRUE(Content("file") == expected);
}

}  // namespace
}  // namespace dedupfs

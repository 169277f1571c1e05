// Memory-mapped files, mapped by a child process each: munmap(2) and page faults hold the lock of
// the address space while they wait for the daemon, which in the same process would need that lock.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

constexpr size_t kSize = 64 << 10;

using MappingTest = MountTest;

char* Map(int fd, int protection, int flags) {
  void* memory = ::mmap(nullptr, kSize, protection, flags, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
}

TEST_F(MappingTest, SharedMappingReachesTheFile) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  const int result = InChild(0, 0, [&] {
    Fd file(At("file"), O_RDWR);
    char* memory = Map(file.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
    if (memory == nullptr || file.Close() != 0) return 1;  // the mapping stays
    std::memcpy(memory + 5'000, "mapped", 6);
    return ::munmap(memory, kSize) == 0 ? 0 : 2;
  });
  ASSERT_EQ(result, 0);
  Remount();
  std::string expected(kSize, 'a');
  expected.replace(5'000, 6, "mapped");
  EXPECT_TRUE(ReadFile(At("file")) == expected);
}

TEST_F(MappingTest, MsyncReachesTheFile) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  const int result = InChild(0, 0, [&] {
    Fd file(At("file"), O_RDWR);
    char* memory = Map(file.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
    if (memory == nullptr) return 1;
    std::memcpy(memory + 5'000, "synced", 6);
    return ::msync(memory, kSize, MS_SYNC) == 0 ? 0 : 2;
  });
  ASSERT_EQ(result, 0);
  EXPECT_EQ(ReadFile(At("file")).substr(5'000, 6), "synced");
}

TEST_F(MappingTest, StopWritesBackADirtyMapping) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  const pid_t child = StartChild(0, 0, [&] {
    Fd file(At("file"), O_RDWR);
    char* memory = Map(file.get(), PROT_READ | PROT_WRITE, MAP_SHARED);
    if (memory == nullptr || file.Close() != 0) return 1;
    std::memcpy(memory + 9'000, "dirty", 5);
    ::raise(SIGSTOP);  // until the parent has seen what is asked for
    return 0;
  });
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  EXPECT_TRUE(WIFSTOPPED(status));
  StopSession();
  ::kill(child, SIGCONT);
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_NO_FATAL_FAILURE(StartSession(Options()));
  EXPECT_EQ(ReadFile(At("file")).substr(9'000, 5), "dirty");
}

TEST_F(MappingTest, PrivateMappingLeavesTheFileAlone) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  const int result = InChild(0, 0, [&] {
    Fd file(At("file"), O_RDONLY);
    char* memory = Map(file.get(), PROT_READ | PROT_WRITE, MAP_PRIVATE);
    if (memory == nullptr || memory[kSize - 1] != 'a') return 1;
    std::memset(memory, 'b', kSize);
    return ::munmap(memory, kSize) == 0 ? 0 : 2;
  });
  ASSERT_EQ(result, 0);
  EXPECT_TRUE(ReadFile(At("file")) == std::string(kSize, 'a'));
}

TEST_F(MappingTest, MappingSeesWhatIsWritten) {
  WriteFile(At("file"), std::string(kSize, 'a'));
  const int result = InChild(0, 0, [&] {
    Fd file(At("file"), O_RDWR);
    const char* memory = Map(file.get(), PROT_READ, MAP_SHARED);
    if (memory == nullptr || memory[7'000] != 'a') return 1;
    if (::pwrite(file.get(), "written", 7, 7'000) != 7) return 2;
    return std::memcmp(memory + 7'000, "written", 7) == 0 ? 0 : 3;
  });
  EXPECT_EQ(result, 0);
}

}  // namespace
}  // namespace dedupfs

// What is written is what is read, by every way to write.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

constexpr size_t kMiB = 1 << 20;

using ContentTest = MountTest;

TEST_F(ContentTest, FiftyMegabytesReadBackAsWritten) {
  const std::string content = TestBytes(50 * kMiB, 1);
  WriteFile(At("big"), content);
  EXPECT_TRUE(ReadFile(At("big")) == content);
  EXPECT_EQ(StatOf(At("big")).st_size, static_cast<off_t>(content.size()));
}

TEST_F(ContentTest, RemountKeepsEverything) {
  const std::string content = TestBytes(3 * kMiB + 17, 2);
  WriteFile(At("file"), content);
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0750), 0);
  WriteFile(At("dir/inner"), "inner");
  ASSERT_EQ(::symlink("dir/inner", At("link").c_str()), 0);
  const struct stat before = StatOf(At("file"));
  Remount();
  EXPECT_TRUE(ReadFile(At("file")) == content);
  EXPECT_EQ(ReadFile(At("link")), "inner");
  EXPECT_EQ(StatOf(At("dir")).st_mode, S_IFDIR | 0750U);
  const struct stat after = StatOf(At("file"));
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

TEST_F(ContentTest, StopWritesBackWhatAnOpenFileHasDirty) {
  const std::string content = TestBytes(5 * kMiB + 3, 3);
  {
    Fd file(At("open"), O_RDWR | O_CREAT);
    ASSERT_TRUE(file.ok());
    WriteAt(file.get(), content, 0);
    StopSession();  // no close and no fsync before
  }
  ASSERT_NO_FATAL_FAILURE(StartSession(Options()));
  EXPECT_TRUE(ReadFile(At("open")) == content);
}

TEST_F(ContentTest, AppendsOfSeveralThreadsAllArrive) {
  constexpr int kThreads = 4;
  constexpr int kLines = 200;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      Fd file(At("log"), O_WRONLY | O_CREAT | O_APPEND);
      const std::string line(9, static_cast<char>('a' + t));
      for (int i = 0; i < kLines; ++i) {
        EXPECT_EQ(::write(file.get(), (line + "\n").data(), 10), 10);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string log = ReadFile(At("log"));
  ASSERT_EQ(log.size(), 10U * kThreads * kLines);
  for (size_t i = 0; i < log.size(); i += 10) {
    ASSERT_EQ(log.substr(i, 10), std::string(9, log[i]) + "\n") << "at " << i;
  }
}

TEST_F(ContentTest, ConcurrentWritersOfOneFileKeepToTheirRanges) {
  constexpr size_t kThreads = 4;
  const std::string content = TestBytes(kThreads * kMiB, 4);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Fd file(At("shared"), O_RDWR | O_CREAT);
      ASSERT_TRUE(file.ok());
      // Interleaved, so that the writers meet in pages and chunks.
      for (size_t block = t * 1000; block < content.size(); block += kThreads * 1000) {
        const size_t size = std::min<size_t>(1000, content.size() - block);
        WriteAt(file.get(), std::string_view(content).substr(block, size),
                static_cast<off_t>(block));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(ReadFile(At("shared")) == content);
}

TEST_F(ContentTest, DirectWritesAndReadsAgreeWithCachedOnes) {
  constexpr size_t kSize = 256 << 10;
  std::unique_ptr<void, decltype(&std::free)> buffer(std::aligned_alloc(4096, kSize), &std::free);
  const std::string content = TestBytes(kSize, 5);
  std::memcpy(buffer.get(), content.data(), kSize);
  {
    Fd file(At("direct"), O_RDWR | O_CREAT | O_DIRECT);
    ASSERT_TRUE(file.ok()) << strerror(errno);
    ASSERT_EQ(::pwrite(file.get(), buffer.get(), kSize, 0), static_cast<ssize_t>(kSize));
  }
  EXPECT_TRUE(ReadFile(At("direct")) == content);
  Fd cached(At("direct"), O_RDWR);
  WriteAt(cached.get(), "cached", 100);
  Fd direct(At("direct"), O_RDONLY | O_DIRECT);
  ASSERT_EQ(::pread(direct.get(), buffer.get(), 4096, 0), 4096);
  EXPECT_EQ(std::string(static_cast<char*>(buffer.get()) + 100, 6), "cached");
}

TEST_F(ContentTest, TruncatingOpenDropsTheOldContent) {
  WriteFile(At("file"), TestBytes(100'000, 6));
  {
    Fd file(At("file"), O_WRONLY | O_TRUNC);
    ASSERT_TRUE(file.ok());
    EXPECT_EQ(StatOf(At("file")).st_size, 0);
    WriteAt(file.get(), "new", 0);
  }
  EXPECT_EQ(ReadFile(At("file")), "new");
}

TEST_F(ContentTest, TruncateDownAndUpLeavesZeroes) {
  const std::string content = TestBytes(300'000, 7);
  Fd file(At("file"), O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  WriteAt(file.get(), content, 0);
  ASSERT_EQ(::ftruncate(file.get(), 100'001), 0);
  ASSERT_EQ(::ftruncate(file.get(), 200'000), 0);
  EXPECT_TRUE(ReadAt(file.get(), 300'000, 0) ==
              content.substr(0, 100'001) + std::string(99'999, '\0'));
  Remount();
  EXPECT_TRUE(ReadFile(At("file")) == content.substr(0, 100'001) + std::string(99'999, '\0'));
}

TEST_F(ContentTest, WriteOnlyFileTakesUnalignedWrites) {
  WriteFile(At("file"), std::string(10'000, 'x'));
  {
    Fd file(At("file"), O_WRONLY);  // the kernel reads the page through it
    WriteAt(file.get(), "middle", 5'000);
  }
  std::string expected(10'000, 'x');
  expected.replace(5'000, 6, "middle");
  EXPECT_EQ(ReadFile(At("file")), expected);
}

TEST_F(ContentTest, SizeBeyondTheLimitIsRefused) {
  Fd file(At("file"), O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(kMaxFileSize) + 1), -1);
  EXPECT_EQ(errno, EFBIG);
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(kMaxFileSize)), 0);
}

TEST_F(ContentTest, UnlinkedOpenFileStaysReadable) {
  const std::string content = TestBytes(200'000, 8);
  Fd file(At("gone"), O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  WriteAt(file.get(), content, 0);
  ASSERT_EQ(::unlink(At("gone").c_str()), 0);
  EXPECT_EQ(::access(At("gone").c_str(), F_OK), -1);
  ASSERT_EQ(::fsync(file.get()), 0);
  EXPECT_TRUE(ReadAt(file.get(), content.size(), 0) == content);
  struct stat status = {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_nlink, 0U);
}

TEST_F(ContentTest, WithoutTheWritebackCacheContentIsTheSame) {
  SessionOptions options = Options();
  options.writeback_cache = false;
  ASSERT_NO_FATAL_FAILURE(Remount(options));
  const std::string content = TestBytes(3 * kMiB + 5, 9);
  WriteFile(At("file"), content);
  EXPECT_TRUE(ReadFile(At("file")) == content);
  Fd file(At("file"), O_RDWR | O_APPEND);
  ASSERT_EQ(::write(file.get(), "end", 3), 3);
  EXPECT_EQ(ReadAt(file.get(), 3, static_cast<off_t>(content.size())), "end");
}

}  // namespace
}  // namespace dedupfs

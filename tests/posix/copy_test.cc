// copy_file_range(2).
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <string>
#include <utility>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

constexpr uint64_t kSeed = 20'261'121;

std::string Noise(size_t size) {
  std::mt19937_64 random(kSeed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

class CopyTest : public PosixTest {
 protected:
  int Open(std::string_view name, int flags = O_RDWR) {
    return ::open(At(name).c_str(), flags | O_CLOEXEC);
  }
  // "from" and "to", until the end of the test.
  std::pair<int, int> OpenBoth() {
    both_ = {Open("from"), Open("to")};
    return both_;
  }
  void TearDown() override {
    for (const int fd : {both_.first, both_.second}) {
      if (fd >= 0) ::close(fd);
    }
    PosixTest::TearDown();
  }
  // All of it, in as many calls as it takes; the error of the first that fails.
  static int Copy(int from, off_t source, int to, off_t target, size_t size) {
    while (size > 0) {
      const ssize_t copied = ::copy_file_range(from, &source, to, &target, size, 0);
      if (copied <= 0) return copied < 0 ? errno : ENODATA;
      size -= static_cast<size_t>(copied);
    }
    return 0;
  }

 private:
  std::pair<int, int> both_ = {-1, -1};
};
POSIX_RULES(copy, CopyTest);

TEST_P(CopyTest, PartsOfChunksAreCopied) {
  const std::string content = Noise(1 << 20);
  MakeFile("from", content);
  MakeFile("to", std::string(300'000, 'z'));
  const auto [from, to] = OpenBoth();
  ASSERT_EQ(Copy(from, 12'345, to, 100'001, 500'003), 0);
  std::string expected(100'001, 'z');
  expected += content.substr(12'345, 500'003);
  EXPECT_TRUE(Content("to") == expected);
  EXPECT_TRUE(Content("from") == content);
}

TEST_P(CopyTest, HolesAreCopiedOverData) {
  MakeFile("from", "");
  MakeFile("to", std::string(200'000, 'z'));
  const auto [from, to] = OpenBoth();
  ASSERT_EQ(Error(::ftruncate(from, 200'000)), 0);
  ASSERT_EQ(::pwrite(from, "middle", 6, 100'000), 6);
  ASSERT_EQ(Copy(from, 0, to, 0, 200'000), 0);
  std::string expected(200'000, '\0');
  expected.replace(100'000, 6, "middle");
  EXPECT_TRUE(Content("to") == expected);
}

TEST_P(CopyTest, EndOfTheSourceEndsTheCopy) {
  MakeFile("from", "12345");
  MakeFile("to", "");
  const auto [from, to] = OpenBoth();
  off_t source = 2;
  EXPECT_EQ(::copy_file_range(from, &source, to, nullptr, 100, 0), 3);
  EXPECT_EQ(source, 5);
  EXPECT_EQ(::copy_file_range(from, &source, to, nullptr, 100, 0), 0);
  EXPECT_EQ(::lseek(to, 0, SEEK_CUR), 3);
  EXPECT_EQ(Content("to"), "345");
}

TEST_P(CopyTest, WithinOneFileRangesMustNotOverlap) {
  MakeFile("file", "0123456789abcdef");
  const int fd = Open("file");
  EXPECT_EQ(Copy(fd, 0, fd, 4, 8), EINVAL);
  EXPECT_EQ(Copy(fd, 4, fd, 0, 8), EINVAL);
  EXPECT_EQ(Copy(fd, 0, fd, 0, 1), EINVAL);
  EXPECT_EQ(Copy(fd, 0, fd, 8, 8), 0);
  EXPECT_EQ(Content("file"), "0123456701234567");
  ::close(fd);
}

TEST_P(CopyTest, HandlesMustFit) {
  MakeFile("from", "content");
  MakeFile("to", "");
  const int from = Open("from", O_RDONLY);
  const int writer = Open("from", O_WRONLY);
  const int to = Open("to");
  const int append = Open("to", O_RDWR | O_APPEND);
  const int dir = ::open(directory().c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(Copy(from, 0, from, 100, 3), EBADF);
  EXPECT_EQ(Copy(writer, 0, to, 0, 3), EBADF);
  EXPECT_EQ(Copy(from, 0, append, 0, 3), EBADF);
  EXPECT_EQ(Copy(dir, 0, to, 0, 3), EISDIR);
  EXPECT_EQ(Error(::copy_file_range(from, nullptr, to, nullptr, 3, 1)), EINVAL);
  for (const int fd : {from, writer, to, append, dir}) ::close(fd);
}

TEST_P(CopyTest, UnwrittenPagesOfBothSidesCount) {
  MakeFile("from", std::string(10'000, 'a'));
  MakeFile("to", std::string(10'000, 'z'));
  const auto [from, to] = OpenBoth();
  ASSERT_EQ(::pwrite(from, "new", 3, 5'000), 3);
  ASSERT_EQ(::pwrite(to, "kept", 4, 100), 4);
  ASSERT_EQ(Copy(from, 4'999, to, 4'999, 10), 0);
  std::string expected(10'000, 'z');
  expected.replace(100, 4, "kept");
  expected.replace(4'999, 10, "anewaaaaaa");
  EXPECT_TRUE(Content("to") == expected);
}

TEST_P(CopyTest, CopyMovesTheTargetsTimesAlone) {
  MakeFile("from", "content");
  MakeFile("to", "");
  const timespec times[2] = {{2'000'000'000, 0}, {200, 0}};
  ASSERT_EQ(Error(::utimensat(AT_FDCWD, At("from").c_str(), times, 0)), 0);
  ASSERT_EQ(Error(::utimensat(AT_FDCWD, At("to").c_str(), times, 0)), 0);
  const int from = Open("from");
  const int to = Open("to");
  ASSERT_EQ(Copy(from, 0, to, 0, 7), 0);
  ::close(from);
  ::close(to);
  EXPECT_EQ(Stat("from").st_mtim.tv_sec, 200);
  EXPECT_GT(Stat("to").st_mtim.tv_sec, 1'000'000'000);
}

}  // namespace
}  // namespace dedupfs

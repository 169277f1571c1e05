#include "tests/mount/mount_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

namespace dedupfs {

Fd::Fd(const std::string& path, int flags, mode_t mode)
    : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}

Fd::~Fd() { Close(); }

int Fd::Close() {
  if (fd_ < 0) return 0;
  return ::close(std::exchange(fd_, -1));
}

void MountTest::SetUp() {
  {
    Fd device("/dev/fuse", O_RDWR);
    if (!device.ok()) GTEST_SKIP() << "needs fuse: /dev/fuse cannot be opened: " << strerror(errno);
  }
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: mounting and changing users";
  directory_ = std::make_unique<TempDir>();
  // Other users must get to the mount for the tests of privileges.
  ASSERT_EQ(::chmod(directory_->path().c_str(), 0755), 0);
  store_ = directory_->Join("store");
  mountpoint_ = directory_->Join("mnt");
  ASSERT_EQ(::mkdir(mountpoint_.c_str(), 0755), 0);
  const Status formatted = FileSystem::Format(store_, FormatOptions{});
  ASSERT_TRUE(formatted) << formatted.error().message;
  ASSERT_NO_FATAL_FAILURE(StartSession(Options()));
}

void MountTest::TearDown() { StopSession(); }

SessionOptions MountTest::Options() const {
  SessionOptions options;
  options.mountpoint = mountpoint_;
  options.source = store_;
  return options;
}

void MountTest::StartSession(const SessionOptions& options) {
  MountOptions mount_options;
  mount_options.read_only = options.read_only;
  auto opened = FileSystem::Open(store_, mount_options);
  ASSERT_TRUE(opened) << opened.error().message;
  file_system_ = std::move(*opened);
  auto mounted = FuseSession::Mount(*file_system_, options);
  ASSERT_TRUE(mounted) << mounted.error().message;
  session_ = std::move(*mounted);
  run_result_ = Ok();
  runner_ = std::thread([this] { run_result_ = session_->Run(); });
}

void MountTest::JoinRun() {
  if (runner_.joinable()) runner_.join();
}

void MountTest::StopSession() {
  if (session_ != nullptr) {
    session_->Stop();
    JoinRun();
    EXPECT_TRUE(run_result_) << run_result_.error().message;
    session_.reset();
  }
  if (file_system_ != nullptr) {
    const Status closed = file_system_->Close();
    EXPECT_TRUE(closed) << closed.error().message;
    file_system_.reset();
  }
}

void MountTest::Remount(const SessionOptions& options) {
  StopSession();
  ASSERT_NO_FATAL_FAILURE(StartSession(options));
}

std::string TestBytes(size_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string out(size, '\0');
  for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(out.data() + i, &word, std::min(sizeof(word), size - i));
  }
  return out;
}

void WriteAt(int fd, std::string_view content, off_t offset) {
  while (!content.empty()) {
    const ssize_t wrote = ::pwrite(fd, content.data(), content.size(), offset);
    ASSERT_GT(wrote, 0) << strerror(errno);
    content.remove_prefix(static_cast<size_t>(wrote));
    offset += wrote;
  }
}

std::string ReadAt(int fd, size_t size, off_t offset) {
  std::string out(size, '\0');
  size_t have = 0;
  while (have < size) {
    const ssize_t got =
        ::pread(fd, out.data() + have, size - have, offset + static_cast<off_t>(have));
    EXPECT_GE(got, 0) << strerror(errno);
    if (got <= 0) break;
    have += static_cast<size_t>(got);
  }
  out.resize(have);
  return out;
}

void WriteFile(const std::string& path, std::string_view content) {
  Fd file(path, O_WRONLY | O_CREAT | O_TRUNC);
  ASSERT_TRUE(file.ok()) << path << ": " << strerror(errno);
  WriteAt(file.get(), content, 0);
  EXPECT_EQ(file.Close(), 0);
}

std::string ReadFile(const std::string& path) {
  Fd file(path, O_RDONLY);
  EXPECT_TRUE(file.ok()) << path << ": " << strerror(errno);
  if (!file.ok()) return {};
  struct stat status = {};
  EXPECT_EQ(::fstat(file.get(), &status), 0);
  std::string content = ReadAt(file.get(), static_cast<size_t>(status.st_size), 0);
  EXPECT_EQ(content.size(), static_cast<size_t>(status.st_size));
  return content;
}

struct stat StatOf(const std::string& path) {
  struct stat status = {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path << ": " << strerror(errno);
  return status;
}

pid_t StartChild(uid_t uid, gid_t gid, const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  // The daemon's /dev/fuse above all: a copy would keep the connection alive after the daemon.
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  if (::setgroups(0, nullptr) != 0 || ::setgid(gid) != 0 || ::setuid(uid) != 0) ::_exit(254);
  ::_exit(body());
}

int InChild(uid_t uid, gid_t gid, const std::function<int()>& body) {
  const pid_t child = StartChild(uid, gid, body);
  EXPECT_GT(child, 0);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace dedupfs

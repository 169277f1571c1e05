#include "tools/dedupfs/background.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {
namespace {

// On the pipe: any number of {kProgress, 0}, each followed by done and total, then exit code and
// errno, and the message up to the end.
using ReportHead = std::array<int, 2>;
using ProgressCounts = std::array<uint64_t, 2>;
constexpr int kProgress = -1;

template <typename T>
void Append(std::string& bytes, const T& values) {
  const size_t size = bytes.size();
  bytes.resize(size + sizeof(values));
  std::memcpy(bytes.data() + size, values.data(), sizeof(values));
}

void Send(int fd, const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) break;  // the parent is gone, so nobody is left to be told
    done += static_cast<size_t>(put);
  }
}

void SendReport(int fd, const StartReport& report) {
  std::string bytes;
  Append(bytes, ReportHead{report.exit_code, report.error.code});
  Send(fd, bytes + report.error.message);
}

void SendProgress(int fd, uint64_t done, uint64_t total) {
  std::string bytes;
  Append(bytes, ReportHead{kProgress, 0});
  Append(bytes, ProgressCounts{done, total});
  Send(fd, bytes);
}

// Takes what has come of progress off the front.
void TakeProgress(std::string& bytes, const ReportProgress& progress) {
  ReportHead head{};
  ProgressCounts counts{};
  while (bytes.size() >= sizeof(head) + sizeof(counts)) {
    std::memcpy(head.data(), bytes.data(), sizeof(head));
    if (head[0] != kProgress) return;
    std::memcpy(counts.data(), bytes.data() + sizeof(head), sizeof(counts));
    bytes.erase(0, sizeof(head) + sizeof(counts));
    if (progress) progress(counts[0], counts[1]);
  }
}

StartReport ReceiveReport(int fd, const std::string& log_path, const ReportProgress& progress) {
  std::string bytes;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    bytes.append(buffer.data(), static_cast<size_t>(got));
    TakeProgress(bytes, progress);
  }
  ReportHead head{kProgress, 0};
  if (bytes.size() >= sizeof(head)) std::memcpy(head.data(), bytes.data(), sizeof(head));
  if (head[0] == kProgress) {
    return {kExitFailure, {EIO, "the daemon ended while it started; see " + log_path}};
  }
  return {static_cast<ExitCode>(head[0]), {head[1], bytes.substr(sizeof(head))}};
}

// Crash messages of libraries and sanitizers must land somewhere.
void DetachFromTerminal(const std::string& log_path) {
  ::setsid();
  if (::chdir("/") != 0) std::perror("chdir");
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) log = null;
  ::dup2(null, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  if (log != null) ::close(log);
  ::close(null);
}

}  // namespace

Result<BackgroundProcess> RunInBackground(const std::string& log_path, const BackgroundBody& body,
                                          const ReportProgress& progress) {
  std::array<int, 2> pipe_fds{};
  if (::pipe2(pipe_fds.data(), O_CLOEXEC) != 0) return FailErrno("pipe");
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) {
    ::close(pipe_fds[0]);
    ::close(pipe_fds[1]);
    return FailErrno("fork");
  }
  if (pid == 0) {
    ::close(pipe_fds[0]);
    DetachFromTerminal(log_path);
    int report_fd = pipe_fds[1];
    const auto report = [&report_fd](const StartReport& start) {
      if (report_fd < 0) return;
      SendReport(report_fd, start);
      ::close(report_fd);
      report_fd = -1;
    };
    const ExitCode exit_code = body(report, [&report_fd](uint64_t done, uint64_t total) {
      if (report_fd >= 0) SendProgress(report_fd, done, total);
    });
    std::exit(exit_code);  // NOLINT(concurrency-mt-unsafe): every thread is joined by now
  }
  ::close(pipe_fds[1]);
  BackgroundProcess process{pid, ReceiveReport(pipe_fds[0], log_path, progress)};
  ::close(pipe_fds[0]);
  return process;
}

}  // namespace dedupfs

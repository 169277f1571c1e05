#include "tools/dedupfs/background.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/exit_codes.h"

namespace dedupfs {
namespace {

// On the pipe: exit code and errno as two ints, then the message up to the end.
using ReportHead = std::array<int, 2>;

void SendReport(int fd, const StartReport& report) {
  const ReportHead head{report.exit_code, report.error.code};
  std::string bytes(sizeof(head), '\0');
  std::memcpy(bytes.data(), head.data(), sizeof(head));
  bytes += report.error.message;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) break;  // the parent is gone, so nobody is left to be told
    done += static_cast<size_t>(put);
  }
}

StartReport ReceiveReport(int fd, const std::string& log_path) {
  std::string bytes;
  std::array<char, 4096> buffer{};
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    bytes.append(buffer.data(), static_cast<size_t>(got));
  }
  ReportHead head{};
  if (bytes.size() < sizeof(head)) {
    return {kExitFailure, {EIO, "the daemon ended while it started; see " + log_path}};
  }
  std::memcpy(head.data(), bytes.data(), sizeof(head));
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

Result<BackgroundProcess> RunInBackground(const std::string& log_path,
                                          const std::function<ExitCode(const ReportStart&)>& body) {
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
    const ExitCode exit_code = body([&report_fd](const StartReport& report) {
      if (report_fd < 0) return;
      SendReport(report_fd, report);
      ::close(report_fd);
      report_fd = -1;
    });
    std::exit(exit_code);  // NOLINT(concurrency-mt-unsafe): every thread is joined by now
  }
  ::close(pipe_fds[1]);
  BackgroundProcess process{pid, ReceiveReport(pipe_fds[0], log_path)};
  ::close(pipe_fds[0]);
  return process;
}

}  // namespace dedupfs

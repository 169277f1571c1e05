#include "tools/dedupfs/selftest/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/selftest/interrupt.h"

namespace dedupfs {
namespace {

// In the child: only async-signal-safe calls.
[[noreturn]] void Become(const char* program, char* const* arguments, int output_fd, int log_fd,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kExitNotRun);  // it died before prctl
  ::setpgid(0, 0);
  ::dup2(output_fd, STDOUT_FILENO);
  ::dup2(log_fd, STDERR_FILENO);
  ::execvp(program, arguments);
  ::_exit(kExitNotRun);
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::Start(const std::string& program,
                                                          const std::vector<std::string>& arguments,
                                                          const std::string& log_path) {
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) return FailErrno(log_path);
  std::array<int, 2> output{};
  if (::pipe2(output.data(), O_CLOEXEC) != 0) {
    auto error = FailErrno("pipe");
    ::close(log);
    return error;
  }
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) Become(program.c_str(), pointers.data(), output[1], log, parent);
  auto error = FailErrno("fork");
  ::close(log);
  ::close(output[1]);
  if (pid < 0) {
    ::close(output[0]);
    return error;
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, output[0]));
}

ChildProcess::~ChildProcess() {
  Kill();
  ::close(output_fd_);
}

// False at the end of the output.
Result<bool> ChildProcess::ReadByte(char& byte) {
  while (true) {
    const ssize_t got = ::read(output_fd_, &byte, 1);
    if (got >= 0) return got == 1;
    if (errno != EINTR) return FailErrno("output of a child process");
    if (Interrupt::Requested()) return Fail(EINTR, "interrupted");
  }
}

Result<std::string> ChildProcess::ReadLine() {
  std::string line;
  for (char byte = 0;;) {
    DEDUPFS_ASSIGN_OR_RETURN(const bool more, ReadByte(byte));
    if (!more || byte == '\n') return line;
    line += byte;
  }
}

Result<std::string> ChildProcess::ReadAll() {
  std::string output;
  for (char byte = 0;;) {
    DEDUPFS_ASSIGN_OR_RETURN(const bool more, ReadByte(byte));
    if (!more) return output;
    output += byte;
  }
}

void ChildProcess::Kill() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  Wait();
}

int ChildProcess::Wait() {
  if (pid_ == 0) return exit_status_;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    // ^C meanwhile: the child ends all the same, and who called looks at Interrupt.
  }
  pid_ = 0;
  exit_status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return exit_status_;
}

Result<Finished> RunToEnd(const std::string& program, const std::vector<std::string>& arguments,
                          const std::string& log_path) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::unique_ptr<ChildProcess> child,
                           ChildProcess::Start(program, arguments, log_path));
  Finished finished;
  DEDUPFS_ASSIGN_OR_RETURN(finished.output, child->ReadAll());
  finished.exit_status = child->Wait();
  return finished;
}

}  // namespace dedupfs

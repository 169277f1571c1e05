// A `dedupfs` of this same program that runs as a child, and dies with its parent.
//
// Thread safety: one thread at a time. Start forks, so it is called while the process has one
//                thread, and by a thread that outlives the child.
// Ownership:     the destructor kills the child, if it still runs, and reaps it.
// Errors:        errno of the call; EINTR where the user interrupted the wait for output.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"

namespace dedupfs {

class ChildProcess {
 public:
  // Runs `program` with `arguments`; its standard error is appended to `log_path`. It is in a
  // process group of its own, so that the terminal's ^C reaches its parent alone.
  static Result<std::unique_ptr<ChildProcess>> Start(const std::string& program,
                                                     const std::vector<std::string>& arguments,
                                                     const std::string& log_path);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next line of its standard output without its end; empty at the end of the output.
  Result<std::string> ReadLine();
  // The rest of its standard output.
  Result<std::string> ReadAll();
  // SIGKILL, and waits for the end.
  void Kill();
  // The exit status, once it has ended; 128 + number where a signal ended it.
  int Wait();

 private:
  ChildProcess(pid_t pid, int output_fd) : pid_(pid), output_fd_(output_fd) {}

  Result<bool> ReadByte(char& byte);

  pid_t pid_;  // 0 once reaped
  int output_fd_;
  int exit_status_ = 0;
};

// The exit status of a child whose program could not be run.
constexpr int kExitNotRun = 127;

struct Finished {
  int exit_status = 0;
  std::string output;  // standard output, all lines
};

// Runs a program to its end.
Result<Finished> RunToEnd(const std::string& program, const std::vector<std::string>& arguments,
                          const std::string& log_path);

}  // namespace dedupfs

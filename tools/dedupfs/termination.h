// Turns SIGTERM, SIGINT and SIGHUP into a call, on a thread of its own named "signals".
//
// Thread safety: made and destroyed by one thread. Block() runs before any other thread starts, so
//                that every thread inherits the blocked signals.
// Ownership:     the destructor joins the thread.
#pragma once

#include <functional>
#include <thread>

namespace dedupfs {

class Termination {
 public:
  // Blocks the signals in this thread and in those that it starts, and ignores SIGPIPE.
  static void Block();

  // Calls `on_signal` once, when the first of the signals comes.
  explicit Termination(std::function<void()> on_signal);
  ~Termination();
  Termination(const Termination&) = delete;
  Termination& operator=(const Termination&) = delete;

 private:
  std::thread thread_;
};

}  // namespace dedupfs

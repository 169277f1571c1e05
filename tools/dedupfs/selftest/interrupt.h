// Notes SIGINT, SIGTERM and SIGHUP while it exists, so that what was begun is cleaned up.
//
// Thread safety: made and destroyed by one thread; Requested() may be called from any.
#pragma once

#include <array>
#include <csignal>

namespace dedupfs {

class Interrupt {
 public:
  Interrupt();   // from here on the signals only make Requested() true
  ~Interrupt();  // they do again what they did before
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  static bool Requested();

 private:
  std::array<struct sigaction, 3> before_{};
};

}  // namespace dedupfs

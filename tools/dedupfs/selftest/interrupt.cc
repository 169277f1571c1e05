#include "tools/dedupfs/selftest/interrupt.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>

namespace dedupfs {
namespace {

constexpr std::array<int, 3> kSignals{SIGINT, SIGTERM, SIGHUP};

std::atomic<bool> requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // a signal handler sets it

void Note(int /*number*/) { requested.store(true); }

}  // namespace

Interrupt::Interrupt() {
  requested.store(false);
  struct sigaction action {};
  action.sa_handler = Note;  // without SA_RESTART: who waits is to look
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals.at(i), &action, &before_.at(i));
  }
}

Interrupt::~Interrupt() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals.at(i), &before_.at(i), nullptr);
  }
}

bool Interrupt::Requested() { return requested.load(); }

}  // namespace dedupfs

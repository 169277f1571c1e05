#include "tools/dedupfs/termination.h"

#include <pthread.h>

#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/base/thread_pool.h"

namespace dedupfs {
namespace {

constexpr int kEndOfWatch = SIGUSR1;

sigset_t WatchedSignals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, kEndOfWatch}) ::sigaddset(&set, number);
  return set;
}

void Watch(const std::function<void()>& on_signal) {
  NameThisThread("signals");
  const sigset_t set = WatchedSignals();
  bool told = false;
  while (true) {
    int number = 0;
    if (::sigwait(&set, &number) != 0) continue;
    if (number == kEndOfWatch) return;
    LogInfo("signal_received", "number=" + std::to_string(number));
    if (!std::exchange(told, true)) on_signal();
  }
}

}  // namespace

void Termination::Block() {
  const sigset_t set = WatchedSignals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Termination::Termination(std::function<void()> on_signal)
    : thread_([on_signal = std::move(on_signal)] { Watch(on_signal); }) {}

Termination::~Termination() {
  // Directed at the thread, so a SIGUSR1 from outside is the only other way to end the watch.
  ::pthread_kill(thread_.native_handle(), kEndOfWatch);
  thread_.join();
}

}  // namespace dedupfs

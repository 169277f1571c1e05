#include "fs/request_watchdog.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/log.h"
#include "chunkstore/base/mutex.h"
#include "chunkstore/base/thread_pool.h"
#include "fs/request_table.h"

namespace dedupfs {
namespace {

// So often in the time of the limit does it look: a request is told at most a quarter late.
constexpr uint64_t kLooks = 4;

std::string Describe(const RequestInFlight& request) {
  return "op=" + request.operation + " ino=" + std::to_string(request.ino) +
         " age_ms=" + std::to_string(request.age_ms) + " thread=" + std::to_string(request.thread);
}

void Tell(const HangReports::News& news) {
  for (const RequestInFlight& request : news.hanging) {
    const std::string where = WhereThreadWaits(request.thread);
    LogWarn("request_hangs", Describe(request) + " waits_in=" + (where.empty() ? "-" : where));
  }
  for (const RequestInFlight& request : news.went_on) {
    LogInfo("request_went_on", Describe(request));
  }
}

}  // namespace

HangReports::News HangReports::Look(const std::vector<RequestInFlight>& in_flight) {
  News news;
  std::map<uint64_t, RequestInFlight> still;
  for (const RequestInFlight& request : in_flight) {
    if (request.age_ms < limit_ms_) continue;
    if (told_.erase(request.id) == 0) news.hanging.push_back(request);
    still.emplace(request.id, request);
  }
  for (const auto& [id, request] : told_) news.went_on.push_back(request);
  told_ = std::move(still);
  return news;
}

RequestWatchdog::RequestWatchdog(const RequestTable& table, uint64_t limit_ms)
    : table_(table), limit_ms_(limit_ms), thread_([this] { Watch(); }) {}

RequestWatchdog::~RequestWatchdog() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void RequestWatchdog::Watch() {
  NameThisThread("watchdog");
  const std::chrono::milliseconds pause(std::max<uint64_t>(1, limit_ms_ / kLooks));
  HangReports reports(limit_ms_);
  while (true) {
    Tell(reports.Look(table_.List()));
    MutexLock lock(mutex_);
    const auto next = std::chrono::steady_clock::now() + pause;
    while (!stopping_ && changed_.WaitUntil(lock, next)) {
    }
    if (stopping_) return;
  }
}

}  // namespace dedupfs

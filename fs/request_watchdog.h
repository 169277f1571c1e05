// Looks for requests that hang, on a thread of its own named "watchdog", and logs each once: when
// it is older than the limit (request_hangs), and when it has ended after all (request_went_on).
//
// Thread safety: made and destroyed by one thread.
// Ownership:     borrows the table; the destructor joins the thread.
// Units:         milliseconds.
#pragma once

#include <cstdint>
#include <map>
#include <thread>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "fs/request_table.h"

namespace dedupfs {

// What is to be told of a list of requests in flight, each once. One thread at a time.
class HangReports {
 public:
  explicit HangReports(uint64_t limit_ms) : limit_ms_(limit_ms) {}

  struct News {
    std::vector<RequestInFlight> hanging;  // since the last call
    std::vector<RequestInFlight> went_on;  // were told as hanging and have ended; last known age
  };
  News Look(const std::vector<RequestInFlight>& in_flight);

 private:
  const uint64_t limit_ms_;
  std::map<uint64_t, RequestInFlight> told_;  // by id; at most one for each thread
};

class RequestWatchdog {
 public:
  // `limit_ms` is over 0.
  RequestWatchdog(const RequestTable& table, uint64_t limit_ms);
  ~RequestWatchdog();
  RequestWatchdog(const RequestWatchdog&) = delete;
  RequestWatchdog& operator=(const RequestWatchdog&) = delete;

 private:
  void Watch();

  const RequestTable& table_;
  const uint64_t limit_ms_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace dedupfs

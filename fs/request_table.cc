#include "fs/request_table.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "fs/types.h"

namespace dedupfs {
namespace {

uint64_t CoarseMilliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace

// Written by its thread only. `number` is odd while a request is in flight and grows with each; a
// reader that finds another one behind the fields than before them has read a mixture.
struct alignas(64) RequestTable::Slot {
  std::atomic<bool> taken{false};
  std::atomic<int> thread{0};
  std::atomic<uint64_t> number{0};
  std::atomic<const char*> operation{nullptr};
  std::atomic<Ino> ino{0};
  std::atomic<uint64_t> began_ms{0};
};

struct RequestTable::Slots {
  std::array<Slot, kMaxThreads> all;
};

// What a thread has: gives the slot back at the thread's end.
struct RequestTable::Lease {
  std::shared_ptr<Slots> slots;
  Slot* slot = nullptr;

  Lease() = default;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() { Return(); }

  void Return() {
    if (slot != nullptr) slot->taken.store(false, std::memory_order_release);
    slot = nullptr;
  }

  void Take(const std::shared_ptr<Slots>& from) {
    Return();
    slots = from;
    for (Slot& free : slots->all) {
      if (free.taken.exchange(true, std::memory_order_acquire)) continue;
      free.thread.store(::gettid(), std::memory_order_relaxed);
      slot = &free;
      return;
    }
  }
};

RequestTable::RequestTable() : slots_(std::make_shared<Slots>()) {}

RequestTable::~RequestTable() = default;

RequestTable::Slot* RequestTable::SlotOfThisThread() {
  thread_local Lease lease;
  if (lease.slots != slots_) lease.Take(slots_);
  return lease.slot;
}

std::vector<RequestInFlight> RequestTable::List() const {
  const uint64_t now_ms = CoarseMilliseconds();
  std::vector<RequestInFlight> requests;
  for (size_t i = 0; i < kMaxThreads; ++i) {
    const Slot& slot = slots_->all[i];
    const uint64_t number = slot.number.load(std::memory_order_acquire);
    if (number % 2 == 0) continue;
    const char* const operation = slot.operation.load(std::memory_order_acquire);
    const Ino ino = slot.ino.load(std::memory_order_acquire);
    const uint64_t began_ms = slot.began_ms.load(std::memory_order_acquire);
    const int thread = slot.thread.load(std::memory_order_acquire);
    if (slot.number.load(std::memory_order_relaxed) != number) continue;  // it has ended meanwhile
    const uint64_t age_ms = now_ms > began_ms ? now_ms - began_ms : 0;
    requests.push_back({number * kMaxThreads + i, operation, ino, age_ms, thread});
  }
  std::stable_sort(requests.begin(), requests.end(),
                   [](const auto& a, const auto& b) { return a.age_ms > b.age_ms; });
  return requests;
}

RequestScope::RequestScope(RequestTable& table, const char* operation, Ino ino)
    : slot_(table.SlotOfThisThread()) {
  if (slot_ == nullptr) return;
  const uint64_t number = slot_->number.load(std::memory_order_relaxed);
  if (number % 2 != 0) {
    slot_ = nullptr;
    return;
  }
  // The fields release the even number that is there, so that a reader that meets them early finds
  // its number gone.
  slot_->operation.store(operation, std::memory_order_release);
  slot_->ino.store(ino, std::memory_order_release);
  slot_->began_ms.store(CoarseMilliseconds(), std::memory_order_release);
  slot_->number.store(number + 1, std::memory_order_release);
}

RequestScope::~RequestScope() {
  if (slot_ == nullptr) return;
  slot_->number.store(slot_->number.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

std::string WhereThreadWaits(int thread) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/wchan");
  std::string function;
  std::getline(file, function);
  return function == "0" ? std::string() : function;
}

}  // namespace dedupfs

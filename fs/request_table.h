// The requests that are being worked on, so that one that hangs can be named.
//
// Strategy: each thread has a slot of its own, claimed with its first request; a request is six
// plain stores and one look at the coarse clock, and no thread writes to another's cache line.
//
// Thread safety: every method may be called concurrently.
// Ownership:     a thread keeps its slot until it ends, or works for another table; the slots live
//                as long as the table or a thread that has one.
// Errors:        none: where kMaxThreads have slots, requests of further threads are not listed.
// Units:         ages are milliseconds, as exact as the kernel's tick.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fs/types.h"

namespace dedupfs {

struct RequestInFlight {
  uint64_t id = 0;  // no other request of the table ever has it
  std::string operation;
  Ino ino = 0;
  uint64_t age_ms = 0;
  int thread = 0;  // as in /proc/PID/task
};

class RequestTable {
 public:
  static constexpr size_t kMaxThreads = 256;

  RequestTable();
  ~RequestTable();
  RequestTable(const RequestTable&) = delete;
  RequestTable& operator=(const RequestTable&) = delete;

  // The oldest first.
  std::vector<RequestInFlight> List() const;

 private:
  friend class RequestScope;
  struct Slot;
  struct Slots;
  struct Lease;

  Slot* SlotOfThisThread();

  const std::shared_ptr<Slots> slots_;
};

// A request of the calling thread, from here to the end of the scope. One inside of another of the
// same thread is part of it.
class RequestScope {
 public:
  // `operation` is a literal.
  RequestScope(RequestTable& table, const char* operation, Ino ino);
  ~RequestScope();
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;

 private:
  RequestTable::Slot* slot_;  // null: not listed, or part of another
};

// The function of the kernel in which a thread of this process waits; empty where it runs, has
// ended, or the kernel does not tell.
std::string WhereThreadWaits(int thread);

}  // namespace dedupfs

// What a scrub is asked for and what it tells.
//
// Thread safety: values.
// Units:         bytes are those stored in packs, without record headers; times are seconds since
//                1970, 0 for never.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace dedupfs {

struct ScrubOptions {
  uint64_t bytes_per_second = 0;  // 0: as fast as one core and the disk are
  bool restart = false;           // begin a new pass where one could be resumed
};

// One pass over all packs that were there when it began. A row of the database keeps it
// (docs/format/chunk-index.md), and with it where the next scrub goes on.
struct ScrubRecord {
  bool under_way = false;  // a pass has begun and has not come to its end
  uint64_t started_s = 0;
  uint64_t packs_total = 0, bytes_total = 0;
  uint64_t packs_done = 0, bytes_done = 0;
  uint64_t chunks = 0;   // verified
  uint64_t damaged = 0;  // of them

  // The last pass that came to its end.
  struct Last {
    uint64_t started_s = 0, finished_s = 0;
    uint64_t packs = 0, bytes = 0, chunks = 0, damaged = 0;
    bool operator==(const Last&) const = default;
  } last;

  bool operator==(const ScrubRecord&) const = default;
};

struct ScrubStatus {
  enum class State {
    kNone,  // since the store was opened
    kRunning,
    kFinished,
    kCancelled,  // or the store is being closed
    kFailed,
  } state = State::kNone;
  std::string error;  // of kFailed
  ScrubRecord record;
  // By what this run has read so far; absent while it has read nothing, and when none runs.
  std::optional<uint64_t> seconds_left;
  uint64_t run_bytes = 0;  // what the last run has read
  // Of the last run: damaged chunks that were healed from their extra copies, and copies that were
  // damaged themselves, and are to be made anew.
  uint64_t run_healed = 0;
  uint64_t run_damaged_copies = 0;
};

}  // namespace dedupfs

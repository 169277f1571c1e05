// How far the replay of the write-ahead log is, while a database is being opened.
//
// Thread safety: of the one thread that opens the database; ended() may be called by any.
// Ownership:     a value; keeps the function that it tells.
// Units:         bytes of the files of the log, with the zeros ahead of their ends.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace dedupfs {

class LogReplay {
 public:
  using Note = std::function<void(uint64_t done, uint64_t total)>;

  explicit LogReplay(Note note) : note_(std::move(note)) {}

  bool begun() const { return begun_; }
  // `total`: of all logs.
  void Begin(uint64_t total) {
    begun_ = true;
    total_ = total;
  }
  // A log of `size` comes; the one before it has been read to its end.
  void NextLog(uint64_t size) {
    before_ += std::exchange(size_, size);
    read_ = 0;
    Tell();
  }
  void HasRead(uint64_t bytes) {
    if (ended()) return;
    read_ += bytes;
    Tell();
  }
  // The database is open: what is read of logs from now on is no replay.
  void End() { ended_.store(true); }
  bool ended() const { return ended_.load(); }

 private:
  void Tell() const { note_(std::min(before_ + std::min(read_, size_), total_), total_); }

  const Note note_;
  bool begun_ = false;
  uint64_t total_ = 0;
  uint64_t before_ = 0;  // of logs that were read
  uint64_t size_ = 0;    // of the one at hand
  uint64_t read_ = 0;
  std::atomic<bool> ended_{false};
};

}  // namespace dedupfs

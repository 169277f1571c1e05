// What a history of operations has done and what it was promised, and so what a crash at any
// instant of it may leave.
//
// An instant is the number of calls that had reached the disk (FaultDisk::Now).
//
// Thread safety: one thread at a time.
// Errors:        broken promises are lines of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"
#include "fs/types.h"

namespace dedupfs {

// A tree as a user sees it: inode by path, and the bytes of regular files by inode.
struct SeenTree {
  std::map<std::string, Ino> names;
  std::map<Ino, std::string> contents;
  bool operator==(const SeenTree&) const = default;
};
Result<SeenTree> SeeTree(FileSystem& fs);

class Ledger {
 public:
  // The tree as it is at `now`, all of it durable.
  void Begin(const SeenTree& tree);

  // `begin` is the instant before the operation, `now` the one after it.
  void NamesChanged(uint64_t begin, std::map<std::string, Ino> names);
  // `passing`: a state that no crash may leave (cut to nothing, about to be written again).
  void ContentChanged(uint64_t begin, Ino ino, std::string bytes, bool passing = false);
  // Whoever finds the names as they are now, or newer, finds the content as it is now, or newer.
  void ContentGoesBeforeNames(Ino ino);
  void PromiseNames(uint64_t now);
  void PromiseContent(uint64_t now, Ino ino);
  void PromiseAll(uint64_t now);

  const std::map<std::string, Ino>& names() const { return names_.back().names; }
  // As of the last change; "" for an inode that has none.
  std::string ContentOf(Ino ino) const;

  // What is wrong with `tree` after a crash at `instant`; empty: nothing.
  std::vector<std::string> Faults(const SeenTree& tree, uint64_t instant) const;

 private:
  struct Content {
    uint64_t begin;
    std::string bytes;
    bool passing;
  };
  struct Names {
    uint64_t begin;
    std::map<std::string, Ino> names;
  };
  struct Promise {
    uint64_t at;
    size_t names;                    // the version that is there at least
    std::map<Ino, size_t> contents;  // likewise
  };
  struct Order {
    size_t names;
    Ino ino;
    size_t content;
  };
  // The newest version that may be there, and the oldest.
  size_t Newest(const std::vector<Content>& versions, uint64_t instant) const;
  std::string FaultOf(Ino ino, const std::string& bytes, size_t oldest, uint64_t instant) const;

  std::vector<Names> names_;
  std::map<Ino, std::vector<Content>> contents_;
  std::vector<Promise> promises_;
  std::vector<Order> orders_;
};

}  // namespace dedupfs

// What a disk holds, as programs see it and as a power cut would leave it, after each of a sequence
// of calls: the state behind FaultDisk, and what replays its record.
//
// Thread safety: one thread at a time.
// Ownership:     a value; reads and writes real files only where it is told to.
// Durability:    that of POSIX, taken literally: bytes by the sync of their file, names by the sync
//                of their directory, nothing else.
// Errors:        calls that a disk would refuse are broken invariants of the test, and end it.
// Units:         offsets and sizes are bytes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/random.h"

namespace dedupfs {

// A call that changed the disk. Paths are relative to its root; "" is the root.
struct DiskCall {
  enum class Kind {
    kCreate,  // an empty file
    kMakeDir,
    kWrite,     // `data` at `offset` of `file`
    kTruncate,  // `file` to the size `offset`
    kSync,      // of `file`
    kLostSync,  // a sync that failed: what was not durable never will be
    kRename,    // within one directory
    kRemove,
    kSyncDir,
  };
  Kind kind = Kind::kSync;
  std::string path = {};
  std::string to = {};
  uint64_t file = 0;  // files are numbered as they are made, from 1 on
  uint64_t offset = 0;
  std::string data = {};
};

const char* NameOf(DiskCall::Kind kind);

// What a crash takes away.
enum class Loss {
  kNothing,   // only the process died
  kUnsynced,  // everything that was not synced
  // Of what was not synced, any sectors of any files and any changes of names, in any order, as the
  // random numbers fall. A rename is one change: the old name goes and the new one comes, or
  // neither. Of a MANIFEST of RocksDB the sectors stay in order.
  kTorn,
};

class DiskModel {
 public:
  static constexpr uint64_t kSector = 512;

  DiskModel();
  // Starts with what is below the real directory, as durable.
  void Import(const std::string& directory);
  void Apply(const DiskCall& call);

  // 0 where there is none.
  uint64_t FileAt(const std::string& path) const;
  uint64_t SizeOf(uint64_t file) const;
  bool Exists(const std::string& path) const;

  // Makes the real `directory` what a crash leaves now; what it held is gone.
  void WriteTo(const std::string& directory, Loss loss, Random& random) const;

 private:
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  using Names = std::map<std::string, NodePtr>;
  // A change of the names of a directory: `name` goes (empty: nothing goes), `to` comes.
  struct NameChange {
    std::string name, to;
    NodePtr node;
  };
  struct Node {
    bool is_directory = false;
    uint64_t number = 0;
    std::string now, synced;
    uint64_t clean = 0;  // bytes at the front in which the two are equal
    bool lost = false;   // a sync failed
    Names names, synced_names;
    std::vector<NameChange> changes;  // from synced_names to names
  };

  void ImportInto(Node& node, const std::string& directory);
  NodePtr NewFile();
  NodePtr Find(const std::string& path) const;
  // The directory that holds `path`, and the last name of it.
  Node& ParentOf(const std::string& path, std::string& name) const;
  Node& FileOf(uint64_t number) const;
  static void Change(Node& directory, NameChange change);
  static void Perform(Names& names, const NameChange& change);
  static std::string ContentAfter(const Node& file, const std::string& path, Loss loss,
                                  Random& random);
  static Names NamesAfter(const Node& directory, Loss loss, Random& random);
  static void WriteNode(const Node& node, const std::string& path, Loss loss, Random& random);

  NodePtr root_;
  std::vector<NodePtr> files_;
};

// Whether the files and directories at `path` (relative) are part of the simulation: not logs for
// humans, locks and settings.
bool IsSimulated(std::string_view path);

}  // namespace dedupfs

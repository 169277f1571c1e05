// Makes names and inodes right again, in a database that is a copy, before it takes the place of
// the store's: what `Namespace::Check` would find is mended, and nothing that has content is lost.
//
// Thread safety: one thread, on a database that nobody else uses.
// Ownership:     borrows `kv`.
// Memory:        about 20 bytes for each inode, and a line for each inode that is made anew.
// Durability:    the caller's: writes are buffered.
// Errors:        those of the database. Damage is no error: `report` gets the kind and the thing.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "chunkstore/base/kv.h"
#include "fs/namespace/dentry.h"
#include "fs/namespace/inode_record.h"

namespace dedupfs {

class NamespaceRepair {
 public:
  using Report = std::function<void(const std::string& kind, const std::string& what)>;
  static constexpr const char* kNumbers = "numbers that were given";  // a kind

  // `numbers_unknown`: the database may have lost which inode numbers were given.
  NamespaceRepair(Kv& kv, NameHash hash, bool numbers_unknown, Report report);

  Status Run();
  // Makes a regular file in lost+found, under `name`. After Run.
  Result<Ino> AddLostFile(const std::string& name);
  // What is counted: directories, inodes, inode numbers. Last; `highest`: an inode number that
  // other rows name.
  Status FinishCounters(Ino highest);

 private:
  static constexpr size_t kNone = SIZE_MAX;
  static constexpr uint32_t kNoPlace = UINT32_MAX;

  size_t Find(Ino ino) const;
  bool IsDirectoryAt(size_t place) const;
  std::string Text(Ino ino) const { return "inode " + std::to_string(ino); }
  Status Put(Ino ino, const InodeRecord& record);
  Result<InodeRecord> Load(Ino ino);

  Result<uint64_t> Counter(std::string_view name);
  Result<Ino> FirstNewIno(Ino highest);
  Result<Ino> NewIno();

  Status MendInodes();
  Status MendXattrRows();
  Status Revive();
  void NoteRevived(Ino ino, uint32_t type) { revived_.emplace(ino, type); }
  Status ReadTable();
  Status MendEntries();
  // Whether the entry stays; if it lies under a wrong cookie it is moved.
  Result<bool> MendEntry(Ino parent, uint64_t cookie, const Dentry& entry, Batch& batch);
  Status CutLoops();
  Status RemoveEntriesOf(Ino ino);
  Status AttachUnnamed();
  Result<Ino> LostAndFound();
  Status Attach(Ino ino, const std::string& name, uint32_t type);
  Status MendDirectories();
  Status MendLinks();
  Status MendOrphans();

  Kv& kv_;
  Dentries dentries_;
  const bool numbers_unknown_;
  const Report report_;
  std::map<Ino, uint32_t> revived_;  // inodes without a record, and their types

  // Tables with one place for each inode, in the order of inode numbers.
  std::vector<Ino> inos_;
  std::vector<uint32_t> nlinks_;
  std::vector<uint32_t> names_;
  std::vector<uint32_t> parents_;  // of directories: the place of the one that the entry is in
  std::vector<uint8_t> types_;     // S_IFMT bits >> 12

  bool collisions_ = false;
  Ino highest_ = 0;
  Ino next_ = 0;  // of inodes that are made here
  Ino lost_and_found_ = 0;
  uint64_t lost_directories_ = 0;  // in it
  uint64_t inodes_ = 0;
};

}  // namespace dedupfs

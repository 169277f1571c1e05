// A store with some of everything, ways to damage it, and what is to be left after a repair.
//
// Thread safety: one thread.
// Errors:        what cannot be done to a store is a test failure.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "chunkstore/base/kv.h"
#include "fs/repair.h"
#include "fs/types.h"
#include "tests/fs/model/test_store.h"

namespace dedupfs {

struct TreeNode {
  Ino ino = 0;
  uint32_t mode = 0;
  uint32_t nlink = 0;
  uint64_t size = 0;
  std::string content;  // or the target of a symlink
  bool readable = true;
};
// By path from the root, with a slash in front.
using Tree = std::map<std::string, TreeNode>;

// `failures` counts what cannot be looked up, listed or read; null: such is a test failure, other
// than of reading.
Tree ReadTree(FileSystem& fs, uint64_t* failures = nullptr);

class RepairTest : public ::testing::Test {
 protected:
  // Makes the store, reads it, closes it; every row of it is in tables, and no log matters.
  RepairTest();

  const std::string& directory() const { return store_->directory(); }
  std::string Database() const { return directory() + "/db"; }
  std::string Packs() const { return directory() + "/packs"; }

  std::unique_ptr<Kv> OpenDatabase();
  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);
  void DeleteFamily(Family family);

  // Repairs; the lines of what is lost are in `losses_`.
  RepairReport Repair(bool apply = true);
  // How many of a kind the report mends.
  static uint64_t Mended(const RepairReport& report, const std::string& kind);
  std::vector<std::string> CheckLines();
  // The check finds nothing, and every path reads as before.
  void ExpectAsBefore();
  // Every path of before that is not named as lost reads as before, under its name or in
  // lost+found. Returns how many differ or are not in their place.
  size_t ExpectOnlyNamedDiffer();
  bool IsNamed(const std::string& path) const;
  static bool IsMoved(const Tree& after, const TreeNode& node);
  // It may be lost altogether, so that nothing of it is there to be named.
  bool NamesMayBeLostBeside(const std::string& path) const;
  // Its entry was removed, as the inode that it named is not there.
  bool IsRemovedEntry(const std::string& path) const;

  std::unique_ptr<TestStore> store_;
  Tree before_;
  RepairReport report_;              // of the last repair
  std::vector<std::string> losses_;  // the same
};

}  // namespace dedupfs

// What is to be exported, as it is found and measured in the store.
//
// Thread safety: as the FileSystem.
// Ownership:     borrows the FileSystem.
// Errors:        those of the FileSystem.
// Units:         bytes of content, without holes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"

namespace dedupfs {

// The entry at "/a/b"; "" and "/" are the root.
Result<Attributes> FindInStore(FileSystem& file_system, const std::string& path);
// Some that come after `cookie`, without "." and ".."; none: the end.
Result<std::vector<DirectoryEntry>> NextEntries(FileSystem& file_system, Ino directory,
                                                uint64_t cookie);
// How much content lies at and below the entry. What cannot be read is left out: the export itself
// will tell.
uint64_t MeasureTree(FileSystem& file_system, const Attributes& top);

// Deeper than any path that a mount can name; each level takes stack and a descriptor.
constexpr size_t kMostLevels = 2048;

// The directories that lead to where a walk is. A damaged store may have one inside itself.
class DirectoriesAbove {
 public:
  bool Has(Ino ino) const;
  size_t size() const { return inos_.size(); }

  // Goes down into a directory while it lives.
  class Step {
   public:
    Step(DirectoriesAbove& above, Ino ino) : above_(above) { above_.inos_.push_back(ino); }
    ~Step() { above_.inos_.pop_back(); }
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    DirectoriesAbove& above_;
  };

 private:
  std::vector<Ino> inos_;
};

}  // namespace dedupfs

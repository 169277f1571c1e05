// A directory of its own for a test, under TMPDIR (or /tmp), removed at the end.
//
// Thread safety: immutable once made.
// Errors:        a directory that cannot be made ends the test program.
#pragma once

#include <string>

namespace dedupfs {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string Join(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace dedupfs

// What a regular file must hold: the plain model that the file system is compared with.
//
// Thread safety: one thread at a time.
// Units:         bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fs/types.h"
#include "tests/fs/model/test_store.h"

namespace dedupfs {

// Content and its changes, each as the system call of that name defines it.
class ModelBytes {
 public:
  void Write(uint64_t offset, std::string_view data);
  void Truncate(uint64_t size) { bytes_.resize(size, '\0'); }
  // Zeros within the file; never longer.
  void Punch(uint64_t offset, uint64_t length);
  void ZeroRange(uint64_t offset, uint64_t length, bool keep_size);
  void Allocate(uint64_t offset, uint64_t length, bool keep_size);
  // What a read gives: shorter at the end.
  std::string_view Read(uint64_t offset, uint64_t length) const;

  const std::string& bytes() const { return bytes_; }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::string bytes_;
};

struct ModelFile {
  Ino ino = 0;
  ModelBytes content;
  std::map<std::string, std::string> xattrs;
  std::optional<Time> mtime;  // unset while a write since has set it to some time
  uint32_t nlink = 0;
  uint64_t nlookup = 0;  // kernel references that the test owes
  std::vector<OpenFilePtr> handles;
};

}  // namespace dedupfs

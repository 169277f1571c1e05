// A pack file as dedupfs-unpack reads it: by its path alone, whatever its state.
//
// Thread safety: none.
// Errors:        an error is a file that cannot be read; damage is told to the visitor.
#pragma once

#include <memory>
#include <string>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "chunkstore/packs/pack_format.h"
#include "chunkstore/packs/pack_reader.h"

namespace dedupfs {

class PackInput {
 public:
  // The pack's id is that of its file name, or of its header where it was renamed.
  static Result<PackInput> Open(const std::string& path);

  // Visits every record that can still be found. True if the pack is sealed.
  Result<bool> Walk(const PackReader::Visitor& visitor);

  const std::string& path() const { return path_; }

 private:
  PackInput(std::string path, std::unique_ptr<File> file, PackId id, uint64_t size);

  std::string path_;
  std::unique_ptr<File> file_;
  PackId id_;
  uint64_t size_;
};

// The content of a chunk, checked against its fingerprint; EIO where it does not hold.
Status DecodeChunk(const RecordHeader& header, Bytes stored, Buffer& raw);

}  // namespace dedupfs

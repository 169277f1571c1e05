#include "tools/unpack/pack_input.h"

#include <array>
#include <cstddef>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunking/codec.h"
#include "chunkstore/chunking/fingerprint.h"

namespace dedupfs {

PackInput::PackInput(std::string path, std::unique_ptr<File> file, PackId id, uint64_t size)
    : path_(std::move(path)), file_(std::move(file)), id_(id), size_(size) {}

Result<PackInput> PackInput::Open(const std::string& path) {
  DEDUPFS_ASSIGN_OR_RETURN(std::unique_ptr<File> file, PosixEnv().OpenForRead(path));
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::optional<PackId> id = ParsePackFileName(path.substr(path.rfind('/') + 1));
  if (!id) {
    std::array<std::byte, kPackHeaderSize> header{};
    DEDUPFS_ASSIGN_OR_RETURN(const size_t count, file->ReadAt(0, header));
    Decoder decoder(AsText(Bytes(header).first(count)));
    decoder.Take(8);
    id = decoder.U64();
  }
  return PackInput(path, std::move(file), *id, size);
}

Result<bool> PackInput::Walk(const PackReader::Visitor& visitor) {
  PackReader reader(*file_, id_, size_);
  return reader.Walk(PackReader::AfterDamage::kSearch, visitor);
}

Status DecodeChunk(const RecordHeader& header, Bytes stored, Buffer& raw) {
  raw.resize(header.raw);
  DEDUPFS_RETURN_IF_ERROR(Decompress(header.codec, stored, raw));
  if (FingerprintOf(raw) != header.fingerprint) {
    return Corrupt("content does not have its fingerprint " + header.fingerprint.Hex());
  }
  return Ok();
}

}  // namespace dedupfs

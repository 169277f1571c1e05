#include "chunkstore/packs/pack_writer.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>

#include "chunkstore/base/bytes.h"
#include "chunkstore/chunking/chunker.h"

namespace dedupfs {
namespace {

// One call to the disk below takes at most about this much, so that a huge batch needs no huge
// buffer behind a network file system.
constexpr uint64_t kLargestAppend = 16ull << 20;

Status CheckInput(const RecordInput& record) {
  const RecordHeader& header = record.header;
  if (header.stored != record.stored.size() || header.stored == 0 || header.stored > header.raw ||
      header.raw > kLargestChunk || header.id == 0) {
    return Fail(EINVAL, "record of chunk " + std::to_string(header.id) + ": stored length " +
                            std::to_string(header.stored) + ", raw length " +
                            std::to_string(header.raw) + ", given " +
                            std::to_string(record.stored.size()) + " bytes");
  }
  return Ok();
}

}  // namespace

Status PackWriter::Check(std::span<const RecordInput> records) {
  for (const RecordInput& record : records) DEDUPFS_RETURN_IF_ERROR(CheckInput(record));
  return Ok();
}

Result<std::vector<Location>> PackWriter::Append(std::span<const RecordInput> records) {
  std::string pack_header;
  std::vector<std::string> headers;
  std::vector<Bytes> pieces;
  std::vector<Location> locations;
  headers.reserve(records.size());
  pieces.reserve(records.size() * 2 + 1);
  locations.reserve(records.size());
  uint64_t end = end_;
  uint64_t pending = 0;
  if (end == 0) {
    pack_header = EncodePackHeader(id_);
    pieces.push_back(AsBytes(pack_header));
    end = pending = pack_header.size();
  }
  for (const RecordInput& record : records) {
    locations.push_back({id_, end, record.header.stored});
    headers.push_back(EncodeRecordHeader(record.header, record.stored));
    pieces.push_back(AsBytes(headers.back()));
    pieces.push_back(record.stored);
    pending += locations.back().end() - end;
    end = locations.back().end();
    if (pending >= kLargestAppend) {
      DEDUPFS_RETURN_IF_ERROR(file_->Append(pieces));
      pieces.clear();
      pending = 0;
    }
  }
  if (pending > 0) DEDUPFS_RETURN_IF_ERROR(file_->Append(pieces));

  for (size_t i = 0; i < records.size(); ++i) {
    entries_.push_back({records[i].header, locations[i].offset});
  }
  end_ = end;
  return locations;
}

Status PackWriter::Seal() {
  const std::string seal = EncodeSeal(id_, end_, entries_);
  const std::array<Bytes, 1> pieces = {AsBytes(seal)};
  return file_->Append(pieces);
}

}  // namespace dedupfs

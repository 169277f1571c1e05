#include "chunkstore/base/rocks_log_check.h"

#include <rocksdb/file_checksum.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr size_t kBlock = 32768;
constexpr size_t kHeader = 7;  // checksum, 4 bytes; length, 2, little endian; type
constexpr size_t kRecyclableHeader = 11;
constexpr size_t kTypeAt = 6;
enum : uint8_t { kFull = 1, kFirst, kMiddle, kLast, kFirstRecyclable, kLastRecyclable = 8 };

constexpr size_t kEmptyBatch = 12;  // a sequence number and a count

constexpr std::string_view kMagic = "dfs-mark";
constexpr size_t kMarkSize = 24;  // number of the log, offset, little endian; magic

// One record, or the part of one that lies in a block.
struct Part {
  size_t size = 0;  // with its header; 0: there is none
  uint8_t type = 0;
  std::string_view content;
};

uint32_t Masked(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; }

uint32_t Crc32c(std::string_view bytes) {
  static const auto factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  const auto sum = factory->CreateFileChecksumGenerator({});
  sum->Update(bytes.data(), bytes.size());
  sum->Finalize();
  uint32_t crc = 0;  // as a string it is big endian
  for (const char byte : sum->GetChecksum()) crc = crc << 8 | static_cast<uint8_t>(byte);
  return crc;
}

bool IsZeros(std::string_view block, size_t at) {
  return block[at + 4] == 0 && block[at + 5] == 0 && block[at + kTypeAt] == 0;
}

Part PartAt(std::string_view block, size_t at) {
  Part part;
  const auto type = static_cast<uint8_t>(block[at + kTypeAt]);
  if (type < kFull || type > kLastRecyclable) return part;
  const size_t header = type >= kFirstRecyclable ? kRecyclableHeader : kHeader;
  const size_t length =
      static_cast<uint8_t>(block[at + 4]) + (size_t{static_cast<uint8_t>(block[at + 5])} << 8);
  if (header + length > block.size() - at) return part;
  Decoder in(block.substr(at, 4));
  if (in.U32() != Masked(Crc32c(block.substr(at + kTypeAt, header - kTypeAt + length)))) {
    return part;
  }
  part.size = header + length;
  part.type = type >= kFirstRecyclable ? static_cast<uint8_t>(type - kLast) : type;
  part.content = block.substr(at + header, length);
  return part;
}

class Reader {
 public:
  Reader(uint64_t log, LogReading& reading) : log_(log), reading_(reading) {}

  void Block(std::string_view block);
  void Finish() {
    if (!stop_ || !zeros_) reading_.end = at_;  // RocksDB stops by itself
  }

 private:
  void Take(const Part& part, uint64_t offset);

  const uint64_t log_;
  LogReading& reading_;
  uint64_t at_ = 0;                 // of the block
  bool zeros_ = false;              // are at `stop_`
  std::optional<uint64_t> stop_;    // where replay ends
  std::optional<uint64_t> resume_;  // the first whole record behind it
  std::string tail_;                // of the record at hand
};

void Reader::Block(std::string_view block) {
  size_t at = 0;
  while (at + kHeader <= block.size()) {
    const Part part = PartAt(block, at);
    if (part.size > 0) {
      Take(part, at_ + at);
      at += part.size;
      continue;
    }
    if (!stop_) {
      stop_ = at_ + at;
      zeros_ = IsZeros(block, at);
      if (zeros_) reading_.end = *stop_;
      if (!zeros_) reading_.not_whole = stop_;
    }
    tail_.clear();
    ++at;
  }
  at_ += block.size();
}

void Reader::Take(const Part& part, uint64_t offset) {
  if (part.type != kFull || part.content.size() > kEmptyBatch) reading_.has_batches = true;
  if (stop_ && !resume_) {
    resume_ = offset;
    reading_.not_whole = stop_;
  }
  if (part.type == kFull || part.type == kFirst) tail_.clear();
  tail_.append(part.content.substr(part.content.size() - std::min(part.content.size(), kMarkSize)));
  tail_.erase(0, tail_.size() - std::min(tail_.size(), kMarkSize));
  if (part.type != kFull && part.type != kLast) return;
  if (resume_ && !reading_.damaged && tail_.size() == kMarkSize && tail_.ends_with(kMagic)) {
    Decoder in(tail_);
    const uint64_t log = in.U64();
    const uint64_t synced = in.U64();
    // What begins at `resume_` follows the record at `stop_`, all of which was durable then.
    if (log == log_ && synced >= *resume_) reading_.damaged = stop_;
  }
  tail_.clear();
}

}  // namespace

std::string LogMark(const LogPosition& synced) {
  std::string mark;
  PutU64(mark, synced.log);
  PutU64(mark, synced.offset);
  return mark.append(kMagic);
}

IOStatus ReadLog(rocksdb::FSSequentialFile& file, uint64_t log, const IOOptions& options,
                 LogReading& reading, IODebugContext* dbg) {
  Reader reader(log, reading);
  std::string scratch(kBlock, '\0');
  std::string block;
  IOStatus status;
  bool more = true;
  while (more) {
    Slice piece;
    status = file.Read(kBlock - block.size(), options, &piece, scratch.data(), dbg);
    if (!status.ok()) return status;
    block.append(piece.data(), piece.size());
    more = !piece.empty();
    if (more && block.size() < kBlock) continue;
    reader.Block(block);
    block.clear();
  }
  reader.Finish();
  return status;
}

}  // namespace dedupfs

// The bytes of a pack file (format: docs/format/pack.md): a pack header, chunk records, and once it
// is sealed a table of contents and a footer.
//
// Thread safety: pure functions and values.
// Errors:        parsers take any bytes, and give EIO naming what is wrong; the caller adds the
// pack. Units:         offsets and lengths are bytes; integers on disk are little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"
#include "chunkstore/chunking/codec.h"
#include "chunkstore/chunking/fingerprint.h"

namespace dedupfs {

using ChunkId = uint64_t;  // from 1; 0 is no chunk
using PackId = uint64_t;   // from 1

inline constexpr uint64_t kPackTargetBytes = 64ull << 20;
inline constexpr size_t kPackHeaderSize = 16;
inline constexpr size_t kRecordHeaderSize = 64;
inline constexpr size_t kFooterSize = 48;

// Where a record lies: its first byte in its pack. `stored` is the length of what follows the
// record header.
struct Location {
  PackId pack = 0;
  uint64_t offset = 0;
  uint32_t stored = 0;

  uint64_t end() const { return offset + kRecordHeaderSize + stored; }
  bool operator==(const Location&) const = default;
};

struct RecordHeader {
  ChunkId id = 0;
  Fingerprint fingerprint;
  Codec codec = Codec::kRaw;
  uint32_t raw = 0;
  uint32_t stored = 0;
};

// One line of a table of contents.
struct PackEntry {
  RecordHeader header;
  uint64_t offset = 0;
};

std::string EncodePackHeader(PackId id);
Status ParsePackHeader(std::string_view bytes, PackId expected);

// The header, with the checksum over itself and `stored`.
std::string EncodeRecordHeader(const RecordHeader& header, Bytes stored);
// Checks magic, version, codec and lengths (1 <= raw <= kLargestChunk, 1 <= stored <= raw).
Result<RecordHeader> ParseRecordHeader(std::string_view bytes);
// Checks the checksum of a whole record: header and stored bytes.
Status VerifyRecord(Bytes record);

// Table of contents and footer, to be appended to a pack whose records end at `records_end`.
std::string EncodeSeal(PackId id, uint64_t records_end, const std::vector<PackEntry>& entries);
struct Footer {
  uint64_t toc_offset = 0;
  uint64_t toc_size = 0;
  uint64_t entry_count = 0;
  uint64_t toc_checksum = 0;
};
// nullopt where the last bytes are no footer at all (an unsealed pack).
Result<std::optional<Footer>> ParseFooter(std::string_view last_bytes, PackId expected,
                                          uint64_t file_size);
Result<std::vector<PackEntry>> ParseToc(std::string_view toc, const Footer& footer);

// "0000000000000042.pack", and back (nullopt for any other name).
std::string PackFileName(PackId id);
std::optional<PackId> ParsePackFileName(std::string_view name);

}  // namespace dedupfs

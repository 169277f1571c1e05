#include "chunkstore/packs/pack_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <limits>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunking/chunker.h"

namespace dedupfs {
namespace {

// "DFPK", "DFRC" and "DFFT" as the first bytes of a little-endian integer.
constexpr uint32_t kPackMagic = 0x4b504644;
constexpr uint32_t kRecordMagic = 0x43524644;
constexpr uint32_t kFooterMagic = 0x54464644;
constexpr uint16_t kPackVersion = 1;
constexpr uint8_t kRecordVersion = 1;

// These structs only fix the layout; nothing is copied through them.
struct PackHeaderLayout {
  uint32_t magic;
  uint16_t version;
  uint16_t reserved;
  uint64_t pack;
};
static_assert(sizeof(PackHeaderLayout) == kPackHeaderSize);
static_assert(offsetof(PackHeaderLayout, pack) == 8);

struct RecordLayout {
  uint32_t magic;
  uint8_t version;
  uint8_t codec;
  uint16_t reserved;
  uint32_t raw;
  uint32_t stored;
  uint64_t id;
  std::array<uint8_t, 32> fingerprint;
  uint64_t checksum;
};
static_assert(sizeof(RecordLayout) == kRecordHeaderSize);
static_assert(offsetof(RecordLayout, codec) == 5);
static_assert(offsetof(RecordLayout, raw) == 8);
static_assert(offsetof(RecordLayout, id) == 16);
static_assert(offsetof(RecordLayout, fingerprint) == 24);
constexpr size_t kStoredAt = offsetof(RecordLayout, stored);
constexpr size_t kChecksumAt = offsetof(RecordLayout, checksum);
static_assert(kStoredAt == 12 && kChecksumAt == 56);

struct TocEntryLayout {
  uint64_t id;
  std::array<uint8_t, 32> fingerprint;
  uint64_t offset;
  uint32_t raw;
  uint32_t stored;
  uint8_t codec;
  std::array<uint8_t, 7> reserved;
};
constexpr size_t kTocEntrySize = sizeof(TocEntryLayout);
static_assert(kTocEntrySize == 64);
static_assert(offsetof(TocEntryLayout, offset) == 40);
static_assert(offsetof(TocEntryLayout, codec) == 56);

struct FooterLayout {
  uint32_t magic;
  uint16_t version;
  uint16_t reserved;
  uint64_t pack;
  uint64_t toc_offset;
  uint64_t toc_size;
  uint64_t entry_count;
  uint64_t toc_checksum;
};
static_assert(sizeof(FooterLayout) == kFooterSize);
static_assert(offsetof(FooterLayout, toc_offset) == 16);
static_assert(offsetof(FooterLayout, toc_checksum) == 40);

// A file offset fits a signed 64-bit integer on every system call.
constexpr uint64_t kLargestOffset = std::numeric_limits<int64_t>::max();

std::string FooterNumbers(const Footer& footer) {
  std::string numbers;
  PutU64(numbers, footer.toc_offset);
  PutU64(numbers, footer.toc_size);
  PutU64(numbers, footer.entry_count);
  return numbers;
}

// Covers the numbers of the footer too: the rest of it is compared with what it must be.
uint64_t TocChecksum(std::string_view toc, const Footer& footer) {
  const std::string numbers = FooterNumbers(footer);
  const std::array<Bytes, 2> pieces = {AsBytes(toc), AsBytes(numbers)};
  return Checksum(pieces);
}

Status CheckLengths(uint8_t codec, uint32_t raw, uint32_t stored) {
  if (codec >= kCodecCount) return Corrupt("unknown codec " + std::to_string(codec));
  if (raw == 0 || raw > kLargestChunk) return Corrupt("raw length " + std::to_string(raw));
  if (stored == 0 || stored > raw) {
    return Corrupt("stored length " + std::to_string(stored) + " of raw length " +
                   std::to_string(raw));
  }
  return Ok();
}

void TakeFingerprint(Decoder& decoder, Fingerprint& fingerprint) {
  const std::string_view bytes = decoder.Take(fingerprint.bytes.size());
  std::copy(bytes.begin(), bytes.end(), fingerprint.bytes.begin());
}

Result<PackEntry> ParseTocEntry(std::string_view bytes) {
  Decoder decoder(bytes);
  PackEntry entry;
  entry.header.id = decoder.U64();
  TakeFingerprint(decoder, entry.header.fingerprint);
  entry.offset = decoder.U64();
  entry.header.raw = decoder.U32();
  entry.header.stored = decoder.U32();
  const uint8_t codec = decoder.U8();
  const std::string_view reserved = decoder.Take(7);
  if (!decoder.AtEnd()) return Corrupt("table of contents: short entry");
  if (reserved.find_first_not_of('\0') != std::string_view::npos) {
    return Corrupt("table of contents: reserved bytes are not zero");
  }
  DEDUPFS_RETURN_IF_ERROR(CheckLengths(codec, entry.header.raw, entry.header.stored));
  entry.header.codec = static_cast<Codec>(codec);
  return entry;
}

}  // namespace

std::string EncodePackHeader(PackId id) {
  std::string out;
  out.reserve(kPackHeaderSize);
  PutU32(out, kPackMagic);
  PutU16(out, kPackVersion);
  PutU16(out, 0);
  PutU64(out, id);
  return out;
}

Status ParsePackHeader(std::string_view bytes, PackId expected) {
  Decoder decoder(bytes.substr(0, kPackHeaderSize));
  const uint32_t magic = decoder.U32();
  const uint16_t version = decoder.U16();
  const uint16_t reserved = decoder.U16();
  const PackId id = decoder.U64();
  if (!decoder.ok()) return Corrupt("pack header is cut short");
  if (magic != kPackMagic) return Corrupt("no pack header");
  if (version != kPackVersion || reserved != 0) {
    return Corrupt("pack header of unknown version " + std::to_string(version));
  }
  if (id != expected) return Corrupt("pack header of pack " + std::to_string(id));
  return Ok();
}

std::string EncodeRecordHeader(const RecordHeader& header, Bytes stored) {
  std::string out;
  out.reserve(kRecordHeaderSize);
  PutU32(out, kRecordMagic);
  PutU8(out, kRecordVersion);
  PutU8(out, static_cast<uint8_t>(header.codec));
  PutU16(out, 0);
  PutU32(out, header.raw);
  PutU32(out, header.stored);
  PutU64(out, header.id);
  out.append(header.fingerprint.text());
  const std::array<Bytes, 2> pieces = {AsBytes(out), stored};
  PutU64(out, Checksum(pieces));
  return out;
}

Result<RecordHeader> ParseRecordHeader(std::string_view bytes) {
  Decoder decoder(bytes.substr(0, kRecordHeaderSize));
  RecordHeader header;
  const uint32_t magic = decoder.U32();
  const uint8_t version = decoder.U8();
  const uint8_t codec = decoder.U8();
  const uint16_t reserved = decoder.U16();
  header.raw = decoder.U32();
  header.stored = decoder.U32();
  header.id = decoder.U64();
  TakeFingerprint(decoder, header.fingerprint);
  decoder.U64();
  if (!decoder.ok()) return Corrupt("record header is cut short");
  if (magic != kRecordMagic) return Corrupt("no record header");
  if (version != kRecordVersion || reserved != 0) {
    return Corrupt("record header of unknown version " + std::to_string(version));
  }
  DEDUPFS_RETURN_IF_ERROR(CheckLengths(codec, header.raw, header.stored));
  header.codec = static_cast<Codec>(codec);
  return header;
}

Status VerifyRecord(Bytes record) {
  if (record.size() < kRecordHeaderSize) return Corrupt("record is cut short");
  const std::string_view header = AsText(record.first(kRecordHeaderSize));
  const uint32_t stored = Decoder(header.substr(kStoredAt)).U32();
  if (record.size() - kRecordHeaderSize != stored) return Corrupt("record has another length");
  const std::array<Bytes, 2> pieces = {record.first(kChecksumAt),
                                       record.subspan(kRecordHeaderSize)};
  if (Checksum(pieces) != Decoder(header.substr(kChecksumAt)).U64()) {
    return Corrupt("record checksum does not hold");
  }
  return Ok();
}

std::string EncodeSeal(PackId id, uint64_t records_end, const std::vector<PackEntry>& entries) {
  std::string out;
  out.reserve(entries.size() * kTocEntrySize + kFooterSize);
  for (const PackEntry& entry : entries) {
    PutU64(out, entry.header.id);
    out.append(entry.header.fingerprint.text());
    PutU64(out, entry.offset);
    PutU32(out, entry.header.raw);
    PutU32(out, entry.header.stored);
    PutU8(out, static_cast<uint8_t>(entry.header.codec));
    out.append(7, '\0');
  }
  Footer footer{records_end, out.size(), entries.size(), 0};
  footer.toc_checksum = TocChecksum(out, footer);
  PutU32(out, kFooterMagic);
  PutU16(out, kPackVersion);
  PutU16(out, 0);
  PutU64(out, id);
  out.append(FooterNumbers(footer));
  PutU64(out, footer.toc_checksum);
  return out;
}

Result<std::optional<Footer>> ParseFooter(std::string_view last_bytes, PackId expected,
                                          uint64_t file_size) {
  if (last_bytes.size() < kFooterSize || file_size < kPackHeaderSize + kFooterSize) {
    return std::optional<Footer>();
  }
  Decoder decoder(last_bytes.substr(last_bytes.size() - kFooterSize));
  if (decoder.U32() != kFooterMagic) return std::optional<Footer>();
  const uint16_t version = decoder.U16();
  const uint16_t reserved = decoder.U16();
  const PackId id = decoder.U64();
  Footer footer;
  footer.toc_offset = decoder.U64();
  footer.toc_size = decoder.U64();
  footer.entry_count = decoder.U64();
  footer.toc_checksum = decoder.U64();
  if (version != kPackVersion || reserved != 0) {
    return Corrupt("footer of unknown version " + std::to_string(version));
  }
  if (id != expected) return Corrupt("footer of pack " + std::to_string(id));
  // Each term is bounded by the file before it is added, so nothing wraps around.
  const uint64_t room = file_size - kFooterSize;
  if (footer.toc_offset < kPackHeaderSize || footer.toc_offset > room ||
      footer.toc_size != room - footer.toc_offset || footer.toc_size % kTocEntrySize != 0 ||
      footer.entry_count != footer.toc_size / kTocEntrySize) {
    return Corrupt("footer does not fit the file");
  }
  return std::optional<Footer>(footer);
}

Result<std::vector<PackEntry>> ParseToc(std::string_view toc, const Footer& footer) {
  if (toc.size() != footer.toc_size || toc.size() % kTocEntrySize != 0 ||
      footer.entry_count != toc.size() / kTocEntrySize || footer.toc_offset > kLargestOffset) {
    return Corrupt("table of contents has another length");
  }
  if (TocChecksum(toc, footer) != footer.toc_checksum) {
    return Corrupt("table of contents: checksum does not hold");
  }
  std::vector<PackEntry> entries;
  entries.reserve(footer.entry_count);
  uint64_t end = kPackHeaderSize;
  for (; !toc.empty(); toc.remove_prefix(kTocEntrySize)) {
    DEDUPFS_ASSIGN_OR_RETURN(const PackEntry entry, ParseTocEntry(toc.substr(0, kTocEntrySize)));
    const uint64_t size = kRecordHeaderSize + entry.header.stored;
    if (entry.offset < end || entry.offset > footer.toc_offset ||
        size > footer.toc_offset - entry.offset) {
      return Corrupt("table of contents: record outside of its place at offset " +
                     std::to_string(entry.offset));
    }
    end = entry.offset + size;
    entries.push_back(entry);
  }
  return entries;
}

std::string PackFileName(PackId id) {
  const std::string digits = std::to_string(id);
  const size_t zeros = digits.size() < 16 ? 16 - digits.size() : 0;
  return std::string(zeros, '0') + digits + ".pack";
}

std::optional<PackId> ParsePackFileName(std::string_view name) {
  constexpr std::string_view kSuffix = ".pack";
  if (name.size() < 16 + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  const std::string_view digits = name.substr(0, name.size() - kSuffix.size());
  PackId id = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  // Only the one spelling that PackFileName gives: two names never mean one pack.
  if (error != std::errc() || id == 0 || name != PackFileName(id)) return std::nullopt;
  return id;
}

}  // namespace dedupfs

#include "fs/content/dirty_row.h"

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

constexpr uint8_t kDirtyVersion = 1;
constexpr size_t kKeySize = 20;

}  // namespace

std::string DirtyKey(Ino ino, uint64_t sequence, uint32_t part) {
  std::string key = BigU64(ino);
  PutBigU64(key, sequence);
  // Parts of one change that later ones have split do not overlap: their order does not matter.
  PutU32(key, part);
  return key;
}

uint64_t DirtySequenceOfKey(std::string_view key) { return ParseBigU64(key.substr(8)); }
Ino DirtyInoOfKey(std::string_view key) { return ParseBigU64(key); }

std::string EncodeDirtyRow(uint64_t offset, uint64_t length, bool zeros, Bytes data) {
  std::string out;
  out.reserve(24 + data.size());
  PutU8(out, kDirtyVersion);
  PutU8(out, zeros ? 1 : 0);
  PutVarint(out, offset);
  PutVarint(out, length);
  out.append(AsText(data));
  return out;
}

Result<DirtyRow> ParseDirtyRow(std::string_view key, std::string_view value) {
  if (key.size() != kKeySize) return Corrupt("dirty extent with a key of the wrong length");
  const auto fail = [&](const char* what) {
    return Corrupt("inode " + std::to_string(DirtyInoOfKey(key)) + ": dirty extent " +
                   std::to_string(DirtySequenceOfKey(key)) + ": " + what);
  };
  Decoder in(value);
  DirtyRow row;
  if (in.U8() != kDirtyVersion) return fail("unknown version");
  const uint8_t kind = in.U8();
  row.offset = in.Varint();
  row.length = in.Varint();
  if (!in.ok()) return fail("cut short");
  if (kind > 1) return fail("unknown kind");
  row.zeros = kind == 1;
  if (row.length == 0 || row.offset > kMaxFileSize || row.length > kMaxFileSize - row.offset) {
    return fail("impossible range");
  }
  row.data = in.Take(in.remaining());
  if (row.data.size() != (row.zeros ? 0 : row.length)) return fail("wrong length");
  return row;
}

}  // namespace dedupfs

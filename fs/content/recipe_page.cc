#include "fs/content/recipe_page.h"

#include <algorithm>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunking/chunker.h"

namespace dedupfs {
namespace {

constexpr uint8_t kPageVersion = 1;

}  // namespace

std::string RecipeKey(Ino ino, uint64_t page) {
  std::string key = BigU64(ino);
  PutBigU64(key, page);
  return key;
}

uint64_t RecipePageOfKey(std::string_view key) { return ParseBigU64(key.substr(8)); }

std::string EncodeRecipePage(uint64_t page, const RecipeEntries& entries) {
  std::string out;
  out.reserve(8 + entries.size() * 6);
  PutU8(out, kPageVersion);
  PutVarint(out, entries.size());
  uint64_t end = page * kRecipePageSpan;
  ChunkId previous = 0;
  for (const RecipeEntry& entry : entries) {
    PutVarint(out, entry.offset - end);
    PutVarint(out, entry.length);
    PutZigzag(out, static_cast<int64_t>(entry.id - previous));
    end = entry.end();
    previous = entry.id;
  }
  return out;
}

Result<RecipeEntries> ParseRecipePage(Ino ino, uint64_t page, std::string_view value) {
  const auto fail = [&](const char* what) {
    return Corrupt("inode " + std::to_string(ino) + ": recipe page " + std::to_string(page) + ": " +
                   what);
  };
  if (page > kMaxFileSize / kRecipePageSpan) return fail("beyond the largest file");
  Decoder in(value);
  if (in.U8() != kPageVersion) return fail("unknown version");
  const uint64_t count = in.Varint();
  // An entry takes at least three bytes: a count that cannot be true allocates nothing.
  if (!in.ok() || count == 0 || count > in.remaining() / 3) return fail("wrong entry count");
  RecipeEntries entries;
  entries.reserve(count);
  const uint64_t limit = (page + 1) * kRecipePageSpan;
  uint64_t end = page * kRecipePageSpan;
  ChunkId previous = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t gap = in.Varint();
    const uint64_t length = in.Varint();
    const ChunkId id = previous + static_cast<uint64_t>(in.Zigzag());
    if (!in.ok()) return fail("cut short");
    if (gap >= limit - std::min(end, limit)) return fail("an entry starts beyond the page");
    if (length == 0 || length > kLargestChunk) return fail("an entry has a wrong length");
    if (id == 0) return fail("an entry names chunk 0");
    entries.push_back({end + gap, static_cast<uint32_t>(length), id});
    end = entries.back().end();
    previous = id;
  }
  if (!in.AtEnd()) return fail("bytes after the last entry");
  return entries;
}

RecipeEntries::const_iterator FirstEndingAfter(const RecipeEntries& entries, uint64_t offset) {
  return std::partition_point(entries.begin(), entries.end(),
                              [&](const RecipeEntry& entry) { return entry.end() <= offset; });
}

}  // namespace dedupfs

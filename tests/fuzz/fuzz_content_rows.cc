// The parsers of file contents: any bytes give an error or a value that can be written and read
// again as the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"
#include "fs/content/content_record.h"
#include "fs/content/dirty_row.h"
#include "fs/content/recipe_page.h"
#include "fs/types.h"

namespace dedupfs {
namespace {

constexpr Ino kIno = 42;

void Require(bool condition) {
  if (!condition) std::abort();
}

void FuzzRecipePage(uint64_t page, std::string_view bytes) {
  const auto entries = ParseRecipePage(kIno, page, bytes);
  if (!entries) return;
  Require(!entries->empty());
  uint64_t end = page * kRecipePageSpan;
  for (const RecipeEntry& entry : *entries) {
    Require(entry.offset >= end && entry.offset / kRecipePageSpan == page);
    Require(entry.length >= 1 && entry.length <= kLargestChunk && entry.id != 0);
    end = entry.end();
  }
  const auto again = ParseRecipePage(kIno, page, EncodeRecipePage(page, *entries));
  Require(again && *again == *entries);
}

void FuzzContentRecord(std::string_view bytes) {
  const auto record = ParseContentRecord(kIno, bytes);
  if (!record) return;
  Require(record->size <= kMaxFileSize && record->data_bytes <= record->recipe_size);
  Require(ValidatePolicy(record->policy).has_value());
  const std::string encoded = EncodeContentRecord(*record);
  const auto again = ParseContentRecord(kIno, encoded);
  Require(again && EncodeContentRecord(*again) == encoded);
}

void FuzzDirtyRow(std::string_view key, std::string_view bytes) {
  const auto row = ParseDirtyRow(key, bytes);
  if (!row) return;
  Require(row->length > 0 && row->offset <= kMaxFileSize - row->length);
  Require(row->data.size() == (row->zeros ? 0 : row->length));
  const std::string encoded =
      EncodeDirtyRow(row->offset, row->length, row->zeros, AsBytes(row->data));
  const auto again = ParseDirtyRow(key, encoded);
  Require(again && again->offset == row->offset && again->length == row->length &&
          again->zeros == row->zeros && again->data == row->data);
}

}  // namespace
}  // namespace dedupfs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dedupfs;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const uint64_t page : {uint64_t{0}, uint64_t{3}, kMaxFileSize / kRecipePageSpan}) {
    FuzzRecipePage(page, bytes);
  }
  (void)ParseRecipePage(kIno, UINT64_MAX, bytes);
  FuzzContentRecord(bytes);
  FuzzDirtyRow(DirtyKey(kIno, 7, 0), bytes);
  // As a key, too, with what is left as the value.
  const size_t key_size = bytes.size() < 20 ? bytes.size() : 20;
  FuzzDirtyRow(bytes.substr(0, key_size), bytes.substr(key_size));
  return 0;
}

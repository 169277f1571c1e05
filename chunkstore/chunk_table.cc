#include "chunkstore/chunk_table.h"

#include <algorithm>

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

// Keys of one MultiGet: bounds the memory that a call over a whole pack takes.
constexpr size_t kKeysAtOnce = 4096;

template <typename Row, typename Key, typename KeyText, typename Parse>
Result<std::vector<Loaded<Row>>> Load(Kv& kv, Family family, std::span<const Key> keys,
                                      KeyText key_text, Parse parse) {
  std::vector<Loaded<Row>> loaded(keys.size());
  for (size_t start = 0; start < keys.size(); start += kKeysAtOnce) {
    const size_t count = std::min(kKeysAtOnce, keys.size() - start);
    std::vector<std::string> texts;
    texts.reserve(count);
    for (size_t i = 0; i < count; ++i) texts.push_back(key_text(keys[start + i]));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    DEDUPFS_ASSIGN_OR_RETURN(const auto values, kv.MultiGet(family, views));
    for (size_t i = 0; i < count; ++i) {
      if (!values[i]) continue;
      auto row = parse(*values[i], keys[start + i]);
      if (row) {
        loaded[start + i].row = *row;
      } else {
        loaded[start + i].damage = std::move(row.error());
      }
    }
  }
  return loaded;
}

}  // namespace

Result<std::vector<Loaded<ChunkRow>>> LoadChunkRows(Kv& kv, std::span<const ChunkId> ids) {
  return Load<ChunkRow, ChunkId>(kv, Family::kChunk, ids, BigU64, ParseChunkRow);
}

Result<std::vector<Loaded<PackRow>>> LoadPackRows(Kv& kv, std::span<const PackId> packs) {
  return Load<PackRow, PackId>(kv, Family::kPack, packs, BigU64, ParsePackRow);
}

Result<std::vector<Loaded<ChunkId>>> LoadFingerprints(Kv& kv,
                                                      std::span<const Fingerprint> fingerprints) {
  const auto key_text = [](const Fingerprint& fingerprint) {
    return std::string(fingerprint.text());
  };
  return Load<ChunkId, Fingerprint>(kv, Family::kFingerprint, fingerprints, key_text,
                                    ParseFingerprintEntry);
}

Result<TotalsRow> LoadTotals(Kv& kv) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv.Get(Family::kMeta, kTotalsKey));
  if (!value) return TotalsRow{};
  return ParseTotalsRow(*value);
}

}  // namespace dedupfs

#include "chunkstore/ingest.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/encode_chunks.h"
#include "chunkstore/fragmentation.h"
#include "chunkstore/ingest_guards.h"

namespace dedupfs {
namespace {

constexpr uint64_t kSliceBytes = 16ull << 20;
constexpr uint64_t kMostCreditBytes = 8ull << 20;
// Listing a pack costs one read of its table of contents: worth it for a run of hits, not for one.
constexpr size_t kLoadAfterHits = 4;

enum class Fate : uint8_t { kUnknown, kHit, kNew, kReplace };

// One content of a slice, however often it is in there.
struct Item {
  Fingerprint fingerprint;
  const StoreRequest* request = nullptr;
  InFlight::EntryPtr claim;
  Fate fate = Fate::kUnknown;
  ChunkId id = 0;   // not 0 once it is pinned
  PackId pack = 0;  // of a hit
};

class Slice {
 public:
  Slice(const IngestParts& parts, RewriteCredit& credit, std::span<const StoreRequest> requests,
        PinGuard& pins)
      : parts_(parts), credit_(credit), requests_(requests), pins_(pins) {}

  Status Run();
  void AppendIds(std::vector<ChunkId>& out) const {
    for (size_t item : item_of_) out.push_back(items_[item].id);
  }

 private:
  void Fold();
  Status FindExisting(std::span<Item* const> mine);
  // Pins the ids and keeps those whose rows are of the item's content; returns the other items.
  Result<std::vector<Item*>> Confirm(std::span<const std::pair<Item*, ChunkId>> guesses);
  void LoadNeighbours(const std::vector<Item*>& found);
  void BoundFragmentation(std::span<Item* const> mine);
  Status WriteRecords(std::span<Item* const> mine);
  Status AppendAll(std::span<Item* const> items, std::span<const EncodedChunk> encoded);

  const IngestParts& parts_;
  RewriteCredit& credit_;
  const std::span<const StoreRequest> requests_;
  PinGuard& pins_;
  std::vector<Item> items_;
  std::vector<size_t> item_of_;  // of each request
};

Status Slice::Run() {
  Fold();
  std::vector<Item*> todo;
  todo.reserve(items_.size());
  for (Item& item : items_) todo.push_back(&item);
  while (!todo.empty()) {
    std::vector<Item*> mine;
    std::vector<Item*> others;
    {
      ClaimGuard claims(parts_.in_flight);
      for (Item* item : todo) {
        const auto claim = parts_.in_flight.Claim(item->fingerprint);
        if (claim.id != 0) pins_.Add(claim.id);
        item->id = claim.id;
        item->pack = claim.pack;
        item->claim = claim.entry;
        if (claim.kind == InFlight::ClaimKind::kOther) others.push_back(item);
        if (claim.kind != InFlight::ClaimKind::kMine) continue;
        claims.Add(claim.entry);
        if (claim.id != 0) item->fate = Fate::kReplace;
        mine.push_back(item);
      }
      DEDUPFS_RETURN_IF_ERROR(FindExisting(mine));
      BoundFragmentation(mine);
      for (Item* item : mine) {
        if (item->fate == Fate::kHit) parts_.in_flight.Release(item->claim);
      }
      DEDUPFS_RETURN_IF_ERROR(WriteRecords(mine));
    }
    for (Item* item : others) parts_.in_flight.Wait(item->claim);
    todo = std::move(others);
  }
  return Ok();
}

void Slice::Fold() {
  std::vector<Fingerprint> fingerprints(requests_.size());
  parts_.pool.ParallelFor((requests_.size() + 1) / 2, [&](size_t pair) {
    const size_t first = 2 * pair;
    if (first + 1 < requests_.size()) {
      FingerprintPair(requests_[first].data, requests_[first + 1].data, fingerprints[first],
                      fingerprints[first + 1]);
    } else {
      fingerprints[first] = FingerprintOf(requests_[first].data);
    }
  });
  std::unordered_map<Fingerprint, size_t, FingerprintHash> known;
  known.reserve(requests_.size());
  items_.reserve(requests_.size());
  item_of_.reserve(requests_.size());
  for (size_t i = 0; i < requests_.size(); ++i) {
    const auto [place, added] = known.try_emplace(fingerprints[i], items_.size());
    if (added) {
      Item item;
      item.fingerprint = fingerprints[i];
      item.request = &requests_[i];
      items_.push_back(std::move(item));
    }
    item_of_.push_back(place->second);
  }
}

Status Slice::FindExisting(std::span<Item* const> mine) {
  std::vector<std::pair<Item*, ChunkId>> guesses;
  std::vector<Item*> unknown;
  for (Item* item : mine) {
    if (item->fate != Fate::kUnknown) continue;
    if (const auto id = parts_.locality.Find(item->fingerprint)) {
      guesses.emplace_back(item, *id);
    } else {
      unknown.push_back(item);
    }
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<Item*> stale, Confirm(guesses));
  unknown.insert(unknown.end(), stale.begin(), stale.end());
  if (unknown.empty()) return Ok();

  std::vector<Fingerprint> fingerprints;
  fingerprints.reserve(unknown.size());
  for (const Item* item : unknown) fingerprints.push_back(item->fingerprint);
  DEDUPFS_ASSIGN_OR_RETURN(const auto ids, LoadFingerprints(parts_.kv, fingerprints));
  guesses.clear();
  for (size_t i = 0; i < unknown.size(); ++i) {
    if (ids[i].damage) LogError("index_damaged", ids[i].damage->message);
    if (ids[i].row) guesses.emplace_back(unknown[i], *ids[i].row);
  }
  DEDUPFS_RETURN_IF_ERROR(Confirm(guesses));
  std::vector<Item*> found;
  for (Item* item : unknown) {
    if (item->fate == Fate::kUnknown) {
      item->fate = Fate::kNew;
    } else {
      found.push_back(item);
    }
  }
  LoadNeighbours(found);
  return Ok();
}

Result<std::vector<Item*>> Slice::Confirm(std::span<const std::pair<Item*, ChunkId>> guesses) {
  std::vector<Item*> wrong;
  if (guesses.empty()) return wrong;
  std::vector<ChunkId> ids;
  ids.reserve(guesses.size());
  for (const auto& [item, id] : guesses) ids.push_back(id);
  // The rows are read after the pins are there: what is pinned now is not dropped any more.
  parts_.in_flight.Pin(ids);
  const auto rows = LoadChunkRows(parts_.kv, ids);
  if (!rows) {
    parts_.in_flight.Unpin(ids);
    return Fail(rows.error());
  }
  std::vector<ChunkId> refused;
  for (size_t i = 0; i < guesses.size(); ++i) {
    Item* const item = guesses[i].first;
    const Loaded<ChunkRow>& loaded = (*rows)[i];
    if (loaded.damage) LogError("index_damaged", loaded.damage->message);
    if (!loaded.row || !(loaded.row->fingerprint == item->fingerprint)) {
      refused.push_back(ids[i]);
      wrong.push_back(item);
      continue;
    }
    pins_.Add(ids[i]);
    item->id = ids[i];
    item->pack = loaded.row->location.pack;
    item->fate = loaded.row->condemned ? Fate::kReplace : Fate::kHit;
  }
  parts_.in_flight.Unpin(refused);
  return wrong;
}

void Slice::LoadNeighbours(const std::vector<Item*>& found) {
  std::unordered_map<PackId, size_t> hits;
  for (const Item* item : found) ++hits[item->pack];
  for (const auto& [pack, count] : hits) {
    if (count < kLoadAfterHits || parts_.locality.Has(pack) || parts_.packs.IsOpen(pack)) continue;
    const auto contents = parts_.packs.List(pack);
    // Listed or not, the pack is not asked for again soon.
    parts_.locality.Insert(pack, contents ? contents->entries : std::vector<PackEntry>{});
  }
}

void Slice::BoundFragmentation(std::span<Item* const> mine) {
  std::vector<bool> movable(items_.size(), false);
  for (const Item* item : mine) {
    movable[static_cast<size_t>(item - items_.data())] = item->fate == Fate::kHit;
  }
  std::vector<PlacedChunk> placed;
  placed.reserve(requests_.size());
  for (size_t i = 0; i < requests_.size(); ++i) {
    const size_t item = item_of_[i];
    if (items_[item].pack == 0 || items_[item].fate == Fate::kReplace) continue;
    placed.push_back({requests_[i].logical_offset, items_[item].pack,
                      static_cast<uint32_t>(requests_[i].data.size()), item, movable[item]});
  }
  const auto spend = [this](uint64_t bytes) { return credit_.Spend(bytes); };
  for (size_t item : ItemsToRewrite(placed, spend)) items_[item].fate = Fate::kReplace;
}

Status Slice::WriteRecords(std::span<Item* const> mine) {
  std::vector<Item*> items;
  std::vector<EncodedChunk> encoded;
  items.reserve(mine.size());
  encoded.reserve(mine.size());
  for (Item* item : mine) {
    if (item->fate != Fate::kNew && item->fate != Fate::kReplace) continue;
    items.push_back(item);
    EncodedChunk& chunk = encoded.emplace_back();
    chunk.data = item->request->data;
    chunk.hint = item->request->hint;
  }
  if (items.empty()) return Ok();
  EncodeChunks(parts_.pool, encoded);
  uint64_t bytes = 0;
  for (const EncodedChunk& chunk : encoded) bytes += kRecordHeaderSize + chunk.stored.size();
  DEDUPFS_RETURN_IF_ERROR(parts_.space.Check(bytes));
  return AppendAll(items, encoded);
}

Status Slice::AppendAll(std::span<Item* const> items, std::span<const EncodedChunk> encoded) {
  const auto is_new = [](const Item* item) { return item->fate == Fate::kNew; };
  const auto new_count = static_cast<uint64_t>(std::count_if(items.begin(), items.end(), is_new));
  ChunkId next = 0;
  if (new_count > 0) {
    DEDUPFS_ASSIGN_OR_RETURN(next, parts_.chunk_ids.NextMany(new_count));
  }
  std::vector<RecordInput> records;
  std::vector<InFlight::Resolution> resolutions;
  records.reserve(items.size());
  resolutions.reserve(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const ChunkId id = is_new(items[i]) ? next++ : items[i]->id;
    InFlight::Resolution resolution{items[i]->claim, id, {}, !is_new(items[i])};
    resolution.row.raw = static_cast<uint32_t>(encoded[i].data.size());
    resolution.row.codec = encoded[i].codec;
    resolution.row.fingerprint = items[i]->fingerprint;
    records.push_back({{id, items[i]->fingerprint, encoded[i].codec, resolution.row.raw,
                        static_cast<uint32_t>(encoded[i].stored.size())},
                       encoded[i].stored});
    resolutions.push_back(std::move(resolution));
  }
  AppendGuard append(parts_.in_flight);
  auto locations = parts_.packs.Append(records);
  if (!locations) {
    parts_.failure.SetUnlessFull(locations.error());
    return Fail(std::move(locations.error()));
  }
  for (size_t i = 0; i < items.size(); ++i) resolutions[i].row.location = (*locations)[i];
  parts_.in_flight.Resolve(resolutions);
  for (size_t i = 0; i < items.size(); ++i) {
    items[i]->id = resolutions[i].id;
    if (!resolutions[i].pinned) pins_.Add(resolutions[i].id);
  }
  return Ok();
}

}  // namespace

void RewriteCredit::Earn(uint64_t stored_bytes) {
  const uint64_t earned = stored_bytes / 50;
  uint64_t credit = credit_bytes_.load();
  while (
      !credit_bytes_.compare_exchange_weak(credit, std::min(credit + earned, kMostCreditBytes))) {
  }
}

bool RewriteCredit::Spend(uint64_t bytes) {
  uint64_t credit = credit_bytes_.load();
  while (credit >= bytes) {
    if (credit_bytes_.compare_exchange_weak(credit, credit - bytes)) return true;
  }
  return false;
}

Result<std::vector<ChunkId>> Ingest::Store(std::span<const StoreRequest> requests,
                                           std::vector<ChunkId>& pinned) {
  PinGuard pins(parts_.in_flight);
  std::vector<ChunkId> ids;
  ids.reserve(requests.size());
  size_t start = 0;
  while (start < requests.size()) {
    size_t end = start;
    uint64_t bytes = 0;
    while (end < requests.size() && (end == start || bytes < kSliceBytes)) {
      const size_t size = requests[end++].data.size();
      if (size == 0 || size > kLargestChunk) {
        return Fail(EINVAL, "a chunk of " + std::to_string(size) + " bytes");
      }
      bytes += size;
    }
    credit_.Earn(bytes);
    Slice slice(parts_, credit_, requests.subspan(start, end - start), pins);
    DEDUPFS_RETURN_IF_ERROR(slice.Run());
    slice.AppendIds(ids);
    start = end;
  }
  const std::vector<ChunkId> kept = pins.Keep();
  pinned.insert(pinned.end(), kept.begin(), kept.end());
  return ids;
}

}  // namespace dedupfs

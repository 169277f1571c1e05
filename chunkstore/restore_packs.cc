#include "chunkstore/restore_packs.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/count_ledger.h"
#include "chunkstore/damage_list.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {
namespace {

constexpr size_t kRowsAtOnce = 4096;

Result<std::unique_ptr<Packs>> OpenToRead(Env& env, const std::string& directory) {
  return Packs::Open(env, directory, []() -> Result<PackId> {
    return Fail(EROFS, "no pack is made while packs are looked at");
  });
}

class PackRestorer {
 public:
  PackRestorer(Kv& kv, Packs& packs, const RestorePacksHooks& hooks, std::vector<PackId> present)
      : kv_(kv), packs_(packs), hooks_(hooks), present_(std::move(present)) {}

  Result<RestoredPacks> Run();

 private:
  bool IsPresent(PackId pack) const {
    return std::binary_search(present_.begin(), present_.end(), pack);
  }
  Status FindMissing();
  Status LookInto(PackId pack);
  Status SetAside(PackId pack);
  Status Compare(PackId pack, std::span<const PackEntry> entries, uint64_t& unknown);
  Status MarkMissing();
  Status WriteRows();

  Kv& kv_;
  Packs& packs_;
  const RestorePacksHooks& hooks_;
  const std::vector<PackId> present_;  // ascending
  std::set<PackId> missing_;           // with a row and without a file
  Batch batch_;
  SumChanges sums_;
  RestoredPacks report_;
};

Status PackRestorer::FindMissing() {
  const auto row = kv_.Iterate(Family::kPack, "", "");
  for (; row->Valid(); row->Next()) {
    if (row->key().size() != sizeof(PackId)) continue;  // check tells
    const PackId pack = ParseBigU64(row->key());
    if (!IsPresent(pack)) missing_.insert(pack);
  }
  return row->status();
}

Status PackRestorer::WriteRows() {
  if (batch_.empty()) return Ok();
  DEDUPFS_RETURN_IF_ERROR(sums_.Put(kv_, batch_));
  DEDUPFS_RETURN_IF_ERROR(kv_.Write(batch_, Durability::kBuffered));
  batch_ = Batch();
  sums_ = SumChanges();
  return Ok();
}

Status PackRestorer::LookInto(PackId pack) {
  const std::vector<PackId> one{pack};
  DEDUPFS_ASSIGN_OR_RETURN(auto rows, LoadPackRows(kv_, one));
  const auto contents = packs_.List(pack);
  if (!contents) {  // its chunks are where the backup says, or check will name them
    LogWarn("pack_not_listed", contents.error().message);
    return rows[0].row ? Ok() : SetAside(pack);
  }
  for (const PackEntry& entry : contents->entries) {
    report_.highest_chunk = std::max(report_.highest_chunk, entry.header.id);
  }
  // As many records as rows: there is nothing in it that the backup did not know.
  if (rows[0].row && contents->entries.size() <= rows[0].row->total_chunks) return Ok();
  uint64_t unknown = 0;
  const std::span<const PackEntry> entries(contents->entries);
  for (size_t at = 0; at < entries.size(); at += kRowsAtOnce) {
    DEDUPFS_RETURN_IF_ERROR(
        Compare(pack, entries.subspan(at, std::min(kRowsAtOnce, entries.size() - at)), unknown));
    DEDUPFS_RETURN_IF_ERROR(WriteRows());
  }
  report_.unknown_chunks += unknown;
  // A pack without a row is removed at the next mount, and its records may be all that there is of
  // what the index believes to be elsewhere.
  DEDUPFS_ASSIGN_OR_RETURN(rows, LoadPackRows(kv_, one));
  return unknown == 0 && rows[0].row ? Ok() : SetAside(pack);
}

Status PackRestorer::SetAside(PackId pack) {
  ++report_.packs_set_aside;
  return hooks_.set_aside ? hooks_.set_aside(pack) : Ok();
}

Status PackRestorer::Compare(PackId pack, std::span<const PackEntry> entries, uint64_t& unknown) {
  std::vector<Fingerprint> fingerprints;
  std::vector<ChunkId> ids;
  fingerprints.reserve(entries.size());
  ids.reserve(entries.size());
  for (const PackEntry& entry : entries) {
    fingerprints.push_back(entry.header.fingerprint);
    ids.push_back(entry.header.id);
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto known, LoadFingerprints(kv_, fingerprints));
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(kv_, ids));
  std::set<ChunkId> moved;
  for (size_t i = 0; i < entries.size(); ++i) {
    const RecordHeader& header = entries[i].header;
    if (!known[i].row) {
      ++unknown;
      continue;
    }
    if (*known[i].row != header.id || !rows[i].row || rows[i].row->raw != header.raw) continue;
    // Gone from where the backup says, or healed since by a record of the same id.
    if (!missing_.contains(rows[i].row->location.pack) && !rows[i].row->condemned) continue;
    if (rows[i].row->location.pack == pack || !moved.insert(header.id).second) continue;
    ChunkRow row = *rows[i].row;
    sums_.Remove(row);
    row.location = {pack, entries[i].offset, header.stored};
    row.codec = header.codec;
    row.condemned = false;
    sums_.Add(row);
    batch_.Put(Family::kChunk, BigU64(header.id), EncodeChunkRow(row));
    DeleteDamage(batch_, header.id);
    ++report_.moved_chunks;
  }
  return Ok();
}

// A new file must not be made of chunks that are gone: a condemned one is not deduplicated against.
Status PackRestorer::MarkMissing() {
  if (missing_.empty()) return Ok();
  const auto entry = kv_.Iterate(Family::kChunk, "", "");
  for (; entry->Valid(); entry->Next()) {
    if (entry->key().size() != sizeof(ChunkId)) continue;
    const ChunkId id = ParseBigU64(entry->key());
    auto row = ParseChunkRow(entry->value(), id);
    if (!row || !missing_.contains(row->location.pack)) continue;
    if (row->refcount == 0) {
      sums_.Remove(*row);
      batch_.Delete(Family::kChunk, entry->key());
      DeleteDamage(batch_, id);
      DEDUPFS_ASSIGN_OR_RETURN(const auto named,
                               LoadFingerprints(kv_, std::span(&row->fingerprint, 1)));
      if (named[0].row && *named[0].row == id) {
        batch_.Delete(Family::kFingerprint, row->fingerprint.text());
      }
      ++report_.dropped_rows;
    } else {
      row->condemned = true;
      batch_.Put(Family::kChunk, entry->key(), EncodeChunkRow(*row));
      PutDamage(batch_, id);
      ++report_.missing_chunks;
    }
    if (batch_.count() >= kRowsAtOnce) DEDUPFS_RETURN_IF_ERROR(WriteRows());
  }
  DEDUPFS_RETURN_IF_ERROR(entry->status());
  return WriteRows();
}

// The row of a pack that holds nothing any more would never go: there is no file to drop.
Status ForgetEmpty(Kv& kv, const std::set<PackId>& missing) {
  SumChanges sums;
  Batch batch;
  for (const PackId pack : missing) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadPackRows(kv, std::span(&pack, 1)));
    if (!rows[0].row || rows[0].row->total_chunks > 0) continue;
    sums.ForgetPack(pack);
  }
  DEDUPFS_RETURN_IF_ERROR(sums.Put(kv, batch));
  return kv.Write(batch, Durability::kBuffered);
}

Result<RestoredPacks> PackRestorer::Run() {
  DEDUPFS_RETURN_IF_ERROR(FindMissing());
  uint64_t done = 0;
  for (const PackId pack : present_) {
    DEDUPFS_RETURN_IF_ERROR(LookInto(pack));
    report_.highest_pack = std::max(report_.highest_pack, pack);
    if (hooks_.progress) hooks_.progress(++done, present_.size());
  }
  DEDUPFS_RETURN_IF_ERROR(MarkMissing());
  DEDUPFS_RETURN_IF_ERROR(ForgetEmpty(kv_, missing_));
  return report_;
}

}  // namespace

Status FindUnknownContent(Env& env, Kv& kv, const std::string& directory,
                          const std::function<void(const UnknownContent&)>& found) {
  const auto names = env.List(directory);
  if (!names) return names.error().code == ENOENT ? Ok() : Status(Fail(names.error()));
  DEDUPFS_ASSIGN_OR_RETURN(const auto packs, OpenToRead(env, directory));
  DEDUPFS_ASSIGN_OR_RETURN(const auto ids, packs->All());
  for (const PackId id : ids) {
    UnknownContent unknown{id, 0, 0, true};
    const auto contents = packs->List(id);
    if (!contents) {  // it may be here because of just that
      found(unknown);
      continue;
    }
    unknown.unreadable = contents->damaged.has_value();
    const std::span<const PackEntry> entries(contents->entries);
    for (size_t at = 0; at < entries.size(); at += kRowsAtOnce) {
      const auto some = entries.subspan(at, std::min(kRowsAtOnce, entries.size() - at));
      std::vector<Fingerprint> fingerprints;
      fingerprints.reserve(some.size());
      for (const PackEntry& entry : some) fingerprints.push_back(entry.header.fingerprint);
      DEDUPFS_ASSIGN_OR_RETURN(const auto known, LoadFingerprints(kv, fingerprints));
      std::vector<ChunkId> holders;
      for (const auto& one : known) holders.push_back(one.row.value_or(0));
      DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(kv, holders));
      for (size_t i = 0; i < some.size(); ++i) {
        if (rows[i].row && !rows[i].row->condemned) continue;
        ++unknown.chunks;
        unknown.bytes += some[i].header.raw;
      }
    }
    found(unknown);
  }
  return Ok();
}

Result<RestoredPacks> RestorePacks(Env& env, Kv& kv, const std::string& directory,
                                   const RestorePacksHooks& hooks) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto packs, OpenToRead(env, directory));
  DEDUPFS_ASSIGN_OR_RETURN(auto present, packs->All());
  return PackRestorer(kv, *packs, hooks, std::move(present)).Run();
}

Status SkipIds(Kv& kv, const std::string& name, uint64_t least, uint64_t skip) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv.Get(Family::kMeta, name));
  uint64_t next = least;
  if (value) {
    Decoder in(*value);
    next = std::max(next, in.U64());
    if (!in.AtEnd()) return Corrupt("reserved range " + name);
  }
  std::string raised;
  PutU64(raised, next + skip);
  Batch batch;
  batch.Put(Family::kMeta, name, raised);
  return kv.Write(batch, Durability::kBuffered);
}

}  // namespace dedupfs

#include "chunkstore/commit_group.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/count_ledger.h"
#include "chunkstore/damage_list.h"

namespace dedupfs {
namespace {

constexpr size_t kGroupBytes = 64u << 20;

}  // namespace

struct CommitGroup::Member {
  enum class Kind { kCommit, kDrop, kMove, kCondemn, kAbsolve, kChange };

  Kind kind = Kind::kCommit;
  Batch batch;
  std::span<const CountChange> changes;
  Durability durability = Durability::kBuffered;
  PackId pack = 0;
  std::span<const ChunkId> ids;
  Location location;
  DropOutcome outcome = DropOutcome::kLive;
  std::span<const ChunkMove> moves;
  MoveOutcome moved;
  const std::function<Result<Batch>()>* make = nullptr;
  Status status;
  bool done = false;  // under mutex_; the rest is the leader's until then
};

CommitGroup::CommitGroup(CommitParts parts) : parts_(std::move(parts)) {}

Status CommitGroup::Commit(Batch batch, std::span<const CountChange> changes,
                           Durability durability) {
  Member member;
  member.batch = std::move(batch);
  member.changes = changes;
  member.durability = durability;
  return Submit(member);
}

Status CommitGroup::Condemn(ChunkId id, const Location& location) {
  Member member;
  member.kind = Member::Kind::kCondemn;
  member.ids = {&id, 1};
  member.location = location;
  return Submit(member);
}

Status CommitGroup::Absolve(ChunkId id, const Location& location) {
  Member member;
  member.kind = Member::Kind::kAbsolve;
  member.ids = {&id, 1};
  member.location = location;
  return Submit(member);
}

Result<DropOutcome> CommitGroup::Drop(PackId pack, std::span<const ChunkId> ids) {
  Member member;
  member.kind = Member::Kind::kDrop;
  member.pack = pack;
  member.ids = ids;
  DEDUPFS_RETURN_IF_ERROR(Submit(member));
  return member.outcome;
}

Result<MoveOutcome> CommitGroup::Move(std::span<const ChunkMove> moves) {
  Member member;
  member.kind = Member::Kind::kMove;
  member.moves = moves;
  DEDUPFS_RETURN_IF_ERROR(Submit(member));
  return member.moved;
}

Status CommitGroup::Change(const std::function<Result<Batch>()>& make, Durability durability) {
  Member member;
  member.kind = Member::Kind::kChange;
  member.make = &make;
  member.durability = durability;
  return Submit(member);
}

Status CommitGroup::Submit(Member& member) {
  MutexLock lock(mutex_);
  queue_.push_back(&member);
  while (!member.done && (leading_ || queue_.front() != &member)) changed_.Wait(lock);
  if (member.done) return member.status;
  leading_ = true;
  const std::vector<Member*> group = TakeGroup();
  lock.Unlock();
  try {
    Run(group);
  } catch (const std::exception& error) {
    // No memory, most likely. Nobody may wait for a leader that is gone.
    const Error failed{EIO, std::string("a commit ended early: ") + error.what()};
    parts_.failure.Set(failed);
    for (Member* one : group) one->status = Fail(failed);
  }
  lock.Lock();
  for (Member* one : group) one->done = true;
  leading_ = false;
  changed_.NotifyAll();
  return member.status;
}

// Takes commits from the front on, or one member of another kind alone.
std::vector<CommitGroup::Member*> CommitGroup::TakeGroup() {
  std::vector<Member*> group;
  size_t bytes = 0;
  while (!queue_.empty() && (group.empty() || bytes < kGroupBytes)) {
    Member* const next = queue_.front();
    if (!group.empty() && next->kind != Member::Kind::kCommit) break;
    queue_.pop_front();
    group.push_back(next);
    bytes += next->batch.size_bytes() + next->changes.size_bytes();
    if (next->kind != Member::Kind::kCommit) break;
  }
  return group;
}

void CommitGroup::Run(std::span<Member* const> group) {
  Status status = parts_.failure.Check();
  Member& first = *group.front();
  if (status) {
    switch (first.kind) {
      case Member::Kind::kCommit:
        status = RunCommits(group);
        break;
      case Member::Kind::kDrop:
        status = RunDrop(first);
        break;
      case Member::Kind::kMove:
        status = RunMove(first);
        break;
      case Member::Kind::kCondemn:
        status = RunMark(first, true);
        break;
      case Member::Kind::kAbsolve:
        status = RunMark(first, false);
        break;
      case Member::Kind::kChange:
        status = RunChange(first);
        break;
    }
  }
  for (Member* member : group) {
    if (!status && member->status) member->status = status;
  }
}

Status CommitGroup::RunCommits(std::span<Member* const> group) {
  std::vector<ChunkId> ids;
  bool rising = false;
  Durability durability = Durability::kBuffered;
  for (const Member* member : group) {
    if (member->durability == Durability::kSynced) durability = Durability::kSynced;
    for (const CountChange& change : member->changes) {
      ids.push_back(change.id);
      rising = rising || change.delta > 0;
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());

  // Before the sync: a record that is appended after the sync began must not be named.
  const auto pending = parts_.in_flight.Collect(ids);
  if (rising || !pending.empty()) DEDUPFS_RETURN_IF_ERROR(SyncPacks());
  DEDUPFS_ASSIGN_OR_RETURN(CountLedger ledger, CountLedger::Load(parts_.kv, ids, pending));
  Batch merged;
  for (Member* member : group) {
    member->status = ledger.Apply(member->changes);
    if (member->status) merged.Append(member->batch);
  }
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<PackId> died, ledger.Put(merged));
  DEDUPFS_RETURN_IF_ERROR(Write(merged, durability));
  parts_.in_flight.MarkCommitted(ledger.Written());
  NoteHealed(ledger.Healed());
  if (parts_.often_used_above > 0) {
    parts_.became_often_used(ledger.RoseAbove(parts_.often_used_above));
  }
  for (PackId pack : died) parts_.pack_died(pack);
  return Ok();
}

Status CommitGroup::RunDrop(Member& member) {
  const PackId pack = member.pack;
  DEDUPFS_ASSIGN_OR_RETURN(const auto pack_rows, LoadPackRows(parts_.kv, {&pack, 1}));
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, member.ids));
  Batch batch;
  SumChanges sums;
  std::vector<ChunkId> dead;
  std::vector<Fingerprint> fingerprints;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].damage) return Fail(*rows[i].damage);
    if (!rows[i].row || rows[i].row->location.pack != pack) continue;
    if (rows[i].row->refcount > 0) {
      member.outcome = DropOutcome::kLive;
      return Ok();
    }
    dead.push_back(member.ids[i]);
    fingerprints.push_back(rows[i].row->fingerprint);
    sums.Remove(*rows[i].row);
    batch.Delete(Family::kChunk, BigU64(member.ids[i]));
    if (rows[i].row->condemned) DeleteDamage(batch, member.ids[i]);
  }
  const uint64_t counted = pack_rows[0].row ? pack_rows[0].row->total_chunks : 0;
  if (pack_rows[0].damage || dead.size() != counted) {
    member.outcome = DropOutcome::kUnaccounted;
    return Ok();
  }
  DEDUPFS_RETURN_IF_ERROR(DropCopiesOf(parts_.kv, dead, batch));
  DEDUPFS_ASSIGN_OR_RETURN(const auto entries, LoadFingerprints(parts_.kv, fingerprints));
  for (size_t i = 0; i < entries.size(); ++i) {
    // A fingerprint that was stored again under another id keeps that one.
    if (entries[i].row != dead[i]) continue;
    batch.Delete(Family::kFingerprint, fingerprints[i].text());
  }
  if (pack_rows[0].row) {
    sums.ForgetPack(pack);
    DEDUPFS_RETURN_IF_ERROR(sums.Put(parts_.kv, batch));
  }
  // Also where there was no row: the file goes next, so that its loss of a row must be durable.
  DEDUPFS_RETURN_IF_ERROR(Write(batch, Durability::kSynced));
  member.outcome = DropOutcome::kDropped;
  return Ok();
}

Status CommitGroup::RunMove(Member& member) {
  DEDUPFS_RETURN_IF_ERROR(SyncPacks());
  std::vector<ChunkId> ids;
  ids.reserve(member.moves.size());
  for (const ChunkMove& move : member.moves) ids.push_back(move.id);
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
  Batch batch;
  SumChanges sums;
  MoveOutcome moved;
  for (size_t i = 0; i < rows.size(); ++i) {
    const ChunkMove& move = member.moves[i];
    if (!rows[i].row || !(rows[i].row->location == move.from)) continue;
    ChunkRow row = *rows[i].row;
    // A dead chunk goes with its old pack; a damaged one must not be taken for good.
    if (row.condemned || row.refcount == 0) continue;
    sums.Remove(row);
    row.location = move.to;
    row.codec = move.codec;
    sums.Add(row);
    batch.Put(Family::kChunk, BigU64(move.id), EncodeChunkRow(row));
    ++moved.chunks;
    moved.bytes_before += move.from.stored;
    moved.bytes_after += move.to.stored;
  }
  if (moved.chunks == 0) return Ok();
  DEDUPFS_ASSIGN_OR_RETURN(const std::vector<PackId> died, sums.Put(parts_.kv, batch));
  DEDUPFS_RETURN_IF_ERROR(Write(batch, Durability::kBuffered));
  member.moved = moved;
  for (PackId pack : died) parts_.pack_died(pack);
  return Ok();
}

Status CommitGroup::RunMark(const Member& member, bool condemned) {
  const ChunkId id = member.ids.front();
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&id, 1}));
  if (rows[0].damage) return Fail(*rows[0].damage);
  if (!rows[0].row || !(rows[0].row->location == member.location)) return Ok();
  ChunkRow row = *rows[0].row;
  if (!condemned && !row.condemned) return Ok();
  row.condemned = condemned;
  Batch batch;
  batch.Put(Family::kChunk, BigU64(id), EncodeChunkRow(row));
  // Also where the mark is there already: a store of an older program has marks that are not
  // listed.
  if (condemned) {
    PutDamage(batch, id);
  } else {
    DeleteDamage(batch, id);
  }
  DEDUPFS_RETURN_IF_ERROR(Write(batch, Durability::kBuffered));
  if (!condemned) NoteHealed({&id, 1});
  return Ok();
}

Status CommitGroup::RunChange(const Member& member) {
  DEDUPFS_ASSIGN_OR_RETURN(const Batch batch, (*member.make)());
  return Write(batch, member.durability);
}

void CommitGroup::NoteHealed(std::span<const ChunkId> ids) {
  healed_.fetch_add(ids.size());
  for (const ChunkId id : ids) LogInfo("chunk_healed", "chunk=" + std::to_string(id));
}

Status CommitGroup::SyncPacks() {
  Status synced = parts_.packs.Sync();
  if (!synced) parts_.failure.Set(synced.error());
  return synced;
}

Status CommitGroup::Write(const Batch& batch, Durability durability) {
  Status written;
  if (!batch.empty()) {
    written = parts_.kv.Write(batch, durability);
  } else if (durability == Durability::kSynced) {
    written = parts_.kv.SyncLog();
  }
  if (!written) parts_.failure.Set(written.error());
  return written;
}

}  // namespace dedupfs

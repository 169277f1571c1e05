#include "chunkstore/chunk_store.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "chunkstore/base/idle_cores.h"
#include "chunkstore/base/log.h"
#include "chunkstore/chunk_cache.h"
#include "chunkstore/chunk_reader.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/commit_group.h"
#include "chunkstore/copy_maker.h"
#include "chunkstore/copy_rescue.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/damage_list.h"
#include "chunkstore/failure_latch.h"
#include "chunkstore/id_range.h"
#include "chunkstore/in_flight.h"
#include "chunkstore/ingest.h"
#include "chunkstore/locality_cache.h"
#include "chunkstore/packs/packs.h"
#include "chunkstore/reclaim.h"
#include "chunkstore/rewriter.h"
#include "chunkstore/scrub_copies.h"
#include "chunkstore/scrubber.h"
#include "chunkstore/space_guard.h"
#include "chunkstore/store_check.h"

namespace dedupfs {
namespace {

constexpr uint64_t kChunkIdsAtOnce = 65536;
constexpr uint64_t kPackIdsAtOnce = 16;
constexpr uint64_t kLocalityBytes = 32ull << 20;

ChunkInfo InfoOf(ChunkId id, const ChunkRow& row) {
  return {id, row.location, row.raw, row.refcount, row.condemned, row.fingerprint};
}

// A file of the store that is gone, or no descriptor left to open it, is an error of the disk to
// those above: passed on as it is, it would read as an answer about their file or their process.
template <typename R>
R AsDiskError(R result) {
  if (result) return result;
  switch (result.error().code) {
    case ENOMEM:
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EINVAL:
    case ERANGE:
      return result;
    default:
      result.error().code = EIO;
      return result;
  }
}

// Of the reader ENOENT is an answer: there is no such chunk.
Status FromReader(Status read) {
  if (!read && read.error().code == ENOENT) return read;
  return AsDiskError(std::move(read));
}

}  // namespace

Pins::Pins(Pins&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), ids_(std::exchange(other.ids_, {})) {}

Pins& Pins::operator=(Pins&& other) noexcept {
  if (this == &other) return *this;
  if (store_ != nullptr) store_->Unpin(ids_);
  store_ = std::exchange(other.store_, nullptr);
  ids_ = std::exchange(other.ids_, {});
  return *this;
}

Pins::~Pins() {
  if (store_ != nullptr) store_->Unpin(ids_);
}

void Pins::Merge(Pins other) {
  if (store_ == nullptr) {
    *this = std::move(other);
    return;
  }
  ids_.insert(ids_.end(), other.ids_.begin(), other.ids_.end());
  other.ids_.clear();
}

// Members are destroyed from the last to the first: reclaiming ends before what it uses.
struct ChunkStore::Parts {
  Parts(Env& env_in, Kv& kv_in, ThreadPool& pool_in, const std::string& directory,
        const ChunkStoreOptions& options_in)
      : env(env_in),
        pack_directory(directory),
        kv(kv_in),
        pool(pool_in),
        options(options_in),
        chunk_ids(kv_in, "chunk_ids", kChunkIdsAtOnce, 1),
        pack_ids(kv_in, "pack_ids", kPackIdsAtOnce, 1),
        locality(kLocalityBytes),
        cache(options_in.chunk_cache_bytes),
        space(env_in, directory, options_in.reserve_bytes) {}

  // A number is reserved durably before a pack gets it. So one that was never given tells that the
  // database is of an earlier time than the packs: what it does not name must not be reclaimed.
  Status CheckPackNumbers(Packs& opened) {
    DEDUPFS_ASSIGN_OR_RETURN(const uint64_t end, pack_ids.EndOfGiven());
    DEDUPFS_ASSIGN_OR_RETURN(const std::vector<PackId> all, opened.All());
    if (all.empty() || all.back() < end) return Ok();
    return Fail(EIO, pack_directory + "/" + PackFileName(all.back()) +
                         ": the database has lost its newest changes, it knows of no such pack "
                         "(`dedupfs check --repair` tells what can be saved)");
  }

  // Leaves `copies` empty where there are none and none are wanted.
  Status OpenCopies() {
    const std::string& directory = options.copy_directory;
    if (directory.empty()) return Ok();
    const auto there = env.List(directory);
    if (!there && there.error().code != ENOENT) return Fail(there.error());
    if (!there) {
      if (options.extra_copy_references == 0 || options.read_only) return Ok();
      DEDUPFS_RETURN_IF_ERROR(env.MakeDir(directory));
      DEDUPFS_RETURN_IF_ERROR(env.SyncDir(directory.substr(0, directory.rfind('/') + 1)));
    }
    DEDUPFS_ASSIGN_OR_RETURN(copies,
                             Packs::Open(env, directory, [this] { return pack_ids.Next(); }));
    return Ok();
  }

  void Connect(std::unique_ptr<Packs> opened) {
    packs = std::move(opened);
    ingest = std::make_unique<Ingest>(
        IngestParts{kv, *packs, pool, in_flight, locality, space, chunk_ids, failure});
    const auto pack_died = [this](PackId pack) { reclaim->Suspect(pack); };
    commits = std::make_unique<CommitGroup>(CommitParts{
        kv, *packs, in_flight, failure, pack_died, copies ? options.extra_copy_references : 0,
        [this](std::span<const ChunkId> ids) { NoteCopiesToMake(ids); }});
    rescue = std::make_unique<CopyRescue>(RescueParts{
        kv, *packs, copies.get(), in_flight, space, *commits, failure, options.read_only,
        [this]() -> Status {
          DEDUPFS_RETURN_IF_ERROR(env.Space(pack_directory));
          return Ok();
        },
        pack_died});
    reader = std::make_unique<ChunkReader>(ReaderParts{
        kv, *packs, pool, in_flight, cache,
        [this](ChunkId id, const Location& location) { TryToCondemn(id, location); },
        [this](ChunkId id, const ChunkRow& row) -> Result<Buffer> {
          DEDUPFS_ASSIGN_OR_RETURN(CopyRescue::Rescued rescued, rescue->Rescue(id, row));
          return std::move(rescued.raw);
        }});
    reclaim = std::make_unique<Reclaimer>(
        ReclaimParts{kv, *packs, in_flight, locality, cache, *commits, failure});
    rewriter = std::make_unique<Rewriter>(
        RewriteParts{kv, *packs, pool, space, *commits, failure,
                     [this](ChunkId id, const Location& location) { CondemnAndHeal(id, location); },
                     options.cold_zstd_level},
        *reclaim, options.recompress_after_quiet, options.idle_share ? options.idle_share : [this] {
          return idle_cores.ShareSinceLastAsked();
        });
    scrubber = std::make_unique<Scrubber>(
        ScrubParts{kv, *packs, failure,
                   [this](ChunkId id, const Location& location) { return Condemn(id, location); },
                   [this](ChunkId id, const Location& location) { Absolve(id, location); },
                   [this](ChunkId id, const ChunkRow& row) {
                     if (HealFromCopy(id, row)) scrubber->NoteCopies(1, 0);
                   },
                   [this](const std::function<bool(uint64_t)>& go_on) -> Result<bool> {
                     return VerifyCopies(go_on);
                   }});
    if (!copies) return;
    maker = std::make_unique<CopyMaker>(
        MakerParts{kv, *packs, *copies, space, *commits, *reclaim, *rescue,
                   [this](ChunkId id, const Location& location) { CondemnAndHeal(id, location); },
                   options.extra_copy_references});
  }

  void Start() {
    reclaim->Start();
    if (!options.recompress && !maker) return;
    Rewriter::OtherWork make_copies;
    if (maker) {
      make_copies = [this](const std::function<bool()>& cancelled) {
        CopyReport report;
        return maker->Slice(report, cancelled);
      };
    }
    rewriter->Start(options.recompress, std::move(make_copies));
  }

  Status Condemn(ChunkId id, const Location& location) {
    // Where the directory itself is gone (the store was moved, the disk unplugged), nothing is
    // known of any chunk.
    DEDUPFS_RETURN_IF_ERROR(env.Space(pack_directory));
    in_flight.Condemn(id, location);
    DEDUPFS_RETURN_IF_ERROR(Writable());
    return commits->Condemn(id, location);
  }

  // Best effort: the damage was logged, and without the mark the next read finds it again.
  void TryToCondemn(ChunkId id, const Location& location) {
    const Status marked = Condemn(id, location);
    if (!marked && marked.error().code != EROFS) {
      LogWarn("condemn_failed", marked.error().message);
    }
  }

  // False where there is no whole copy, or no way to write a record now.
  bool HealFromCopy(ChunkId id, const ChunkRow& row) {
    const auto rescued = rescue->Rescue(id, row);
    return rescued && rescued->healed;
  }

  void CondemnAndHeal(ChunkId id, const Location& location) {
    TryToCondemn(id, location);
    const auto rows = LoadChunkRows(kv, {&id, 1});
    if (rows && (*rows)[0].row && (*rows)[0].row->location == location) {
      HealFromCopy(id, *(*rows)[0].row);
    }
  }

  // In this order: the thread, which may have found nothing to do just now, looks again after it.
  void NoteCopiesToMake(std::span<const ChunkId> ids) {
    if (ids.empty()) return;
    maker->NoteOftenUsed(ids);
    rewriter->NoteUse();
  }

  Result<bool> VerifyCopies(const std::function<bool(uint64_t)>& go_on) {
    if (!copies) return true;
    return ScrubCopies({kv, *copies, *rescue,
                        [this](std::span<const ChunkId> ids) {
                          scrubber->NoteCopies(0, ids.size());
                          NoteCopiesToMake(ids);
                        }},
                       go_on);
  }

  void Absolve(ChunkId id, const Location& location) {
    const Status absolved = commits->Absolve(id, location);
    if (!absolved) LogWarn("absolve_failed", absolved.error().message);
  }

  Status Writable() const {
    if (options.read_only) return Fail(EROFS, "the store is open read-only");
    return Failure();
  }

  Status Failure() const {
    DEDUPFS_RETURN_IF_ERROR(failure.Check());
    return kv.Failure();
  }

  Env& env;
  const std::string pack_directory;
  Kv& kv;
  ThreadPool& pool;
  const ChunkStoreOptions options;
  FailureLatch failure;
  IdRange chunk_ids;
  IdRange pack_ids;
  InFlight in_flight;
  LocalityCache locality;
  ChunkCache cache;
  SpaceGuard space;
  IdleCores idle_cores;
  std::unique_ptr<Packs> packs;
  std::unique_ptr<Packs> copies;  // null: there are none and none are wanted
  std::unique_ptr<Ingest> ingest;
  std::unique_ptr<CommitGroup> commits;
  std::unique_ptr<CopyRescue> rescue;
  std::unique_ptr<ChunkReader> reader;
  std::unique_ptr<Reclaimer> reclaim;
  std::unique_ptr<CopyMaker> maker;  // where there are packs of copies
  std::unique_ptr<Rewriter> rewriter;
  std::unique_ptr<Scrubber> scrubber;
};

ChunkStore::ChunkStore(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<ChunkStore>> ChunkStore::Open(Env& env, Kv& kv, ThreadPool& pool,
                                                     std::string pack_directory,
                                                     const ChunkStoreOptions& options) {
  auto parts = std::make_unique<Parts>(env, kv, pool, pack_directory, options);
  Parts* const raw = parts.get();
  DEDUPFS_ASSIGN_OR_RETURN(auto packs, Packs::Open(env, std::move(pack_directory),
                                                   [raw] { return raw->pack_ids.Next(); }));
  DEDUPFS_RETURN_IF_ERROR(parts->CheckPackNumbers(*packs));
  DEDUPFS_RETURN_IF_ERROR(parts->OpenCopies());
  parts->Connect(std::move(packs));
  if (!options.read_only) parts->Start();
  return std::unique_ptr<ChunkStore>(new ChunkStore(std::move(parts)));
}

ChunkStore::~ChunkStore() {
  parts_->scrubber->Stop();
  parts_->reclaim->Stop();  // first: the rewriter may wait for the turn of a long pass
  parts_->rewriter->Stop();
  if (!parts_->Writable()) return;
  const Status sealed = parts_->packs->SealOpen();
  if (!sealed) LogWarn("seal_failed", sealed.error().message);
  if (!parts_->copies) return;
  const Status copies_sealed = parts_->copies->SealOpen();
  if (!copies_sealed) LogWarn("seal_failed", copies_sealed.error().message);
}

Result<std::vector<ChunkId>> ChunkStore::Store(std::span<const StoreRequest> requests, Pins& pins) {
  DEDUPFS_RETURN_IF_ERROR(parts_->Writable());
  parts_->rewriter->NoteUse();
  Pins taken;
  taken.store_ = this;
  DEDUPFS_ASSIGN_OR_RETURN(auto ids, AsDiskError(parts_->ingest->Store(requests, taken.ids_)));
  pins.Merge(std::move(taken));
  return ids;
}

Status ChunkStore::Pin(std::span<const ChunkId> ids, Pins& pins) {
  parts_->in_flight.Pin(ids);
  Pins taken;
  taken.store_ = this;
  taken.ids_.assign(ids.begin(), ids.end());
  // Uncommitted ones first: what is not there any more has reached the database.
  const auto pending = parts_->in_flight.Collect(ids);
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_->kv, ids));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (rows[i].row || pending.count(ids[i]) > 0) continue;
    if (rows[i].damage) return Fail(*rows[i].damage);
    return Fail(ENOENT, "there is no chunk " + std::to_string(ids[i]));
  }
  pins.Merge(std::move(taken));
  return Ok();
}

void ChunkStore::Unpin(std::span<const ChunkId> ids) { parts_->in_flight.Unpin(ids); }

Status ChunkStore::Read(ChunkId id, uint32_t offset, MutableBytes out) {
  return FromReader(parts_->reader->Read(id, offset, out));
}

Status ChunkStore::ReadMany(std::span<const ReadItem> items) {
  return FromReader(parts_->reader->ReadMany(items));
}

Status ChunkStore::Commit(Batch batch, std::span<const CountChange> changes,
                          Durability durability) {
  DEDUPFS_RETURN_IF_ERROR(parts_->Writable());
  parts_->rewriter->NoteUse();
  return AsDiskError(parts_->commits->Commit(std::move(batch), changes, durability));
}

Status ChunkStore::SyncLog() {
  DEDUPFS_RETURN_IF_ERROR(parts_->Failure());
  if (parts_->options.read_only) return Ok();
  Status synced = parts_->kv.SyncLog();
  if (!synced) parts_->failure.Set(synced.error());
  return synced;
}

Status ChunkStore::Failure() const { return parts_->Failure(); }

Result<StoreStats> ChunkStore::Stats() {
  DEDUPFS_ASSIGN_OR_RETURN(const TotalsRow totals, LoadTotals(parts_->kv));
  StoreStats stats;
  stats.logical_bytes = totals.logical_bytes;
  stats.unique_bytes = totals.unique_bytes;
  stats.stored_bytes = totals.stored_bytes;
  stats.chunks = totals.chunks;
  stats.dead_stored_bytes = totals.dead_stored_bytes;
  stats.dead_chunks = totals.dead_chunks;
  stats.packs = totals.packs;
  DEDUPFS_ASSIGN_OR_RETURN(stats.pack_bytes, parts_->packs->TotalBytes());
  DEDUPFS_ASSIGN_OR_RETURN(stats.metadata_bytes, parts_->kv.DiskBytes());
  DEDUPFS_ASSIGN_OR_RETURN(stats.damaged_chunks, CountDamage(parts_->kv));
  stats.healed_chunks = parts_->commits->healed();
  if (parts_->copies) {
    DEDUPFS_ASSIGN_OR_RETURN(const CopySums copies, SumCopies(parts_->kv));
    stats.copy_chunks = copies.chunks;
    stats.copy_stored_bytes = copies.stored_bytes;
    DEDUPFS_ASSIGN_OR_RETURN(stats.copy_pack_bytes, parts_->copies->TotalBytes());
  }
  return stats;
}

Result<std::vector<std::optional<ChunkInfo>>> ChunkStore::Lookup(std::span<const ChunkId> ids) {
  const auto pending = parts_->in_flight.Collect(ids);
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_->kv, ids));
  std::vector<std::optional<ChunkInfo>> infos(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto uncommitted = pending.find(ids[i]);
    if (rows[i].row) {
      infos[i] = InfoOf(ids[i], *rows[i].row);
    } else if (uncommitted != pending.end()) {
      infos[i] = InfoOf(ids[i], uncommitted->second.row);
    }
  }
  return infos;
}

Result<uint64_t> ChunkStore::Reclaim(const WorkProgress& progress) {
  DEDUPFS_RETURN_IF_ERROR(parts_->Writable());
  DEDUPFS_ASSIGN_OR_RETURN(uint64_t freed_bytes, parts_->reclaim->Everything(progress));
  if (parts_->maker) {
    DEDUPFS_ASSIGN_OR_RETURN(const uint64_t of_copies, AsDiskError(parts_->maker->Reclaim()));
    freed_bytes += of_copies;
  }
  return freed_bytes;
}

Result<RewriteReport> ChunkStore::Recompress(const std::function<bool()>& cancelled,
                                             const WorkProgress& progress) {
  DEDUPFS_RETURN_IF_ERROR(parts_->Writable());
  return parts_->rewriter->Everything(cancelled, progress);
}

Result<CopyReport> ChunkStore::MakeCopies(const std::function<bool()>& cancelled,
                                          const WorkProgress& progress) {
  DEDUPFS_RETURN_IF_ERROR(parts_->Writable());
  if (!parts_->maker || parts_->options.extra_copy_references == 0) {
    return Fail(EINVAL, "extra copies are not switched on: extra_copy_references is 0");
  }
  DEDUPFS_ASSIGN_OR_RETURN(const TotalsRow totals, LoadTotals(parts_->kv));
  return AsDiskError(
      parts_->maker->Everything(cancelled, {progress, totals.chunks + totals.dead_chunks}));
}

Result<CopyReport> ChunkStore::DropCopies(const std::function<bool()>& cancelled,
                                          const WorkProgress& progress) {
  DEDUPFS_RETURN_IF_ERROR(parts_->Writable());
  if (!parts_->maker) return CopyReport{};
  DEDUPFS_ASSIGN_OR_RETURN(const CopySums copies, SumCopies(parts_->kv));
  return AsDiskError(parts_->maker->DropAll(cancelled, {progress, copies.chunks}));
}

Status ChunkStore::Check(const CheckHooks& hooks) {
  const Reclaimer::Turn turn(*parts_->reclaim);
  return CheckStore({parts_->kv, *parts_->packs, parts_->pool, parts_->copies.get()}, hooks);
}

Status ChunkStore::StartScrub(const ScrubOptions& options) {
  DEDUPFS_RETURN_IF_ERROR(parts_->Writable());
  return parts_->scrubber->Start(options);
}

void ChunkStore::CancelScrub() { parts_->scrubber->Cancel(); }

Result<ScrubStatus> ChunkStore::WaitForScrub(std::chrono::milliseconds time) {
  return parts_->scrubber->Wait(time);
}

Result<std::vector<ChunkId>> ChunkStore::DamagedChunks(ChunkId after, size_t limit) {
  return ListDamage(parts_->kv, after, limit);
}

Status ChunkStore::CheckSpace(uint64_t bytes) { return AsDiskError(parts_->space.Check(bytes)); }

}  // namespace dedupfs

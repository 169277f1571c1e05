#include "fs/repair.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/draft_files.h"
#include "chunkstore/base/kv_salvage.h"
#include "chunkstore/base/thread_pool.h"
#include "chunkstore/index_repair.h"
#include "fs/content/content_check.h"
#include "fs/content/content_repair.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_repair.h"
#include "fs/repair_exchange.h"
#include "fs/repair_unnamed.h"
#include "fs/store_directory.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

constexpr uint64_t kCacheBytes = 64 << 20;
constexpr uint64_t kMemtableBytes = 32 << 20;
constexpr size_t kExamples = 100;
// How far numbers jump where nobody knows which were given: further than any store has gone.
constexpr uint64_t kUnknownNumbers = uint64_t{1} << 32;

bool Concerns(const SalvageGap& gap, std::initializer_list<Family> families) {
  return !gap.family || std::find(families.begin(), families.end(), *gap.family) != families.end();
}

class Repairer {
 public:
  Repairer(std::unique_ptr<StoreDirectory> store, const RepairHooks& hooks)
      : store_(std::move(store)),
        hooks_(hooks),
        pool_("repair", std::max(1U, std::thread::hardware_concurrency())) {}

  Result<RepairReport> Run(bool apply);

 private:
  std::string Path(const std::string& name) const { return store_->path() + "/" + name; }
  Status Step(const std::string& name) {
    if (hooks_.progress) hooks_.progress(name, 0, 0);
    Status status = hooks_.before_step ? hooks_.before_step(name) : Ok();
    ended_ = !status;
    DEDUPFS_RETURN_IF_ERROR(status);
    return report_.applied ? Ok() : draft_.failure();
  }
  void Mend(const std::string& kind, const std::string& what);
  void Lose(Ino ino, const std::string& what);
  Status Work(bool apply);
  Status Salvage();
  Status Build();
  // Of the tables that are there, at least.
  bool OnlyListIsLost() const { return tables_unlisted_ && gaps_.size() == 1; }
  bool ChunkRowsKnown() const;
  bool RowsAgree() const;
  Status NoteOlderDatabase(const IndexRepair& index);
  void NameGap(const SalvageGap& gap);
  bool RecipesMayBeLost(const ContentRepair& content) const;
  bool NumbersUnknown() const;
  Result<uint64_t> Counter(const std::string& name, uint64_t seen, bool& changed);
  Status PutCounter(const std::string& name, uint64_t value, bool changed);
  void RemoveScratch();
  Status SetPacksAside();
  Status Replace();

  const std::unique_ptr<StoreDirectory> store_;
  const RepairHooks& hooks_;
  ThreadPool pool_;
  const DraftFiles draft_;       // of both databases
  std::unique_ptr<Kv> kv_;       // the new database
  std::unique_ptr<Kv> scratch_;  // what the packs hold
  std::vector<SalvageGap> gaps_;
  bool tables_unlisted_ = false;  // of the old database
  std::vector<PackId> unreadable_packs_;
  std::unique_ptr<Namespace> paths_;
  RepairReport report_;
  bool ended_ = false;  // by the hook: nothing is tidied up then, as after a kill
};

void Repairer::Mend(const std::string& kind, const std::string& what) {
  auto found = std::find_if(report_.mended.begin(), report_.mended.end(),
                            [&](const RepairReport::Kind& known) { return known.name == kind; });
  if (found == report_.mended.end()) {
    report_.mended.push_back({kind, 0, {}});
    found = std::prev(report_.mended.end());
  }
  ++found->count;
  if (!what.empty() && found->examples.size() < kExamples) found->examples.push_back(what);
}

void Repairer::Lose(Ino ino, const std::string& what) {
  ++report_.losses;
  if (!hooks_.lost) return;
  if (ino == 0) {
    hooks_.lost(what);
    return;
  }
  const std::string path = paths_ ? paths_->PathOf(ino) : "inode " + std::to_string(ino);
  hooks_.lost(path + ": " + what);
}

Status Repairer::Salvage() {
  DEDUPFS_RETURN_IF_ERROR(Step("reading the database"));
  KvOptions options;
  options.block_cache_bytes = kCacheBytes;
  options.memtable_bytes = kMemtableBytes;
  options.file_system = draft_.file_system();
  DEDUPFS_ASSIGN_OR_RETURN(const std::string source, DatabaseToRepair(*store_));
  DEDUPFS_ASSIGN_OR_RETURN(
      auto salvage, SalvageDatabase(source, Path("db.repair-old"), Path("db.repair"), options));
  kv_ = std::move(salvage.kv);
  gaps_ = std::move(salvage.gaps);
  tables_unlisted_ = salvage.tables_unlisted;
  report_.database_damaged = !salvage.whole || source != store_->database();
  std::error_code code;
  files::remove_all(Path("db.repair-index"), code);
  options.create = true;
  DEDUPFS_ASSIGN_OR_RETURN(scratch_, Kv::Open(Path("db.repair-index"), options));
  return Ok();
}

bool Repairer::NumbersUnknown() const {
  return std::any_of(gaps_.begin(), gaps_.end(),
                     [](const SalvageGap& gap) { return Concerns(gap, {Family::kMeta}); });
}

// The first number that was surely never given. `seen`: the highest that anything names.
Result<uint64_t> Repairer::Counter(const std::string& name, uint64_t seen, bool& changed) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv_->Get(Family::kMeta, name));
  uint64_t number = 0;
  if (value) {
    Decoder in(*value);
    number = in.U64();
    if (!in.AtEnd()) number = 0;
  }
  const bool unknown = (number == 0 && seen > 0) || NumbersUnknown();
  changed = number <= seen && seen > 0;
  number = std::max(number, seen + 1);
  if (!unknown) return number;
  changed = true;
  return number + kUnknownNumbers;
}

Status Repairer::PutCounter(const std::string& name, uint64_t value, bool changed) {
  if (!changed) return Ok();
  Mend(NamespaceRepair::kNumbers, name);
  std::string text;
  PutU64(text, value);
  Batch batch;
  batch.Put(Family::kMeta, name, text);
  return kv_->Write(batch, Durability::kBuffered);
}

bool Repairer::RecipesMayBeLost(const ContentRepair& content) const {
  const bool rows_lost = std::any_of(gaps_.begin(), gaps_.end(), [](const SalvageGap& gap) {
    return Concerns(gap, {Family::kContent, Family::kRecipe, Family::kInode});
  });
  return rows_lost || content.recipes_lost();
}

bool Repairer::ChunkRowsKnown() const {
  return OnlyListIsLost() || std::none_of(gaps_.begin(), gaps_.end(), [](const SalvageGap& gap) {
           return Concerns(gap, {Family::kChunk});
         });
}

// Counts, sums, names, links, recipes and packs are as each other tells, so no row of them is gone.
bool Repairer::RowsAgree() const {
  return std::all_of(
      report_.mended.begin(), report_.mended.end(),
      [](const RepairReport::Kind& kind) { return kind.name == NamespaceRepair::kNumbers; });
}

// A number is reserved durably before a pack gets it: a pack that no row names, with one that never
// was, is later than all that the database holds.
Status Repairer::NoteOlderDatabase(const IndexRepair& index) {
  const std::vector<PackId>& unreadable = index.unreadable_packs();
  const PackId last_pack = index.last_pack();
  const bool holds_records = last_pack != 0 && std::find(unreadable.begin(), unreadable.end(),
                                                         last_pack) == unreadable.end();
  if (!holds_records || !gaps_.empty()) return Ok();
  DEDUPFS_ASSIGN_OR_RETURN(const auto reserved, kv_->Get(Family::kMeta, "pack_ids"));
  DEDUPFS_ASSIGN_OR_RETURN(const auto row, kv_->Get(Family::kPack, BigU64(last_pack)));
  if (row || (reserved && Decoder(*reserved).U64() > last_pack)) return Ok();
  // Where the numbers are lost with the index, recipes that are there tell that it is the index
  // alone.
  if (!reserved && kv_->Iterate(Family::kRecipe, "", "")->Valid()) return Ok();
  gaps_.push_back({std::nullopt, "", "", "it is older than pack " + std::to_string(last_pack)});
  return Ok();
}

void Repairer::NameGap(const SalvageGap& gap) {
  if (OnlyListIsLost() && RowsAgree()) {
    Lose(0, "the database: " + gap.what +
                ". Each table that is there is whole, and all rows agree"
                " with each other: unless a table is missing too, nothing is lost");
    return;
  }
  const std::string family = gap.family ? std::string(FamilyName(*gap.family)) : "any kind";
  Lose(0, "the database: rows of " + family + " may be lost: " + gap.what);
  if (gap.family && !Concerns(gap, {Family::kInode, Family::kContent, Family::kRecipe,
                                    Family::kDirty, Family::kXattr, Family::kDentry})) {
    return;
  }
  // The inode of the last key counts too: keys go on after its number.
  const std::string from = gap.from.substr(0, sizeof(Ino));
  const auto rows = kv_->Iterate(Family::kInode, from, "");
  for (; rows->Valid(); rows->Next()) {
    if (!gap.to.empty() && rows->key() > std::string_view(gap.to).substr(0, sizeof(Ino))) break;
    const Ino ino = ParseBigU64(rows->key());
    const auto record = ParseInode(ino, rows->value());
    if (!record) continue;
    if (IsDirectory(*record) && (!gap.family || gap.family == Family::kDentry)) {
      Lose(ino, "names in this directory may be lost");
    } else if (S_ISREG(record->mode) || gap.family == Family::kInode ||
               gap.family == Family::kXattr) {
      Lose(ino, "may be of an earlier time, or incomplete: rows of " + family + " are lost");
    }
  }
}

Status Repairer::Build() {
  const auto report = [this](const std::string& kind, const std::string& what) {
    Mend(kind, what);
  };
  DEDUPFS_RETURN_IF_ERROR(Step("reading the packs"));
  IndexRepair index({*kv_, *scratch_, PosixEnv(), store_->packs(), pool_, report,
                     [this](uint64_t done, uint64_t total) {
                       if (hooks_.progress) hooks_.progress("reading the packs", done, total);
                     },
                     store_->copies()});
  DEDUPFS_RETURN_IF_ERROR(index.ScanPacks());
  DEDUPFS_RETURN_IF_ERROR(index.ScanCopies());
  DEDUPFS_RETURN_IF_ERROR(NoteOlderDatabase(index));

  DEDUPFS_RETURN_IF_ERROR(Step("mending names"));
  NamespaceRepair names(*kv_, SipNameHash(store_->format().name_key), NumbersUnknown(), report);
  DEDUPFS_RETURN_IF_ERROR(names.Run());
  auto paths = Namespace::Open(*kv_, store_->format().name_key, true);
  if (paths) paths_ = std::move(*paths);

  DEDUPFS_RETURN_IF_ERROR(Step("mending recipes"));
  ContentRepair content(*kv_, store_->format().average_chunk_bytes, report,
                        [this](Ino ino, const std::string& what) { Lose(ino, what); });
  DEDUPFS_ASSIGN_OR_RETURN(const ChunkId last_named, content.LastChunk());
  bool chunk_ids_changed = false, pack_ids_changed = false;
  DEDUPFS_ASSIGN_OR_RETURN(
      ChunkId next_chunk,
      Counter("chunk_ids", std::max(index.last_chunk(), last_named), chunk_ids_changed));
  DEDUPFS_ASSIGN_OR_RETURN(const PackId next_pack,
                           Counter("pack_ids", index.last_pack(), pack_ids_changed));
  const ChunkId first_lost = next_chunk;
  DEDUPFS_RETURN_IF_ERROR(content.Run(next_chunk));
  if (RecipesMayBeLost(content)) {
    DEDUPFS_RETURN_IF_ERROR(
        KeepUnnamedChunks({*kv_, *scratch_, index, names, content, ChunkRowsKnown(), report}));
  }

  DEDUPFS_RETURN_IF_ERROR(Step("mending the index"));
  ContentCheck counts(*kv_, [](Ino, const std::string&) {});
  DEDUPFS_RETURN_IF_ERROR(
      index.MendChunks([&counts] { return counts.NextCount(); }, next_pack, content.lost_raw()));
  DEDUPFS_RETURN_IF_ERROR(content.ReplaceChunks(index.replaced()));
  DEDUPFS_RETURN_IF_ERROR(content.NameUsers(index.lost()));
  DEDUPFS_RETURN_IF_ERROR(index.MendFingerprints());
  DEDUPFS_RETURN_IF_ERROR(index.MendSums());
  DEDUPFS_RETURN_IF_ERROR(index.MendCopies());
  DEDUPFS_RETURN_IF_ERROR(
      PutCounter("chunk_ids", next_chunk, chunk_ids_changed || next_chunk != first_lost));
  const bool used = index.lost_pack_used();
  DEDUPFS_RETURN_IF_ERROR(
      PutCounter("pack_ids", next_pack + (used ? 1 : 0), pack_ids_changed || used));
  unreadable_packs_ = index.unreadable_packs();

  DEDUPFS_RETURN_IF_ERROR(names.FinishCounters(content.highest()));
  for (const SalvageGap& gap : gaps_) NameGap(gap);
  return Ok();
}

void Repairer::RemoveScratch() {
  paths_.reset();
  kv_.reset();
  scratch_.reset();
  std::error_code code;  // what stays is removed by the next repair
  for (const char* name : {"db.repair", "db.repair-index", "db.repair-old"}) {
    files::remove_all(Path(name), code);
  }
}

// A pack of which no row names a record would be removed as garbage.
Status Repairer::SetPacksAside() {
  bool any = false;
  for (const PackId pack : unreadable_packs_) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto row, kv_->Get(Family::kPack, BigU64(pack)));
    if (row) continue;
    const std::string path = store_->packs() + "/" + PackFileName(pack);
    DEDUPFS_RETURN_IF_ERROR(PosixEnv().Rename(path, path + ".damaged"));
    any = true;
  }
  return any ? PosixEnv().SyncDir(store_->packs()) : Ok();
}

Status Repairer::Replace() {
  DEDUPFS_RETURN_IF_ERROR(kv_->SyncLog());
  paths_.reset();
  kv_.reset();
  DEDUPFS_RETURN_IF_ERROR(draft_.failure());
  DEDUPFS_ASSIGN_OR_RETURN(report_.kept,
                           ExchangeDatabases(PosixEnv(), *store_, Path("db.repair"),
                                             [this] { return Step("exchanging the databases"); }));
  return Ok();
}

Status Repairer::Work(bool apply) {
  DEDUPFS_RETURN_IF_ERROR(Salvage());
  DEDUPFS_RETURN_IF_ERROR(Build());
  if (apply && report_.needed()) {
    DEDUPFS_RETURN_IF_ERROR(Step("setting packs aside"));
    DEDUPFS_RETURN_IF_ERROR(SetPacksAside());
    DEDUPFS_RETURN_IF_ERROR(Step("syncing the new database"));
    DEDUPFS_RETURN_IF_ERROR(Replace());
    report_.applied = true;
    DEDUPFS_RETURN_IF_ERROR(Step("removing what is not needed any more"));
  }
  return Ok();
}

Result<RepairReport> Repairer::Run(bool apply) {
  Status done = Work(apply);
  if (!ended_) RemoveScratch();  // a full disk is not to stay full
  if (!report_.applied) DEDUPFS_RETURN_IF_ERROR(draft_.failure());  // whatever followed from it
  DEDUPFS_RETURN_IF_ERROR(done);
  return std::move(report_);
}

}  // namespace

Result<RepairReport> RepairStore(const std::string& directory, bool apply,
                                 const RepairHooks& hooks) {
  DEDUPFS_ASSIGN_OR_RETURN(auto store, StoreDirectory::Open(PosixEnv(), directory));
  if (apply) DEDUPFS_RETURN_IF_ERROR(CheckMayWrite(directory, store->format()));
  return Repairer(std::move(store), hooks).Run(apply);
}

}  // namespace dedupfs

#include "fs/content/committer.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <utility>

#include "chunkstore/base/log.h"
#include "fs/content/chunk_sink.h"
#include "fs/content/content_view.h"
#include "fs/content/dirty_row.h"
#include "fs/content/rechunk.h"

namespace dedupfs {
namespace {

constexpr uint64_t kLogBytes = 64 << 10;  // of one fsync
// Of one file. An fsync that would exceed it waits until all of this is chunked; scattered writes
// share more chunks the more of them are chunked at once.
constexpr uint64_t kLoggedBytes = 16 << 20;
constexpr size_t kMagicBytes = 4096;

// New bytes never come with an old time, which backups go by: where the kernel has not said yet
// when they were written, it was now. What it says later counts.
void SettleTimes(FileState& file) REQUIRES(file.mutex) {
  if (!file.times_unknown) return;
  file.times_unknown = false;
  file.attributes_dirty = true;
  file.mtime = std::max(file.mtime, Now());
  file.ctime = std::max(file.ctime, file.mtime);
}

}  // namespace

struct Committer::Plan {
  FilePtr file;
  std::vector<Extent> extents;
  uint64_t sequence = 0;
  std::vector<std::string> logged_keys;
  // To be committed; recipe_size and data_bytes are the old ones until AddRows.
  ContentRecord record;
  uint64_t old_size = 0;
  std::vector<std::unique_ptr<RecipeEdit>> edits;
};

Status Committer::Commit(std::span<const FilePtr> files, Durability durability) {
  Pins pins;
  ChunkSink sink(chunks_, pins);
  std::vector<std::unique_ptr<Plan>> plans;
  plans.reserve(files.size());
  for (const FilePtr& file : files) {
    auto plan = std::make_unique<Plan>();
    plan->file = file;
    const Status prepared = Prepare(*plan, sink);
    if (sink.failure().has_value()) return Fail(*sink.failure());
    if (!prepared) {
      sink.Forget(plan->edits);
      // A damaged chunk beside an edit: the changes are kept as dirty extents, which need no
      // reading, until the chunk is healed or overwritten.
      if (prepared.error().code != EIO || !Log(*file, Durability::kBuffered)) {
        KeepError(*file, prepared.error());
      }
      continue;
    }
    plans.push_back(std::move(plan));
  }
  DEDUPFS_RETURN_IF_ERROR(sink.Flush());
  Batch batch;
  std::vector<CountChange> changes;
  for (auto& plan : plans) {
    const size_t before = changes.size();
    const Status added = AddRows(*plan, batch, changes);
    if (added) continue;
    changes.resize(before);  // it adds to the batch last, where nothing fails
    if (added.error().code != EIO || !Log(*plan->file, Durability::kBuffered)) {
      KeepError(*plan->file, added.error());
    }
    plan.reset();
  }
  std::erase(plans, nullptr);
  if (!batch.empty() || durability == Durability::kSynced) {
    DEDUPFS_RETURN_IF_ERROR(chunks_.Commit(std::move(batch), changes, durability));
  }
  for (auto& plan : plans) Finish(*plan);
  return Ok();
}

Status Committer::Prepare(Plan& plan, ChunkSink& sink) {
  FileState& file = *plan.file;
  {
    MutexLock lock(file.mutex);
    if (file.dropped) return Ok();
    SettleTimes(file);
    plan.extents = file.extents.All();
    plan.sequence = file.last_sequence;
    plan.logged_keys = file.logged_keys;
    plan.record = file.committed;
    plan.record.size = file.size;
    plan.record.mtime = file.mtime;
    plan.record.ctime = file.ctime;
    plan.record.has_dirty_rows = false;
    plan.old_size = file.committed.recipe_size;
  }
  ContentView view(kv_, chunks_, file, plan.extents, plan.record.size);
  if (!plan.record.policy_chosen && plan.record.size > 0) {
    DEDUPFS_RETURN_IF_ERROR(ChooseFor(plan, view));
  }
  if (plan.extents.empty() && plan.record.size == plan.old_size) return Ok();
  Rechunker rechunker(view, plan.record.policy, plan.old_size, sink, &file.codec_hint);
  DEDUPFS_RETURN_IF_ERROR(rechunker.Run(plan.edits));
  return Ok();
}

Status Committer::ChooseFor(Plan& plan, ContentView& view) {
  Buffer head(std::min<uint64_t>(kMagicBytes, view.size()));
  DEDUPFS_RETURN_IF_ERROR(view.Read(0, head));
  const PolicyHints hints = hints_of_(plan.file->ino);
  const ChosenPolicy chosen = ChoosePolicy(average_, hints.library_rule, hints.name, head);
  plan.record.policy = chosen.policy;
  plan.record.reason = chosen.reason;
  plan.record.policy_chosen = true;
  return Ok();
}

Status Committer::AddRows(Plan& plan, Batch& batch, std::vector<CountChange>& changes) {
  FileState& file = *plan.file;
  {
    MutexLock lock(file.mutex);
    if (file.dropped) return Ok();
    if (plan.edits.empty() && plan.logged_keys.empty() && file.has_record &&
        !file.attributes_dirty) {
      return Ok();
    }
  }
  // The pages that the edits touch, as they will be.
  std::map<uint64_t, RecipeEntries> pages;
  RecipeReader recipe(kv_, file);
  int64_t bytes = static_cast<int64_t>(plan.record.data_bytes);
  const auto load = [&](uint64_t page) -> Result<RecipeEntries*> {
    auto at = pages.find(page);
    if (at == pages.end()) {
      DEDUPFS_ASSIGN_OR_RETURN(const auto entries, recipe.Page(page));
      at = pages.emplace(page, *entries).first;
    }
    return &at->second;
  };
  for (const auto& edit : plan.edits) {
    std::optional<uint64_t> page = edit->begin / kRecipePageSpan;
    while (page.has_value() && *page * kRecipePageSpan < edit->end) {
      DEDUPFS_ASSIGN_OR_RETURN(RecipeEntries* const entries, load(*page));
      std::erase_if(*entries, [&](const RecipeEntry& entry) {
        if (entry.offset < edit->begin || entry.offset >= edit->end) return false;
        changes.push_back({entry.id, -1});
        bytes -= entry.length;
        return true;
      });
      if ((*page + 1) * kRecipePageSpan >= edit->end) break;
      DEDUPFS_ASSIGN_OR_RETURN(page, recipe.NextPage(*page + 1));
    }
    for (const RecipeEntry& entry : edit->entries) {
      DEDUPFS_ASSIGN_OR_RETURN(RecipeEntries* const entries, load(entry.offset / kRecipePageSpan));
      const auto place = std::partition_point(
          entries->begin(), entries->end(),
          [&](const RecipeEntry& other) { return other.offset < entry.offset; });
      entries->insert(place, entry);
      changes.push_back({entry.id, 1});
      bytes += entry.length;
    }
  }
  for (const auto& [page, entries] : pages) {
    const std::string key = RecipeKey(file.ino, page);
    if (entries.empty()) {
      batch.Delete(Family::kRecipe, key);
    } else {
      batch.Put(Family::kRecipe, key, EncodeRecipePage(page, entries));
    }
  }
  for (const std::string& key : plan.logged_keys) batch.Delete(Family::kDirty, key);
  plan.record.recipe_size = plan.record.size;
  plan.record.data_bytes = static_cast<uint64_t>(bytes);
  batch.Put(Family::kContent, ContentKey(file.ino), EncodeContentRecord(plan.record));
  return Ok();
}

void Committer::Finish(Plan& plan) {
  FileState& file = *plan.file;
  MutexLock lock(file.mutex);
  if (file.dropped) return;
  file.extents.DropUpTo(plan.sequence);
  file.committed = plan.record;
  file.has_record = true;
  ++file.recipe_version;
  file.pages.clear();
  // Log() cannot have run meanwhile: it needs flush_mutex too.
  file.logged_keys.clear();
  file.logged_bytes = 0;
  file.attributes_dirty = file.size != plan.record.size || file.mtime != plan.record.mtime ||
                          file.ctime != plan.record.ctime;
}

bool Committer::MayLog(FileState& file) {
  MutexLock lock(file.mutex);
  // A new size alone would leave no row to recover the recipe by; committing it is as cheap.
  if (file.extents.empty() && file.size != file.committed.recipe_size) return false;
  bool clones = false;
  const uint64_t bytes = file.extents.BytesAfter(file.logged_sequence, clones);
  return !clones && bytes <= kLogBytes && file.logged_bytes + bytes <= kLoggedBytes;
}

Status Committer::Log(FileState& file, Durability durability) {
  Batch batch;
  ContentRecord record;
  uint64_t sequence = 0;
  uint64_t bytes = 0;
  std::vector<std::string> keys;
  {
    MutexLock lock(file.mutex);
    if (file.dropped) return Ok();
    sequence = file.last_sequence;
    uint32_t part = 0;
    for (const Extent& extent : file.extents.NewerThan(file.logged_sequence)) {
      if (extent.clone != nullptr) return Fail(EOPNOTSUPP, "a copied range cannot be logged");
      keys.push_back(DirtyKey(file.ino, extent.sequence, part++));
      const Bytes data = extent.zeros() ? Bytes() : extent.bytes();
      batch.Put(Family::kDirty, keys.back(),
                EncodeDirtyRow(extent.offset, extent.length, extent.zeros(), data));
      bytes += ExtentMap::kExtentOverhead + data.size();
    }
    SettleTimes(file);
    record = file.committed;
    record.size = file.size;
    record.mtime = file.mtime;
    record.ctime = file.ctime;
    record.has_dirty_rows = !file.logged_keys.empty() || !keys.empty();
  }
  batch.Put(Family::kContent, ContentKey(file.ino), EncodeContentRecord(record));
  DEDUPFS_RETURN_IF_ERROR(chunks_.Commit(std::move(batch), {}, durability));
  MutexLock lock(file.mutex);
  file.logged_sequence = sequence;
  file.logged_keys.insert(file.logged_keys.end(), keys.begin(), keys.end());
  file.logged_bytes += bytes;
  file.committed = record;
  file.has_record = true;
  file.attributes_dirty =
      file.size != record.size || file.mtime != record.mtime || file.ctime != record.ctime;
  return Ok();
}

void Committer::KeepError(FileState& file, const Error& error) const {
  LogError("content_commit_failed", "inode=" + std::to_string(file.ino) + " path=\"" +
                                        path_of_(file.ino) + "\" error=\"" + error.message + "\"");
  MutexLock lock(file.mutex);
  ++file.error_number;
  file.error_code = error.code;
  file.error_message = error.message;
}

}  // namespace dedupfs

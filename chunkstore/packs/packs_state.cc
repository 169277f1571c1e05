#include "chunkstore/packs/packs_state.h"

#include "chunkstore/base/log.h"
#include "chunkstore/packs/pack_reader.h"

namespace dedupfs {

Status Packs::State::CheckUsable() {
  if (broken) return Fail(EROFS, *broken);
  return Ok();
}

Status Packs::State::OpenNew() {
  DEDUPFS_ASSIGN_OR_RETURN(const PackId id, next_id());
  DEDUPFS_ASSIGN_OR_RETURN(std::shared_ptr<File> file, env.Create(cache.PathOf(id)));
  cache.Put(id, file);
  open = std::make_unique<PackWriter>(id, std::move(file));
  unsynced_names = true;
  return Ok();
}

void Packs::State::SetSize(PackId pack, uint64_t size) {
  if (!sizes) return;
  uint64_t& known = (*sizes)[pack];
  total_bytes += size - known;
  known = size;
}

void Packs::State::NoteAppended() {
  ++appended;
  unsynced[open->id()] = open->file();
  SetSize(open->id(), open->end());
}

void Packs::State::Abandon() {
  const PackId id = open->id();
  if (open->end() == 0) {
    // A full disk must not collect an empty file for each attempt to write to it.
    cache.Forget(id);
    if (env.Remove(cache.PathOf(id))) {
      open.reset();
      return;
    }
  }
  void_tails[id] = open->end();
  const auto size = open->file()->Size();
  SetSize(id, size ? *size : open->end());
  open.reset();
}

tl::unexpected<Error> Packs::State::AppendFailed(Error error) {
  Abandon();
  if (!IsFull(error) && !broken) broken = error.message;
  return Fail(std::move(error));
}

Status Packs::State::Seal() {
  if (Status status = open->Seal(); !status) return AppendFailed(std::move(status.error()));
  NoteAppended();
  const auto size = open->file()->Size();
  if (size) SetSize(open->id(), *size);
  LogInfo("pack_sealed", "id=" + std::to_string(open->id()) +
                             " bytes=" + std::to_string(open->end()) +
                             " chunks=" + std::to_string(open->entries().size()));
  open.reset();
  return Ok();
}

Status Packs::State::SyncAll(const std::map<PackId, std::shared_ptr<File>>& files, bool names) {
  for (const auto& [id, file] : files) DEDUPFS_RETURN_IF_ERROR(file->Sync());
  if (names) DEDUPFS_RETURN_IF_ERROR(env.SyncDir(directory));
  return Ok();
}

Result<Packs::State::Extent> Packs::State::ExtentOf(PackId pack, File& file) {
  {
    MutexLock lock(mutex);
    if (open && open->id() == pack) return Extent{open->end(), false};
    const auto tail = void_tails.find(pack);
    if (tail != void_tails.end()) return Extent{tail->second, false};
  }
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  return Extent{size, true};
}

Result<Packs::Contents> Packs::State::Walk(PackId pack, File& file, Extent extent) {
  Contents contents;
  // A pack without a record yet, in this process: nothing is there, and nothing is missing.
  if (extent.size == 0 && !extent.may_be_sealed) return contents;
  PackReader::Visitor visitor;
  visitor.record = [&](const PackEntry& entry, Bytes) {
    contents.entries.push_back(entry);
    return true;
  };
  visitor.damage = [&](const PackReader::Damage& damage) {
    if (contents.damaged) return;
    contents.damaged = "pack " + std::to_string(pack) + " offset " + std::to_string(damage.offset) +
                       (damage.id ? " chunk " + std::to_string(*damage.id) : std::string()) + ": " +
                       damage.what;
  };
  PackReader reader(file, pack, extent.size);
  DEDUPFS_ASSIGN_OR_RETURN(const bool sealed,
                           reader.Walk(PackReader::AfterDamage::kFollowToc, visitor));
  contents.sealed = sealed && extent.may_be_sealed;
  return contents;
}

}  // namespace dedupfs

// Opening and closing, and the namespace side of the FileSystem.
#include "fs/file_system.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>
#include <utility>

#include "chunkstore/base/log.h"
#include "fs/file_system_parts.h"

namespace dedupfs {

Status FileSystem::Format(const std::string& directory, const FormatOptions& options) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto store, StoreDirectory::Create(*options.disk.env, directory,
                                                                    options.average_chunk_bytes));
  KvOptions kv_options;
  kv_options.file_system = options.disk.database_files;
  kv_options.create = true;
  DEDUPFS_ASSIGN_OR_RETURN(const auto kv, Kv::Open(store->database(), kv_options));
  Batch batch;
  Namespace::Format(batch, options.uid, options.gid, Now());
  DEDUPFS_RETURN_IF_ERROR(kv->Write(batch, Durability::kSynced));
  return store->Finish();
}

Status FileSystem::Parts::OpenStore(const std::string& path, const MountOptions& mount_options) {
  options = mount_options;
  DEDUPFS_ASSIGN_OR_RETURN(directory, StoreDirectory::Open(*options.disk.env, path));
  if (!options.read_only) DEDUPFS_RETURN_IF_ERROR(CheckMayWrite(path, directory->format()));
  DEDUPFS_ASSIGN_OR_RETURN(config, LoadConfig(directory->configuration()));
  KvOptions kv_options;
  kv_options.block_cache_bytes = config.metadata_cache_bytes;
  kv_options.read_only = options.read_only;
  kv_options.file_system = options.disk.database_files;
  kv_options.replay_progress = options.replay_progress;
  DEDUPFS_ASSIGN_OR_RETURN(kv, Kv::Open(directory->database(), kv_options));
  const uint64_t threads =
      config.threads != 0 ? config.threads : std::max(1U, std::thread::hardware_concurrency());
  pool = std::make_unique<ThreadPool>("chunks", threads);
  ChunkStoreOptions chunk_options;
  chunk_options.chunk_cache_bytes = config.chunk_cache_bytes;
  chunk_options.reserve_bytes = config.reserve_bytes;
  chunk_options.read_only = options.read_only;
  chunk_options.recompress = config.recompress_level > 0;
  if (config.recompress_level > 0) {
    chunk_options.cold_zstd_level = static_cast<int>(config.recompress_level);
  }
  chunk_options.copy_directory = directory->copies();
  chunk_options.extra_copy_references = config.extra_copy_references;
  chunk_options.recompress_after_quiet =
      std::chrono::milliseconds(config.recompress_after_quiet_ms);
  DEDUPFS_ASSIGN_OR_RETURN(
      chunks, ChunkStore::Open(*options.disk.env, *kv, *pool, directory->packs(), chunk_options));
  DEDUPFS_ASSIGN_OR_RETURN(names,
                           Namespace::Open(*kv, directory->format().name_key, options.read_only));
  return Ok();
}

PolicyHints FileSystem::Parts::HintsOf(Ino ino) {
  PolicyHints hints;
  if (auto name = names->NameOf(ino); name) hints.name = std::move(*name);
  const auto library = names->LibraryOf(ino);
  if (!library) return hints;
  if (auto rule = names->GetXattr(*library, "user.dedupfs.policy"); rule) {
    hints.library_rule = std::move(*rule);
  }
  return hints;
}

Result<std::unique_ptr<FileSystem>> FileSystem::Open(const std::string& directory,
                                                     const MountOptions& options) {
  auto parts = std::make_unique<Parts>();
  DEDUPFS_RETURN_IF_ERROR(parts->OpenStore(directory, options));
  FilesOptions files_options;
  files_options.average_chunk_bytes = parts->directory->format().average_chunk_bytes;
  files_options.dirty_budget_bytes = parts->config.dirty_budget_bytes;
  files_options.commit_interval = std::chrono::milliseconds(parts->config.commit_interval_ms);
  files_options.read_only = options.read_only;
  Parts* const p = parts.get();
  parts->files = std::make_unique<Files>(
      *p->kv, *p->chunks, files_options, [p](Ino ino) { return p->HintsOf(ino); },
      [p](Ino ino) { return p->names->PathOf(ino); },
      [p](Ino ino, const Caller& caller) -> Result<bool> {
        DEDUPFS_RETURN_IF_ERROR(p->names->ClearPrivileges(ino, caller));
        DEDUPFS_ASSIGN_OR_RETURN(const Attributes left, p->names->Get(ino));
        return (left.mode & S_ISGID) != 0;
      });
  if (!options.read_only) {
    const auto recover = [p] {
      if (const Status recovered = p->files->RecoverDirty(); !recovered) {
        LogError("recover_failed", "error=\"" + recovered.error().message + "\"");
      }
      const auto orphans = p->names->Orphans();
      if (!orphans) {
        LogError("recover_failed", "error=\"" + orphans.error().message + "\"");
        return;
      }
      for (const Ino ino : *orphans) {
        // Whatever was unlinked since the mount is nobody's orphan of a crash.
        if (p->references.MarkOrphan(ino)) p->purger->Add(ino);
      }
    };
    parts->purger = std::make_unique<Purger>(recover, [p](Ino ino) { return p->Purge(ino); });
    parts->purger->Start();  // its thread uses `purger` itself
  }
  return std::unique_ptr<FileSystem>(new FileSystem(std::move(parts)));
}

FileSystem::FileSystem(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

FileSystem::~FileSystem() {
  if (const Status closed = Close(); !closed) {
    LogError("close_failed", "error=\"" + closed.error().message + "\"");
  }
}

Status FileSystem::Close() {
  if (std::exchange(parts_->closed, true)) return Ok();
  if (parts_->purger != nullptr) parts_->purger->Stop();
  return parts_->files->SyncAll();
}

Status FileSystem::Parts::CheckWritable() {
  if (options.read_only) return Fail(EROFS, directory->path() + " is mounted read-only");
  return chunks->Failure();
}

Result<Attributes> FileSystem::Parts::Completed(Attributes attributes) {
  DEDUPFS_RETURN_IF_ERROR(files->Complete(std::span(&attributes, 1)));
  return attributes;
}

Result<Attributes> FileSystem::Parts::Remembered(Attributes attributes) {
  DEDUPFS_RETURN_IF_ERROR(files->Complete(std::span(&attributes, 1)));
  if (!references.AddLookup(attributes.ino)) return Gone(attributes.ino);
  return attributes;
}

void FileSystem::Parts::HandleUnlinked(const Unlinked& unlinked) {
  if (unlinked.orphaned && references.MarkOrphan(unlinked.ino)) purger->Add(unlinked.ino);
}

Status FileSystem::Parts::Purge(Ino ino) {
  Batch last;
  DEDUPFS_RETURN_IF_ERROR(names->EraseOrphan(ino, last));
  DEDUPFS_RETURN_IF_ERROR(files->Purge(ino, std::move(last)));
  references.Purged(ino);
  return Ok();
}

tl::unexpected<Error> FileSystem::Parts::Gone(Ino ino) {
  return Fail(ESTALE, "inode " + std::to_string(ino) + " is gone");
}

Result<Attributes> FileSystem::Lookup(Ino parent, std::string_view name) {
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes found, parts_->names->Lookup(parent, name));
  return parts_->Remembered(found);
}

void FileSystem::Forget(Ino ino, uint64_t count) {
  if (parts_->references.DropLookups(ino, count)) parts_->purger->Add(ino);
}

Result<Attributes> FileSystem::GetAttributes(Ino ino) {
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes found, parts_->names->Get(ino));
  if (found.nlink == 0 && !parts_->references.IsHeld(ino)) return Parts::Gone(ino);
  return parts_->Completed(found);
}

namespace {

// What an immutable or append-only inode refuses. The kernel's own word of the times of what it has
// cached (mtime and ctime, nothing else) must not be lost.
Status CheckChange(uint32_t flags, const AttributeChange& change) {
  if (flags == 0) return Ok();
  const bool only_times = !change.mode && !change.uid && !change.gid && !change.size;
  if (only_times && !change.atime && (change.ctime || !change.mtime)) return Ok();
  if (only_times && change.times_are_now && (flags & kImmutable) == 0) return Ok();
  return Fail(EPERM, "an immutable or append-only inode");
}

}  // namespace

Status FileSystem::SetFlags(Ino ino, uint32_t flags) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  return parts_->names->SetFlags(ino, flags);
}

Result<Attributes> FileSystem::SetAttributes(Ino ino, const AttributeChange& change,
                                             const Caller& caller, OpenFile* file) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  if (file != nullptr && InodeOf(*file) != ino) return Fail(EBADF, "a handle of another inode");
  DEDUPFS_ASSIGN_OR_RETURN(Attributes now, parts_->names->Get(ino));
  DEDUPFS_RETURN_IF_ERROR(CheckChange(now.flags, change));
  AttributeChange rest = change;
  if (change.size.has_value()) {
    if (S_ISDIR(now.mode)) return Fail(EISDIR, "a directory has no size to set");
    if (!S_ISREG(now.mode)) return Fail(EINVAL, "only regular files have a size to set");
    DEDUPFS_RETURN_IF_ERROR(parts_->files->SetSize(ino, *change.size));
  }
  if (S_ISREG(now.mode) && change.mtime.has_value()) {
    DEDUPFS_RETURN_IF_ERROR(
        parts_->files->SetModificationTime(ino, *change.mtime, change.ctime.value_or(Now())));
    rest.mtime.reset();
    if (!change.atime && !change.mode && !change.uid && !change.gid) rest.ctime.reset();
  }
  const bool more = rest.mode || rest.uid || rest.gid || rest.atime || rest.mtime || rest.ctime ||
                    change.clear_privileges;
  if (more) {
    DEDUPFS_ASSIGN_OR_RETURN(now, parts_->names->SetAttributes(ino, rest, caller));
  }
  if (change.mode.has_value()) parts_->files->PrivilegesMayHaveCome(ino);
  return parts_->Completed(now);
}

Result<Attributes> FileSystem::Create(Ino parent, std::string_view name, uint32_t mode,
                                      uint64_t rdev, std::string_view target,
                                      const Caller& caller) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes made,
                           parts_->names->Create(parent, name, mode, rdev, target, caller));
  return parts_->Remembered(made);
}

Result<Attributes> FileSystem::Link(Ino ino, Ino parent, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes linked, parts_->names->Link(ino, parent, name));
  return parts_->Remembered(linked);
}

Status FileSystem::Unlink(Ino parent, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  DEDUPFS_ASSIGN_OR_RETURN(const Unlinked unlinked, parts_->names->Unlink(parent, name));
  parts_->HandleUnlinked(unlinked);
  return Ok();
}

Status FileSystem::RemoveDirectory(Ino parent, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  DEDUPFS_ASSIGN_OR_RETURN(const Unlinked unlinked, parts_->names->RemoveDirectory(parent, name));
  parts_->HandleUnlinked(unlinked);
  return Ok();
}

Status FileSystem::Rename(Ino parent, std::string_view name, Ino new_parent,
                          std::string_view new_name, unsigned flags) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  // What replaces a file is in the log before the new name is: a crash leaves the old content or
  // the new one.
  const auto replaced = parts_->names->Lookup(new_parent, new_name);
  if (replaced && S_ISREG(replaced->mode)) {
    DEDUPFS_ASSIGN_OR_RETURN(const Attributes moved, parts_->names->Lookup(parent, name));
    if (S_ISREG(moved.mode)) DEDUPFS_RETURN_IF_ERROR(parts_->files->CommitInOrder(moved.ino));
    // An exchange puts each under the other's name.
    if (flags != 0) DEDUPFS_RETURN_IF_ERROR(parts_->files->CommitInOrder(replaced->ino));
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto unlinked,
                           parts_->names->Rename(parent, name, new_parent, new_name, flags));
  if (unlinked.has_value()) parts_->HandleUnlinked(*unlinked);
  return Ok();
}

Result<std::string> FileSystem::ReadLink(Ino ino) { return parts_->names->ReadLink(ino); }

Status FileSystem::List(Ino directory, uint64_t cookie,
                        const std::function<bool(const DirectoryEntry&)>& visit) {
  return parts_->names->List(directory, cookie, visit);
}

Status FileSystem::ListWithAttributes(
    Ino directory, uint64_t cookie,
    const std::function<bool(const DirectoryEntry&, const Attributes&)>& visit) {
  constexpr size_t kBatch = 32;  // about what one reply to the kernel holds
  std::vector<DirectoryEntry> entries;
  std::vector<Attributes> attributes;
  while (true) {
    entries.clear();
    attributes.clear();
    DEDUPFS_RETURN_IF_ERROR(parts_->names->ListWithAttributes(
        directory, cookie, [&](const DirectoryEntry& entry, const Attributes& found) {
          entries.push_back(entry);
          attributes.push_back(found);
          return entries.size() < kBatch;
        }));
    DEDUPFS_RETURN_IF_ERROR(parts_->files->Complete(attributes));
    for (size_t i = 0; i < entries.size(); ++i) {
      if (!visit(entries[i], attributes[i])) return Ok();
      // Should it be on its way out already, the kernel's next call finds it stale.
      if (entries[i].name != "." && entries[i].name != "..") {
        static_cast<void>(parts_->references.AddLookup(entries[i].ino));
      }
    }
    if (entries.size() < kBatch) return Ok();
    cookie = entries.back().cookie;
  }
}

std::string FileSystem::PathOf(Ino ino) { return parts_->names->PathOf(ino); }

}  // namespace dedupfs

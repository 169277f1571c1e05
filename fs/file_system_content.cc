// The content side of the FileSystem, xattrs, and what concerns the whole.
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "fs/file_system.h"
#include "fs/file_system_parts.h"

namespace dedupfs {
namespace {

constexpr std::string_view kVirtualPrefix = "user.dedupfs.";
// The one name below the prefix that is a real xattr: the rule of a library, set on its directory.
constexpr std::string_view kPolicyXattr = "user.dedupfs.policy";
// What Samba's module glusterfs_fuse asks a directory for: which entry is NAME but for its case.
constexpr std::array<std::string_view, 2> kRealNamePrefixes = {"glusterfs.get_real_filename:",
                                                               "user.glusterfs.get_real_filename:"};
constexpr uint64_t kBytesPerInode = 1024;  // what a small file's metadata takes at the most

// NAME, where an xattr asks for a real name.
std::optional<std::string_view> AskedName(std::string_view xattr) {
  for (const std::string_view prefix : kRealNamePrefixes) {
    if (xattr.starts_with(prefix)) return xattr.substr(prefix.size());
  }
  return std::nullopt;
}

bool IsVirtual(std::string_view name) {
  return (name.starts_with(kVirtualPrefix) && name != kPolicyXattr) || AskedName(name).has_value();
}

Result<std::string> RealName(Namespace& names, Ino directory, std::string_view name) {
  DEDUPFS_ASSIGN_OR_RETURN(auto found, names.RealName(directory, name));
  if (!found) return Fail(ENOENT, "no entry has that name in any case");
  // As GlusterFS gives it: Samba takes the value for a C string, whatever its length.
  *found += '\0';
  return *std::move(found);
}

// What an immutable or append-only file may be opened for.
Status CheckOpen(uint32_t inode_flags, int open_flags) {
  const bool may_write = (open_flags & O_ACCMODE) != O_RDONLY || (open_flags & O_TRUNC) != 0;
  if (inode_flags == 0 || !may_write) return Ok();
  const bool appends = (open_flags & O_APPEND) != 0 && (open_flags & O_TRUNC) == 0;
  if (inode_flags == kAppendOnly && appends) return Ok();
  return Fail(EPERM, "an immutable or append-only file");
}

}  // namespace

Result<std::string> FileSystem::GetXattr(Ino ino, std::string_view name) {
  if (!IsVirtual(name)) return parts_->names->GetXattr(ino, name);
  if (const auto asked = AskedName(name)) return RealName(*parts_->names, ino, *asked);
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes attributes, parts_->names->Get(ino));
  if (!S_ISREG(attributes.mode)) return Fail(ENODATA, "only regular files have a story");
  return parts_->files->Story(ino, name.substr(kVirtualPrefix.size()));
}

Status FileSystem::SetXattr(Ino ino, std::string_view name, std::string_view value, int flags,
                            const Caller& caller) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  if (IsVirtual(name)) return Fail(EPERM, std::string(name) + " cannot be set");
  if (name == kPolicyXattr &&
      !ParseLibraryRule(parts_->directory->format().average_chunk_bytes, value)) {
    return Fail(EINVAL, "not a policy: \"" + std::string(value) + "\"");
  }
  DEDUPFS_RETURN_IF_ERROR(parts_->names->SetXattr(ino, name, value, flags, caller));
  if (name.starts_with("security.") || name.starts_with("system.")) {
    parts_->files->PrivilegesMayHaveCome(ino);
  }
  return Ok();
}

Status FileSystem::RemoveXattr(Ino ino, std::string_view name) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  if (IsVirtual(name)) return Fail(EPERM, std::string(name) + " cannot be removed");
  return parts_->names->RemoveXattr(ino, name);
}

Result<std::vector<std::string>> FileSystem::ListXattrs(Ino ino) {
  return parts_->names->ListXattrs(ino);
}

Result<std::unique_ptr<OpenFile>> FileSystem::Open(Ino ino, int flags) {
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes attributes, parts_->names->Get(ino));
  if (S_ISDIR(attributes.mode)) return Fail(EISDIR, "a directory");
  if (S_ISLNK(attributes.mode)) return Fail(ELOOP, "a symbolic link");
  if (!S_ISREG(attributes.mode)) return Fail(ENXIO, "a special file");
  const bool may_write = (flags & O_ACCMODE) != O_RDONLY;
  if (may_write || (flags & O_TRUNC) != 0) DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  DEDUPFS_RETURN_IF_ERROR(CheckOpen(attributes.flags, flags));
  // Counted first: from here on the inode cannot be purged.
  if (!parts_->references.AddOpen(ino)) return Parts::Gone(ino);
  const bool append_only = may_write && (attributes.flags & kAppendOnly) != 0;
  auto file = parts_->files->Open(ino, may_write, attributes.mtime, append_only);
  Status truncated;
  if (file && (flags & O_TRUNC) != 0) truncated = parts_->files->SetSize(ino, 0);
  if (file && truncated) return file;
  const Error error = file ? truncated.error() : file.error();
  if (file) parts_->files->Release(std::move(*file));
  if (parts_->references.DropOpen(ino)) parts_->purger->Add(ino);
  return Fail(error);
}

Result<std::unique_ptr<OpenFile>> FileSystem::CreateAndOpen(Ino parent, std::string_view name,
                                                            uint32_t mode, int flags,
                                                            const Caller& caller,
                                                            Attributes& attributes) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  DEDUPFS_ASSIGN_OR_RETURN(
      attributes, parts_->names->Create(parent, name, S_IFREG | (mode & 07777), 0, "", caller));
  if (!parts_->references.AddLookup(attributes.ino)) return Parts::Gone(attributes.ino);
  if (!parts_->references.AddOpen(attributes.ino)) {
    Forget(attributes.ino, 1);
    return Parts::Gone(attributes.ino);
  }
  auto file =
      parts_->files->Open(attributes.ino, (flags & O_ACCMODE) != O_RDONLY, attributes.mtime);
  if (!file) {
    if (parts_->references.DropOpen(attributes.ino)) parts_->purger->Add(attributes.ino);
    Forget(attributes.ino, 1);
  }
  return file;
}

void FileSystem::Release(std::unique_ptr<OpenFile> file) {
  const Ino ino = InodeOf(*file);
  parts_->files->Release(std::move(file));
  if (parts_->references.DropOpen(ino)) parts_->purger->Add(ino);
}

Result<size_t> FileSystem::Read(OpenFile& file, uint64_t offset, MutableBytes out) {
  return parts_->files->Read(file, offset, out);
}

Status FileSystem::Write(OpenFile& file, uint64_t offset, Bytes data, bool clear_privileges,
                         WriteTimes times, WriteOrigin origin, const Caller& writer) {
  return parts_->files->Write(file, offset, data, clear_privileges, times, origin, writer);
}

Status FileSystem::Fsync(OpenFile& file) { return parts_->files->Fsync(file); }

Status FileSystem::FsyncDirectory(Ino ino) {
  DEDUPFS_RETURN_IF_ERROR(parts_->names->Get(ino));
  if (parts_->options.read_only) return Ok();
  return parts_->chunks->SyncLog();
}

Result<uint64_t> FileSystem::Seek(OpenFile& file, uint64_t offset, int whence) {
  return parts_->files->Seek(file, offset, whence);
}

Status FileSystem::Allocate(OpenFile& file, int mode, uint64_t offset, uint64_t length) {
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes attributes, parts_->names->Get(InodeOf(file)));
  const bool only_adds = (mode & ~FALLOC_FL_KEEP_SIZE) == 0;
  if ((attributes.flags & kImmutable) != 0 || (attributes.flags != 0 && !only_adds)) {
    return Fail(EPERM, "an immutable or append-only file");
  }
  return parts_->files->Allocate(file, mode, offset, length);
}

Result<uint64_t> FileSystem::CopyRange(OpenFile& from, uint64_t from_offset, OpenFile& to,
                                       uint64_t to_offset, uint64_t length) {
  return parts_->files->CopyRange(from, from_offset, to, to_offset, length);
}

Status FileSystem::SyncAll() { return parts_->files->SyncAll(); }

Status FileSystem::Checkpoint(const std::string& directory) {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  DEDUPFS_RETURN_IF_ERROR(SyncAll());
  return parts_->kv->Checkpoint(directory);
}

FileSystem::Space FileSystem::StatFs() {
  MutexLock lock(parts_->space_mutex);
  const SteadyTime now = std::chrono::steady_clock::now();
  if (parts_->space_time.has_value() && now - *parts_->space_time < std::chrono::seconds(1)) {
    return parts_->space;
  }
  const auto below = parts_->options.disk.env->Space(parts_->directory->path());
  if (!below) return parts_->space;
  parts_->space_time = now;
  const uint64_t reserve = parts_->config.reserve_bytes;
  const auto without_reserve = [&](uint64_t bytes) {
    return bytes > reserve ? bytes - reserve : 0;
  };
  Space& space = parts_->space;
  space.total_bytes = below->total;
  space.free_bytes = without_reserve(below->free);
  space.available_bytes = without_reserve(below->available);
  space.files_free = space.available_bytes / kBytesPerInode;
  space.files = parts_->names->InodeCount() + space.files_free;
  return space;
}

Result<FileSystemStats> FileSystem::Stats() {
  FileSystemStats stats;
  DEDUPFS_ASSIGN_OR_RETURN(stats.store, parts_->chunks->Stats());
  stats.inodes = parts_->names->InodeCount();
  stats.dirty_bytes = parts_->files->dirty_bytes();
  stats.orphans = parts_->purger != nullptr ? parts_->purger->waiting() : 0;
  stats.reclaiming_bytes = stats.store.dead_stored_bytes;
  if (const Status failure = parts_->chunks->Failure(); !failure) {
    stats.read_only_reason = failure.error().message;
  } else if (parts_->options.read_only) {
    stats.read_only_reason = "mounted read-only";
  }
  return stats;
}

Status FileSystem::PurgeAll() {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  if (parts_->purger != nullptr) parts_->NoteWork("purge", 0, parts_->purger->waiting());
  Status quiet = WaitForBackground();
  parts_->NoteWork("", 0, 0);
  return quiet;
}

LongWork FileSystem::WorkUnderWay() {
  LongWork work;
  {
    const MutexLock lock(parts_->work_mutex);
    work = parts_->work;
  }
  // The purger is not asked for reports: what waits still tells how many have gone.
  if (work.what == "purge") {
    work.done = work.total - std::min<uint64_t>(work.total, parts_->purger->waiting());
  }
  return work;
}

Result<uint64_t> FileSystem::Reclaim() {
  DEDUPFS_RETURN_IF_ERROR(PurgeAll());
  auto freed = parts_->chunks->Reclaim(
      [this](uint64_t done, uint64_t total) { parts_->NoteWork("reclaim", done, total); });
  parts_->NoteWork("", 0, 0);
  return freed;
}

Result<RewriteReport> FileSystem::Recompress() {
  DEDUPFS_RETURN_IF_ERROR(PurgeAll());
  const std::atomic<bool>& stop = parts_->stop_long_work;
  auto report = parts_->chunks->Recompress(
      [&stop] { return stop.load(); },
      [this](uint64_t done, uint64_t total) { parts_->NoteWork("rewrite", done, total); });
  parts_->NoteWork("", 0, 0);
  DEDUPFS_RETURN_IF_ERROR(report);
  if (stop.load()) return Fail(EINTR, "the store is being closed");
  return report;
}

Result<CopyReport> FileSystem::MakeCopies() {
  DEDUPFS_RETURN_IF_ERROR(PurgeAll());
  const std::atomic<bool>& stop = parts_->stop_long_work;
  auto report = parts_->chunks->MakeCopies(
      [&stop] { return stop.load(); },
      [this](uint64_t done, uint64_t total) { parts_->NoteWork("copies", done, total); });
  parts_->NoteWork("", 0, 0);
  DEDUPFS_RETURN_IF_ERROR(report);
  if (stop.load()) return Fail(EINTR, "the store is being closed");
  return report;
}

Result<CopyReport> FileSystem::DropCopies() {
  DEDUPFS_RETURN_IF_ERROR(parts_->CheckWritable());
  const std::atomic<bool>& stop = parts_->stop_long_work;
  auto report = parts_->chunks->DropCopies(
      [&stop] { return stop.load(); },
      [this](uint64_t done, uint64_t total) { parts_->NoteWork("drop copies", done, total); });
  parts_->NoteWork("", 0, 0);
  DEDUPFS_RETURN_IF_ERROR(report);
  if (stop.load()) return Fail(EINTR, "the store is being closed");
  return report;
}

void FileSystem::StopLongWork() {
  parts_->stop_long_work.store(true);
  parts_->chunks->CancelScrub();
}

Status FileSystem::Failure() const { return parts_->chunks->Failure(); }

Status FileSystem::WaitForBackground() {
  if (parts_->purger != nullptr) parts_->purger->Wait();
  return parts_->files->SyncAll();
}

Ino FileSystem::InodeOf(const OpenFile& file) { return file.file->ino; }

bool FileSystem::IsAppendOnly(const OpenFile& file) { return file.append_only; }

bool FileSystem::HadBlocks(const OpenFile& file) { return file.had_blocks; }

}  // namespace dedupfs

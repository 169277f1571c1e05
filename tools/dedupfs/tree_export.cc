#include "tools/dedupfs/tree_export.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "fs/content/open_file.h"
#include "fs/damage.h"
#include "tools/dedupfs/export_attributes.h"
#include "tools/dedupfs/export_content.h"
#include "tools/dedupfs/export_source.h"
#include "tools/dedupfs/export_target.h"

namespace dedupfs {
namespace {

constexpr size_t kCopyBytes = 4 << 20;

// What the disk itself cannot do is the end of it; what it does not take of one entry is not.
bool EndsTheExport(const Error& error) {
  return error.code == ENOSPC || error.code == EDQUOT || error.code == EROFS || error.code == EIO;
}

// "/a/b" of "a//b/"; empty for the root.
std::string PathFromRoot(const std::string& path) {
  std::string whole;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string name = path.substr(at, end - at);
    at = end + 1;
    if (!name.empty() && name != ".") whole.append("/").append(name);
  }
  return whole;
}

class TreeExport {
 public:
  TreeExport(FileSystem& file_system, const ExportHooks& hooks)
      : file_system_(file_system), hooks_(hooks), buffer_(kCopyBytes) {}

  Result<ExportReport> Run(const std::string& path, const std::string& target);

 private:
  struct Entry {
    Attributes attributes;
    ExportPlace place;
    Ino parent;        // 0: it is exported alone
    std::string path;  // in the store, for messages
  };

  // Their errors end the export.
  Status FillDirectory(const Attributes& directory, int fd, const std::string& path);
  Status ExportEntry(const Entry& entry);
  Status ExportDirectory(const Entry& entry);
  Status ExportFile(const Entry& entry);
  Status ExportOther(const Entry& entry);
  // True where the file was exported before and is now linked.
  Result<bool> LinkAgain(const Entry& entry);
  Status RememberLink(const Entry& entry, const std::string& link);
  Result<CopiedContent> CopyContentOf(const Entry& entry, OpenFile& file, int fd);
  // Gives a file that was not copied whole a name that does not pass for it.
  Status KeepDamaged(const Entry& entry);
  std::string DamagedName(const Entry& entry);
  std::string DamagedLinkName(const Entry& entry) {
    return target_->LinkName(entry.attributes.ino) + ".damaged";
  }
  // Another name of a file of which a damaged copy was kept.
  Result<bool> LinkDamagedAgain(const Entry& entry);
  void Finish(const Entry& entry);

  void Problem(const std::string& path, const Error& error) {
    ++report_.problems;
    Tell(path, error);
  }
  // The store cannot give it.
  void Damaged(const std::string& path, const Error& error) {
    ++report_.damaged;
    Problem(path, error);
  }
  void Tell(const std::string& path, const Error& error) {
    if (hooks_.problem) hooks_.problem(path, error);
  }
  // An error of the disk: a problem of this entry, or the end.
  Status DiskFailed(const Entry& entry, const Error& error) {
    if (EndsTheExport(error)) return Fail(error.code, entry.path + ": " + error.message);
    Problem(entry.path, error);
    return Ok();
  }

  FileSystem& file_system_;
  const ExportHooks& hooks_;
  Buffer buffer_;
  std::optional<ExportTarget> target_;
  DirectoriesAbove above_;
  uint64_t total_bytes_ = 0;
  ExportReport report_;
};

Status TreeExport::FillDirectory(const Attributes& directory, int fd, const std::string& path) {
  const DirectoriesAbove::Step step(above_, directory.ino);
  uint64_t cookie = 0;
  while (true) {
    const auto entries = NextEntries(file_system_, directory.ino, cookie);
    if (!entries) {
      Damaged(path, entries.error());
      return Ok();
    }
    if (entries->empty()) return Ok();
    cookie = entries->back().cookie;
    for (const DirectoryEntry& found : *entries) {
      const std::string entry_path = path + "/" + found.name;
      const auto attributes = file_system_.GetAttributes(found.ino);
      if (!attributes) {
        Damaged(entry_path, attributes.error());
        continue;
      }
      DEDUPFS_RETURN_IF_ERROR(
          ExportEntry({*attributes, {fd, found.name}, directory.ino, entry_path}));
    }
  }
}

Status TreeExport::ExportEntry(const Entry& entry) {
  const uint32_t mode = entry.attributes.mode;
  if (S_ISDIR(mode)) return ExportDirectory(entry);
  DEDUPFS_ASSIGN_OR_RETURN(const bool linked, LinkAgain(entry));
  if (linked) return Ok();
  return S_ISREG(mode) ? ExportFile(entry) : ExportOther(entry);
}

Status TreeExport::ExportDirectory(const Entry& entry) {
  const ExportPlace& place = entry.place;
  if (above_.Has(entry.attributes.ino)) {
    Damaged(entry.path, {ELOOP, "left out: the directory lies inside itself"});
    return Ok();
  }
  if (above_.size() > kMostLevels) {
    Problem(entry.path, {ELOOP, "left out: too many levels"});
    return Ok();
  }
  if (::mkdirat(place.directory, place.name.c_str(), S_IRWXU) != 0) {
    return DiskFailed(entry, FailErrno("mkdir").value());
  }
  {
    const auto fd = OpenDirectory(place.directory, place.name);
    if (!fd) return DiskFailed(entry, fd.error());
    DEDUPFS_RETURN_IF_ERROR(FillDirectory(entry.attributes, fd->get(), entry.path));
  }
  ++report_.directories;
  Finish(entry);
  return Ok();
}

Result<CopiedContent> TreeExport::CopyContentOf(const Entry& entry, OpenFile& file, int fd) {
  CopyHooks hooks;
  hooks.lost = [&](uint64_t offset, uint64_t length, const Error& error) {
    Tell(entry.path, {error.code, RangeText(offset, length) + " cannot be read: " + error.message});
  };
  hooks.copied = [&](uint64_t bytes) {
    report_.bytes += bytes;
    if (hooks_.progress) hooks_.progress(report_.bytes, total_bytes_);
  };
  return CopyContent(file_system_, file, entry.attributes.size, fd, MutableBytes(buffer_), hooks);
}

Status TreeExport::ExportFile(const Entry& entry) {
  const ExportPlace& place = entry.place;
  auto file = file_system_.Open(entry.attributes.ino, O_RDONLY);
  if (!file) {
    Damaged(entry.path, {file.error().code, "left out: " + file.error().message});
    return Ok();
  }
  Result<CopiedContent> copied = CopiedContent{};
  bool created = false;
  {
    const Descriptor fd(::openat(place.directory, place.name.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                 S_IRUSR | S_IWUSR));
    created = fd.get() >= 0;
    copied = created ? CopyContentOf(entry, **file, fd.get())
                     : Result<CopiedContent>(FailErrno("create"));
  }
  file_system_.Release(std::move(*file));
  const bool keep = copied && (copied->lost_bytes == 0 || copied->copied_bytes > 0);
  // Less than the whole under its name would be taken for it.
  if (!keep && created) ::unlinkat(place.directory, place.name.c_str(), 0);
  if (!copied) return DiskFailed(entry, copied.error());
  if (!keep) {
    Damaged(entry.path, {EIO, "left out: nothing of it can be read"});
    return Ok();
  }
  if (copied->lost_bytes > 0) return KeepDamaged(entry);
  ++report_.files;
  Finish(entry);
  return RememberLink(entry, target_->LinkName(entry.attributes.ino));
}

Status TreeExport::KeepDamaged(const Entry& entry) {
  Entry damaged = entry;
  damaged.place.name = DamagedName(entry);
  const int directory = entry.place.directory;
  const char* const from = entry.place.name.c_str();
  const char* const to = damaged.place.name.c_str();
  const bool renamed = ::renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0 ||
                       // NFS and some others know no flags; the name has just been found free.
                       (errno == EINVAL && ::renameat(directory, from, directory, to) == 0);
  if (!renamed) {
    const Error error = FailErrno("rename to " + damaged.place.name).value();
    ::unlinkat(entry.place.directory, entry.place.name.c_str(), 0);
    return DiskFailed(entry, error);
  }
  Damaged(entry.path, {EIO, "what can be read of it is in " + damaged.place.name +
                                ", with holes in place of the rest"});
  ++report_.damaged_files;
  Finish(damaged);
  return RememberLink(damaged, DamagedLinkName(entry));
}

std::string TreeExport::DamagedName(const Entry& entry) {
  for (uint64_t number = 1;; ++number) {
    const std::string suffix = number == 1 ? ".damaged" : ".damaged-" + std::to_string(number);
    std::string name = entry.place.name.substr(0, NAME_MAX - suffix.size()) + suffix;
    // Neither one that the store has, and that may come later, nor one that is there already.
    const auto taken = entry.parent == 0 ? Result<Attributes>(Fail(ENOENT, name))
                                         : file_system_.Lookup(entry.parent, name);
    if (taken) file_system_.Forget(taken->ino, 1);
    struct stat info {};
    if (!taken && ::fstatat(entry.place.directory, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return name;
    }
  }
}

Status TreeExport::ExportOther(const Entry& entry) {
  const ExportPlace& place = entry.place;
  const Attributes& attributes = entry.attributes;
  if (S_ISLNK(attributes.mode)) {
    const auto target = file_system_.ReadLink(attributes.ino);
    if (!target) {
      Damaged(entry.path, target.error());
      return Ok();
    }
    if (::symlinkat(target->c_str(), place.directory, place.name.c_str()) != 0) {
      return DiskFailed(entry, FailErrno("symlink").value());
    }
    ++report_.symlinks;
  } else {
    const mode_t mode = (attributes.mode & S_IFMT) | S_IRUSR | S_IWUSR;
    if (::mknodat(place.directory, place.name.c_str(), mode, attributes.rdev) != 0) {
      return DiskFailed(entry, FailErrno("special file").value());
    }
    ++report_.special_files;
  }
  Finish(entry);
  return RememberLink(entry, target_->LinkName(entry.attributes.ino));
}

Result<bool> TreeExport::LinkAgain(const Entry& entry) {
  if (entry.attributes.nlink < 2) return false;
  const std::string link = target_->LinkName(entry.attributes.ino);
  if (::linkat(target_->fd(), link.c_str(), entry.place.directory, entry.place.name.c_str(), 0) !=
      0) {
    if (errno == ENOENT) return LinkDamagedAgain(entry);
    DEDUPFS_RETURN_IF_ERROR(DiskFailed(entry, FailErrno("link").value()));
    return true;
  }
  ++report_.hard_links;
  struct stat info {};
  if (::fstatat(target_->fd(), link.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
      info.st_nlink > entry.attributes.nlink) {
    ::unlinkat(target_->fd(), link.c_str(), 0);  // that was the last
  }
  return true;
}

Result<bool> TreeExport::LinkDamagedAgain(const Entry& entry) {
  const std::string link = DamagedLinkName(entry);
  const std::string name = DamagedName(entry);
  if (::linkat(target_->fd(), link.c_str(), entry.place.directory, name.c_str(), 0) != 0) {
    if (errno == ENOENT) return false;  // the first name, or the one before was left out
    DEDUPFS_RETURN_IF_ERROR(DiskFailed(entry, FailErrno("link").value()));
    return true;
  }
  ++report_.hard_links;
  Damaged(entry.path, {EIO, "another name of a damaged file, the readable part of which is in " +
                                name + " too"});
  return true;
}

Status TreeExport::RememberLink(const Entry& entry, const std::string& link) {
  if (entry.attributes.nlink < 2) return Ok();
  if (::linkat(entry.place.directory, entry.place.name.c_str(), target_->fd(), link.c_str(), 0) !=
      0) {
    return DiskFailed(entry, FailErrno("its other names become copies: link").value());
  }
  return Ok();
}

void TreeExport::Finish(const Entry& entry) {
  const OwnerKept owner =
      ApplyAttributes(file_system_, entry.attributes, entry.place, [&](const Error& error) {
        Problem(entry.path, {error.code, "not kept: " + error.message});
      });
  if (owner == OwnerKept::kNeedsRoot) ++report_.owners_not_kept;
}

Result<ExportReport> TreeExport::Run(const std::string& path, const std::string& target) {
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes top, FindInStore(file_system_, path));
  DEDUPFS_ASSIGN_OR_RETURN(target_, ExportTarget::Open(target));
  DEDUPFS_RETURN_IF_ERROR(target_->MakeLinksDirectory(file_system_, top));
  const int root = target_->fd();
  if (top.ino == kRootIno) {
    DEDUPFS_ASSIGN_OR_RETURN(const FileSystemStats stats, file_system_.Stats());
    total_bytes_ = stats.store.logical_bytes;
  } else {
    total_bytes_ = MeasureTree(file_system_, top);
  }
  if (S_ISDIR(top.mode)) {
    DEDUPFS_RETURN_IF_ERROR(FillDirectory(top, root, PathFromRoot(path)));
  } else {
    const std::string name = path.substr(path.find_last_of('/') + 1);
    DEDUPFS_RETURN_IF_ERROR(ExportEntry({top, {root, name}, 0, PathFromRoot(path)}));
  }
  // Its end says that the tree is there, so it goes only after all else is on the disk.
  if (::syncfs(root) != 0) return FailErrno("sync " + target);
  DEDUPFS_RETURN_IF_ERROR(target_->RemoveLinksDirectory());
  if (S_ISDIR(top.mode)) {
    ++report_.directories;
    const std::string of_top = PathFromRoot(path);
    Finish({top, {root, "."}, 0, of_top.empty() ? "/" : of_top});
  }
  if (::fsync(root) != 0) return FailErrno("sync " + target);
  return report_;
}

}  // namespace

Result<ExportReport> ExportTree(FileSystem& file_system, const std::string& path,
                                const std::string& target, const ExportHooks& hooks) {
  return TreeExport(file_system, hooks).Run(path, target);
}

}  // namespace dedupfs

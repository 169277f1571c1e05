#include "tests/fs/crash_points/history.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "chunkstore/base/bytes.h"
#include "fs/content/open_file.h"  // OpenFile whole, for its unique_ptr

namespace dedupfs {

History::Place History::PlaceOf(const std::string& path) const {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {kRootIno, path};
  return {InoOf(path.substr(0, slash)), path.substr(slash + 1)};
}

Status History::WithFile(const std::string& path, const std::function<Status(OpenFile&)>& act) {
  DEDUPFS_ASSIGN_OR_RETURN(auto file, fs_.Open(InoOf(path), O_RDWR));
  Status status = act(*file);
  fs_.Release(std::move(file));
  return status;
}

Status History::Write(const std::string& path, uint64_t offset, std::string_view data) {
  constexpr size_t kStep = 1 << 20;  // as the kernel sends it
  return WithFile(path, [&](OpenFile& file) -> Status {
    for (size_t done = 0; done < data.size(); done += kStep) {
      const std::string_view piece = data.substr(done, kStep);
      const uint64_t begin = disk_.Now();
      DEDUPFS_RETURN_IF_ERROR(fs_.Write(file, offset + done, AsBytes(piece), false));
      std::string bytes = ledger_.ContentOf(InoOf(path));
      if (bytes.size() < offset + done + piece.size()) bytes.resize(offset + done + piece.size());
      bytes.replace(offset + done, piece.size(), piece);
      ledger_.ContentChanged(begin, InoOf(path), std::move(bytes));
    }
    return Ok();
  });
}

Status History::Truncate(const std::string& path, uint64_t size, bool passing) {
  return WithFile(path, [&](OpenFile& file) -> Status {
    const uint64_t begin = disk_.Now();
    AttributeChange change;
    change.size = size;
    DEDUPFS_RETURN_IF_ERROR(fs_.SetAttributes(InoOf(path), change, Caller{}, &file));
    std::string bytes = ledger_.ContentOf(InoOf(path));
    bytes.resize(size);
    ledger_.ContentChanged(begin, InoOf(path), std::move(bytes), passing);
    return Ok();
  });
}

Status History::Copy(const std::string& from, uint64_t from_offset, const std::string& to,
                     uint64_t to_offset, uint64_t length) {
  return WithFile(from, [&](OpenFile& source) -> Status {
    return WithFile(to, [&](OpenFile& target) -> Status {
      while (length > 0) {
        const uint64_t begin = disk_.Now();
        DEDUPFS_ASSIGN_OR_RETURN(const uint64_t copied,
                                 fs_.CopyRange(source, from_offset, target, to_offset, length));
        if (copied == 0) break;
        std::string bytes = ledger_.ContentOf(InoOf(to));
        if (bytes.size() < to_offset + copied) bytes.resize(to_offset + copied);
        bytes.replace(to_offset, copied,
                      ledger_.ContentOf(InoOf(from)).substr(from_offset, copied));
        ledger_.ContentChanged(begin, InoOf(to), std::move(bytes));
        from_offset += copied;
        to_offset += copied;
        length -= copied;
      }
      return Ok();
    });
  });
}

Status History::Fsync(const std::string& path) {
  return WithFile(path, [&](OpenFile& file) -> Status {
    DEDUPFS_RETURN_IF_ERROR(fs_.Fsync(file));
    ledger_.PromiseContent(disk_.Now(), InoOf(path));
    return Ok();
  });
}

Status History::Make(const std::string& path, uint32_t mode) {
  const uint64_t begin = disk_.Now();
  const Place place = PlaceOf(path);
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes made,
                           fs_.Create(place.parent, place.name, mode, 0, "", Caller{}));
  fs_.Forget(made.ino, 1);
  auto names = ledger_.names();
  names[path] = made.ino;
  ledger_.NamesChanged(begin, std::move(names));
  if (S_ISREG(mode)) ledger_.ContentChanged(begin, made.ino, "");
  return Ok();
}

Status History::MakeFile(const std::string& path) { return Make(path, S_IFREG | 0644); }

Status History::MakeDirectory(const std::string& path) { return Make(path, S_IFDIR | 0755); }

Status History::Link(const std::string& path, const std::string& new_path) {
  const uint64_t begin = disk_.Now();
  const Place place = PlaceOf(new_path);
  DEDUPFS_ASSIGN_OR_RETURN(const Attributes linked,
                           fs_.Link(InoOf(path), place.parent, place.name));
  fs_.Forget(linked.ino, 1);
  auto names = ledger_.names();
  names[new_path] = linked.ino;
  ledger_.NamesChanged(begin, std::move(names));
  return Ok();
}

Status History::Unlink(const std::string& path) {
  const uint64_t begin = disk_.Now();
  const Place place = PlaceOf(path);
  DEDUPFS_RETURN_IF_ERROR(fs_.Unlink(place.parent, place.name));
  auto names = ledger_.names();
  names.erase(path);
  ledger_.NamesChanged(begin, std::move(names));
  return Ok();
}

Status History::RemoveDirectory(const std::string& path) {
  const uint64_t begin = disk_.Now();
  const Place place = PlaceOf(path);
  DEDUPFS_RETURN_IF_ERROR(fs_.RemoveDirectory(place.parent, place.name));
  auto names = ledger_.names();
  names.erase(path);
  ledger_.NamesChanged(begin, std::move(names));
  return Ok();
}

Status History::Rename(const std::string& from, const std::string& to) {
  const uint64_t begin = disk_.Now();
  const Place old_place = PlaceOf(from);
  const Place new_place = PlaceOf(to);
  const bool replaces = names().contains(to);
  DEDUPFS_RETURN_IF_ERROR(
      fs_.Rename(old_place.parent, old_place.name, new_place.parent, new_place.name, 0));
  // What lies below a directory moves with it.
  std::map<std::string, Ino> names;
  for (const auto& [path, ino] : ledger_.names()) {
    if (path == from || path.starts_with(from + "/")) {
      names[to + path.substr(from.size())] = ino;
    } else if (path != to) {
      names.emplace(path, ino);
    }
  }
  ledger_.NamesChanged(begin, std::move(names));
  if (replaces) ledger_.ContentGoesBeforeNames(InoOf(to));
  return Ok();
}

Status History::FsyncDirectory(const std::string& path) {
  DEDUPFS_RETURN_IF_ERROR(fs_.FsyncDirectory(InoOf(path)));
  ledger_.PromiseNames(disk_.Now());
  return Ok();
}

Status History::SyncAll() {
  DEDUPFS_RETURN_IF_ERROR(fs_.SyncAll());
  ledger_.PromiseAll(disk_.Now());
  return Ok();
}

Status History::Reclaim() {
  DEDUPFS_RETURN_IF_ERROR(fs_.Reclaim());
  return Ok();
}

Status History::Recompress() {
  DEDUPFS_RETURN_IF_ERROR(fs_.Recompress());
  return Ok();
}

}  // namespace dedupfs

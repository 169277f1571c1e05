// Writes a tree of a store into a directory of the disk, as plain files: the way out that needs no
// mount.
//
// Kept: content, holes, names, hard links, symlinks, special files, modes, owners (root only),
// xattrs with ACLs, access and modification times. What exists is never written over.
//
// Thread safety: runs once, on one thread; the FileSystem works on all cores.
// Ownership:     borrows the FileSystem.
// Durability:    once it returned OK the tree would survive a power cut.
// Errors:        an entry that cannot be read, or not kept as it is, goes to `problem`, and the
//                work goes on. What can be read of a damaged file is written, the rest stays a hole
//                and goes to `problem` by its ranges; such a file is named NAME.damaged (.damaged-2
//                where that is taken), never NAME. One without a readable byte is left out. The call
//                fails where the disk refuses: ENOSPC, EDQUOT, EROFS, EIO, and ENOTEMPTY for a directory in
//                which there is something. `.dedupfs-export` is in it for as long as the work is
//                not done.
// Memory:        bounded by the depth of the tree: hard links are found again through the disk.
// Units:         bytes of content, without holes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "fs/file_system.h"

namespace dedupfs {

struct ExportReport {
  uint64_t files = 0;
  uint64_t directories = 0;
  uint64_t symlinks = 0;
  uint64_t special_files = 0;
  uint64_t hard_links = 0;  // further names of a file
  uint64_t bytes = 0;
  uint64_t problems = 0;
  uint64_t damaged = 0;        // of them: what the store could not give, whole or in part
  uint64_t damaged_files = 0;  // of those: files that were written in part
  uint64_t owners_not_kept = 0;  // for want of root
};

struct ExportHooks {
  std::function<void(const std::string& path, const Error&)> problem;
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// Exports what is at `path` ("/a/b"; "" or "/": everything). A directory's entries, and its own
// attributes, go to `target`, which is made or empty; anything else becomes one entry of `target`.
// ENOENT, ENOTDIR: no such path in the store.
Result<ExportReport> ExportTree(FileSystem& file_system, const std::string& path,
                                const std::string& target, const ExportHooks& hooks);

}  // namespace dedupfs

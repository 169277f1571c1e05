// Gives a file of the disk the owner, xattrs (ACLs too), mode and times that it has in the store.
//
// Thread safety: the process's one exporting thread.
// Ownership:     borrows the FileSystem and the descriptor of the directory.
// Durability:    nothing is synced.
// Errors:        each thing that could not be kept goes to `lost`; the rest is still done.
#pragma once

#include <functional>
#include <string>

#include "fs/file_system.h"

namespace dedupfs {

// An entry of a directory that is being filled.
struct ExportPlace {
  int directory = -1;  // open
  std::string name;    // in it; "." is the directory itself
};

// What became of the owner.
enum class OwnerKept { kYes, kNeedsRoot };

// Nothing may be written to the entry afterwards (times), and nothing made in it (default ACLs).
OwnerKept ApplyAttributes(FileSystem& file_system, const Attributes& attributes,
                          const ExportPlace& place, const std::function<void(const Error&)>& lost);

}  // namespace dedupfs

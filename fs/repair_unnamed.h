// Files in lost+found of the chunks that no recipe names, for a repair after which recipes may be
// lost: the chunks would go with the next reclaim. Not of those that were dead already.
//
// Thread safety: one thread.
// Ownership:     borrows everything in Parts.
// Durability:    the caller's: writes are buffered.
// Errors:        those of the databases.
#pragma once

#include <functional>
#include <string>

#include "chunkstore/base/error.h"
#include "chunkstore/base/kv.h"
#include "chunkstore/index_repair.h"
#include "fs/content/content_repair.h"
#include "fs/namespace/namespace_repair.h"

namespace dedupfs {

struct UnnamedParts {
  Kv& kv;       // that is mended; its recipes are
  Kv& scratch;  // what the packs hold
  IndexRepair& index;
  NamespaceRepair& names;
  ContentRepair& content;
  bool counts_known;  // no row of a chunk is lost: those with a count of zero are dead
  std::function<void(const std::string& kind, const std::string& what)> report;
};

// Of chunks that a pack holds, and of those of which only an extra copy is whole.
Status KeepUnnamedChunks(const UnnamedParts& parts);

}  // namespace dedupfs

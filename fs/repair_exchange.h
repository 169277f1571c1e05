// Puts the database that a repair has made in the place of the store's, which stays as
// `db.damaged-N` (format: docs/format/store.md).
//
// Thread safety: one thread, which holds the store's lock.
// Durability:    when OK is returned, the exchange survives a power cut.
// Errors:        those of the directory; then the store's database is where it was, and the new one
//                under its own name, or under that of the next one to be kept after a kill.
#pragma once

#include <functional>
#include <string>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"
#include "fs/store_directory.h"

namespace dedupfs {

// The database of the store; where there is none, as after a kill on a file system that cannot
// exchange names, the one that was put aside last.
Result<std::string> DatabaseToRepair(const StoreDirectory& store);

// `made`: the new database, closed and synced, in the directory of the store. Returns the name of
// the old one; empty where there was none. `before_exchange` is asked when only the exchange is
// left; an error of it leaves things as a kill there would.
Result<std::string> ExchangeDatabases(Env& env, const StoreDirectory& store,
                                      const std::string& made,
                                      const std::function<Status()>& before_exchange);

}  // namespace dedupfs

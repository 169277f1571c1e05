// The store that a killed daemon would leave: a copy of the directory of an open store.
//
// The copy is of one instant: it is taken again until no file was changed, made or removed
// meanwhile, so the store must come to rest for some milliseconds now and then.
#pragma once

#include <string>

namespace dedupfs {

// Copies the regular files under `from` to `to`, which is replaced. A test failure if the store
// does not come to rest.
void CopyStoreOfOneInstant(const std::string& from, const std::string& to);

}  // namespace dedupfs

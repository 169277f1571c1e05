// Copies a file of the disk.
//
// Thread safety: a function without state.
// Durability:    the content of the copy is synced, its name is not.
// Errors:        those of the Env; EEXIST where there is a file `to`. What was written stays.
// Units:         bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "chunkstore/base/env.h"
#include "chunkstore/base/error.h"

namespace dedupfs {

// `copied`, if there is one, gets the size of each piece.
Status CopyFile(Env& env, const std::string& from, const std::string& to,
                const std::function<void(uint64_t bytes)>& copied = nullptr);

}  // namespace dedupfs

// The operations of scrubbing (documented in docs/format/control-socket.md).
//
// Thread safety: every function may be called concurrently.
// Errors:        EINVAL naming a wrong argument, else what the FileSystem returned.
// Units:         fields named _bytes are bytes, those named _s are seconds.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "chunkstore/base/error.h"
#include "fs/file_system.h"

namespace dedupfs {

// "scrub": begins, or goes on; returns at once.
Result<nlohmann::json> RunScrub(FileSystem& file_system, const nlohmann::json& arguments);
// "scrub_status": how it is, once none runs or after wait_ms.
Result<nlohmann::json> RunScrubStatus(FileSystem& file_system, const nlohmann::json& arguments);
Result<nlohmann::json> RunScrubCancel(FileSystem& file_system, const nlohmann::json& arguments);
// Portions of what is damaged now, each with where the next begins.
Result<nlohmann::json> RunDamagedChunks(FileSystem& file_system, const nlohmann::json& arguments);
Result<nlohmann::json> RunDamagedFiles(FileSystem& file_system, const nlohmann::json& arguments);

nlohmann::json ScrubToJson(const ScrubStatus& status);

}  // namespace dedupfs

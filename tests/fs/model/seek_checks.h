// What SEEK_DATA and SEEK_HOLE may answer for a file whose bytes are known.
//
// Errors: wrong answers are test failures.
#pragma once

#include <cstdint>
#include <string>

#include "fs/file_system.h"

namespace dedupfs {

// Both answers from `offset` on skip no byte that is not zero, and point where they claim.
void ExpectSoundSeek(FileSystem& fs, OpenFile& file, const std::string& bytes, uint64_t offset);

// Every whole aligned 4 KiB block is a hole if and only if it is zeros: what holds once all
// content is chunked.
void ExpectExactHoles(FileSystem& fs, OpenFile& file, const std::string& bytes);

}  // namespace dedupfs

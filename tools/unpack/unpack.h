// The commands of dedupfs-unpack. Each reads packs alone, writes its answer to stdout and what is
// wrong to stderr, and returns the exit code of the program.
#pragma once

#include <string>
#include <vector>

namespace dedupfs {

inline constexpr int kExitOk = 0;
inline constexpr int kExitDamage = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitCannotRead = 3;

// One line for each record, or one JSON document.
int ListPacks(const std::vector<std::string>& packs, bool json);
// Checks checksum and SHA-256 of every record.
int VerifyPacks(const std::vector<std::string>& packs);
// Writes the content of one chunk, named by its id or by its fingerprint in hexadecimal.
int CatChunk(const std::string& pack, const std::string& name);
// Writes the content of every chunk to `directory`/<fingerprint>.
int ExtractPacks(const std::string& directory, const std::vector<std::string>& packs);

}  // namespace dedupfs

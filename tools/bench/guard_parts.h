// The parts whose instructions the guard counts (tools/bench/guard.py). Each does the same work for
// each unit of `count`, so that the difference of two runs is the cost of the units alone.
//
// Thread safety: one call in a process.
// Errors:        any ends the program.
#pragma once

#include <cstdint>
#include <string>

namespace dedupfs {

// Makes the store that CountLookup or CountCreate needs. Runs on its own, so that nothing of it is
// counted.
void PrepareLookup(const std::string& directory);
void PrepareCreate(const std::string& directory);

// `count` MiB through FindCutAvx2. False where the processor lacks it.
bool CountChunker(uint64_t count);
// `count` MiB in pairs of 32 KiB.
void CountFingerprint(uint64_t count);
// `count` fingerprints that are in the index, from fingerprint to chunk row, 512 at a time as
// ingest of a slice does. A pass over all of them comes first, so that the block cache is warm.
void CountLookup(const std::string& directory, uint64_t count);
// `count` files of 4 KiB, 1,000 in a folder, by the calls of the FUSE adapter; commits at the end.
void CountCreate(const std::string& directory, uint64_t count);

}  // namespace dedupfs

// Random bytes for the chunking tests, from a seed that a failed run prints.
//
// Thread safety: none; each test has its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>

#include "chunkstore/base/bytes.h"

namespace dedupfs {

// The value of DEDUPFS_TEST_SEED, or else a new one. Printed, and recorded in the test's result.
uint64_t TestSeed();

Buffer RandomBytes(std::mt19937_64& random, size_t size);

// From 0 to `most`, both included.
size_t RandomUpTo(std::mt19937_64& random, size_t most);

}  // namespace dedupfs

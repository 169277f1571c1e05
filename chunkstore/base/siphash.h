// SipHash-2-4 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a keyed hash, so
// that nobody without the key can aim collisions.
#pragma once

#include <array>
#include <cstdint>

#include "chunkstore/base/bytes.h"

namespace dedupfs {

using SipKey = std::array<uint8_t, 16>;

uint64_t SipHash(const SipKey& key, Bytes data);

}  // namespace dedupfs

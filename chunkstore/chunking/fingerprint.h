// The identity of a chunk: SHA-256 (FIPS 180-4) of its content.
//
// Thread safety: every function may be called concurrently.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"

namespace dedupfs {

struct Fingerprint {
  std::array<uint8_t, 32> bytes{};

  bool operator==(const Fingerprint&) const = default;
  std::string_view text() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string Hex() const;
};

struct FingerprintHash {
  size_t operator()(const Fingerprint& fp) const {
    size_t value;
    std::memcpy(&value, fp.bytes.data(), sizeof value);
    return value;
  }
};

Fingerprint FingerprintOf(Bytes data);
// Two at once, interleaved where the processor has SHA-NI.
void FingerprintPair(Bytes first, Bytes second, Fingerprint& first_out, Fingerprint& second_out);
// XXH3-64 (checksum: detects rot), of several pieces as one text.
uint64_t Checksum(std::span<const Bytes> pieces);

}  // namespace dedupfs

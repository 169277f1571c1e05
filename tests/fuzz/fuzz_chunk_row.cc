// The parsers of the chunk index: any bytes give an error or a row that encodes to the same bytes.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "chunkstore/chunk_row.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto row = dedupfs::ParseChunkRow(bytes, 1)) {
    if (dedupfs::EncodeChunkRow(*row) != bytes) std::abort();
  }
  if (const auto row = dedupfs::ParsePackRow(bytes, 1)) {
    if (dedupfs::EncodePackRow(*row) != bytes) std::abort();
  }
  if (const auto row = dedupfs::ParseTotalsRow(bytes)) {
    if (dedupfs::EncodeTotalsRow(*row) != bytes) std::abort();
  }
  if (const auto id = dedupfs::ParseFingerprintEntry(bytes, {})) {
    if (dedupfs::EncodeFingerprintEntry(*id) != bytes) std::abort();
  }
  return 0;
}

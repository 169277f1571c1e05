// Every parser of pack bytes takes any bytes; what a parser accepts is within its bounds.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "chunkstore/base/bytes.h"
#include "chunkstore/chunking/chunker.h"
#include "chunkstore/packs/pack_format.h"

namespace dedupfs {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void RequireHeader(const RecordHeader& header) {
  Require(header.raw >= 1 && header.raw <= kLargestChunk);
  Require(header.stored >= 1 && header.stored <= header.raw);
  Require(static_cast<uint8_t>(header.codec) < kCodecCount);
}

void FuzzToc(std::string_view text) {
  const auto footer = ParseFooter(text, 1, text.size());
  if (footer && *footer) {
    Require((*footer)->toc_offset + (*footer)->toc_size + kFooterSize == text.size());
    const auto toc = text.substr((*footer)->toc_offset, (*footer)->toc_size);
    const auto entries = ParseToc(toc, **footer);
    if (entries) {
      for (const PackEntry& entry : *entries) RequireHeader(entry.header);
    }
  }
}

void FuzzSeal(const RecordHeader& header) {
  const uint64_t end = kPackHeaderSize + kRecordHeaderSize + header.stored;
  const std::string seal = EncodeSeal(1, end, {{header, kPackHeaderSize}});
  const auto footer = ParseFooter(seal, 1, end + seal.size());
  Require(footer && footer->has_value());
  const auto entries = ParseToc(std::string_view(seal).substr(0, (*footer)->toc_size), **footer);
  Require(entries && entries->size() == 1 && entries->front().header.id == header.id);
}

}  // namespace
}  // namespace dedupfs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace dedupfs;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)ParsePackHeader(text, 1);
  (void)ParsePackFileName(text);
  (void)VerifyRecord(AsBytes(text));
  if (const auto header = ParseRecordHeader(text)) {
    RequireHeader(*header);
    FuzzSeal(*header);
    const Bytes stored = AsBytes(text.substr(kRecordHeaderSize));
    if (stored.size() >= header->stored) {
      const Bytes exact = stored.first(header->stored);
      std::string record = EncodeRecordHeader(*header, exact);
      record.append(AsText(exact));
      Require(VerifyRecord(AsBytes(record)).has_value());
    }
  }
  FuzzToc(text);
  return 0;
}

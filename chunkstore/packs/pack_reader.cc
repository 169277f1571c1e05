#include "chunkstore/packs/pack_reader.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "chunkstore/chunking/chunker.h"

namespace dedupfs {
namespace {

constexpr size_t kWindowBytes = 1 << 20;
static_assert(kWindowBytes >= kRecordHeaderSize + kLargestChunk);

bool SameHeader(const RecordHeader& a, const RecordHeader& b) {
  return a.id == b.id && a.fingerprint == b.fingerprint && a.codec == b.codec && a.raw == b.raw &&
         a.stored == b.stored;
}

// The table's entry at or after `offset`.
const PackEntry* EntryFrom(const PackReader::Toc& toc, uint64_t offset) {
  const auto entry =
      std::lower_bound(toc.entries.begin(), toc.entries.end(), offset,
                       [](const PackEntry& e, uint64_t wanted) { return e.offset < wanted; });
  return entry == toc.entries.end() ? nullptr : &*entry;
}

}  // namespace

Result<Bytes> PackReader::BytesAt(uint64_t offset, size_t wanted) {
  const uint64_t there = offset < size_ ? size_ - offset : 0;
  const uint64_t window_end = window_at_ + window_.size();
  if (offset >= window_at_ && offset <= window_end &&
      window_end - offset >= std::min<uint64_t>(wanted, there)) {
    return Bytes(window_).subspan(offset - window_at_);
  }
  window_.resize(std::min<uint64_t>(std::max(wanted, kWindowBytes), there));
  window_at_ = offset;
  auto count = file_.ReadAt(offset, window_);
  if (!count) window_.clear();
  DEDUPFS_RETURN_IF_ERROR(count);
  window_.resize(*count);
  return Bytes(window_);
}

Result<std::optional<PackReader::Toc>> PackReader::ReadToc(std::string& damage) {
  if (size_ < kPackHeaderSize + kFooterSize) return std::optional<Toc>();
  DEDUPFS_ASSIGN_OR_RETURN(const Bytes last, BytesAt(size_ - kFooterSize, kFooterSize));
  const auto footer = ParseFooter(AsText(last), id_, size_);
  if (!footer) {
    damage = footer.error().message;
    return std::optional<Toc>();
  }
  if (!footer->has_value()) return std::optional<Toc>();
  const uint64_t toc_size = (*footer)->toc_size;
  DEDUPFS_ASSIGN_OR_RETURN(const Bytes bytes, BytesAt((*footer)->toc_offset, toc_size));
  auto entries = ParseToc(AsText(bytes).substr(0, toc_size), **footer);
  if (!entries) {
    damage = entries.error().message;
    return std::optional<Toc>();
  }
  return std::optional<Toc>(Toc{(*footer)->toc_offset, std::move(*entries)});
}

Result<PackReader::Record> PackReader::RecordAt(uint64_t offset) {
  Record record;
  DEDUPFS_ASSIGN_OR_RETURN(Bytes bytes, BytesAt(offset, kRecordHeaderSize));
  const auto header = ParseRecordHeader(AsText(bytes));
  if (!header) {
    record.damage = header.error().message;
    return record;
  }
  record.header = *header;
  const size_t whole = kRecordHeaderSize + header->stored;
  DEDUPFS_ASSIGN_OR_RETURN(bytes, BytesAt(offset, whole));
  if (bytes.size() < whole) {
    record.damage = "record is cut short";
    return record;
  }
  bytes = bytes.first(whole);
  if (const Status status = VerifyRecord(bytes); !status) record.damage = status.error().message;
  record.stored = bytes.subspan(kRecordHeaderSize);
  return record;
}

Result<std::optional<uint64_t>> PackReader::Search(uint64_t from) {
  const std::string magic = EncodeRecordHeader({}, {}).substr(0, 4);
  while (from + kRecordHeaderSize < size_) {
    DEDUPFS_ASSIGN_OR_RETURN(const Bytes bytes, BytesAt(from, kRecordHeaderSize));
    if (bytes.size() < kRecordHeaderSize) break;
    const size_t found = AsText(bytes).find(magic);
    if (found == std::string_view::npos) {
      from += bytes.size() - (magic.size() - 1);
      continue;
    }
    from += found;
    DEDUPFS_ASSIGN_OR_RETURN(const Record record, RecordAt(from));
    if (record.damage.empty()) return std::optional<uint64_t>(from);
    ++from;
  }
  return std::optional<uint64_t>();
}

Status PackReader::CheckHeader(const Visitor& visitor) {
  DEDUPFS_ASSIGN_OR_RETURN(const Bytes bytes, BytesAt(0, kPackHeaderSize));
  if (const Status status = ParsePackHeader(AsText(bytes), id_); !status) {
    visitor.damage({0, std::nullopt, status.error().message});
  }
  return Ok();
}

Result<bool> PackReader::Walk(AfterDamage after_damage, const Visitor& visitor) {
  std::string toc_damage;
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<Toc> toc, ReadToc(toc_damage));
  DEDUPFS_RETURN_IF_ERROR(CheckHeader(visitor));
  if (!toc_damage.empty()) visitor.damage({size_, std::nullopt, toc_damage});

  uint64_t offset = kPackHeaderSize;
  while (offset < size_ && !(toc && offset == toc->offset)) {
    const PackEntry* named = toc ? EntryFrom(*toc, offset) : nullptr;
    DEDUPFS_ASSIGN_OR_RETURN(const Record record, RecordAt(offset));
    if (record.damage.empty()) {
      const PackEntry entry{*record.header, offset};
      if (toc && (!named || named->offset != offset || !SameHeader(named->header, entry.header))) {
        visitor.damage({offset, entry.header.id, "table of contents does not name this record"});
      }
      if (!visitor.record(entry, record.stored)) return toc.has_value();
      offset += kRecordHeaderSize + entry.header.stored;
      continue;
    }
    std::optional<ChunkId> id;
    if (record.header) id = record.header->id;
    if (named && named->offset == offset) id = named->header.id;
    visitor.damage({offset, id, record.damage});
    if (toc) {
      const PackEntry* next = EntryFrom(*toc, offset + 1);
      offset = next ? next->offset : toc->offset;
    } else if (after_damage == AfterDamage::kSearch) {
      DEDUPFS_ASSIGN_OR_RETURN(const auto next, Search(offset + 1));
      if (!next) return false;
      offset = *next;
    } else {
      return false;
    }
  }
  return toc && offset == toc->offset;
}

}  // namespace dedupfs

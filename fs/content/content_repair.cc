#include "fs/content/content_repair.h"

#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "chunkstore/base/coding.h"
#include "fs/content/dirty_row.h"
#include "fs/damage.h"

namespace dedupfs {
namespace {

constexpr uint64_t kLostPiece = 256 << 10;  // divides a page
static_assert(kLostPiece <= kLargestChunk && kRecipePageSpan % kLostPiece == 0);

std::string Text(Ino ino) { return "inode " + std::to_string(ino); }

std::string Range(uint64_t begin, uint64_t end) {
  return RangeText(begin, end - begin) + " are lost";
}

// The inode of the next key; 0 at the end.
Result<Ino> NextIno(Kv& kv, Family family, Ino from) {
  const auto rows = kv.Iterate(family, BigU64(from), "");
  if (!rows->Valid()) {
    DEDUPFS_RETURN_IF_ERROR(rows->status());
    return Ino{0};
  }
  return rows->key().size() < sizeof(Ino) ? from : ParseBigU64(rows->key());
}

}  // namespace

Status ContentRepair::Put(Family family, const std::string& key, const std::string& value) {
  Batch batch;
  batch.Put(family, key, value);
  return kv_.Write(batch, Durability::kBuffered);
}

Status ContentRepair::Delete(Family family, std::string_view key) {
  Batch batch;
  batch.Delete(family, key);
  return kv_.Write(batch, Durability::kBuffered);
}

Status ContentRepair::Run(ChunkId& next_id) {
  for (const Family family : {Family::kContent, Family::kRecipe, Family::kDirty}) {
    const size_t size = family == Family::kContent ? 8 : family == Family::kRecipe ? 16 : 20;
    const auto rows = kv_.Iterate(family, "", "");
    for (; rows->Valid(); rows->Next()) {
      if (rows->key().size() == size && ParseBigU64(rows->key()) != 0) continue;
      report_("content rows with keys of a wrong length", "");
      DEDUPFS_RETURN_IF_ERROR(Delete(family, rows->key()));
    }
    DEDUPFS_RETURN_IF_ERROR(rows->status());
  }
  Ino from = 1;
  while (true) {
    Ino next = 0;
    for (const Family family : {Family::kContent, Family::kRecipe, Family::kDirty}) {
      DEDUPFS_ASSIGN_OR_RETURN(const Ino found, NextIno(kv_, family, from));
      if (found != 0 && (next == 0 || found < next)) next = found;
    }
    if (next == 0) return Ok();
    highest_ = next;
    DEDUPFS_RETURN_IF_ERROR(MendFile(next, next_id));
    if (next == UINT64_MAX) return Ok();
    from = next + 1;
  }
}

Status ContentRepair::DropFile(Ino ino) {
  report_("content of what is no regular file, removed", Text(ino));
  recipes_lost_ = true;
  const std::string prefix = ContentKey(ino);
  for (const Family family : {Family::kContent, Family::kRecipe, Family::kDirty}) {
    const auto rows = kv_.Iterate(family, prefix, PrefixEnd(prefix));
    for (; rows->Valid(); rows->Next()) DEDUPFS_RETURN_IF_ERROR(Delete(family, rows->key()));
    DEDUPFS_RETURN_IF_ERROR(rows->status());
  }
  return Ok();
}

// False: no inode that could have content. The mode is the second field of an inode record, after
// the version; what the record is like else is the namespace's business, which has mended it.
Result<bool> ContentRepair::LoadRecord(File& file) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto inode, kv_.Get(Family::kInode, BigU64(file.ino)));
  if (!inode) return false;
  Decoder in(*inode);
  in.U8();
  if (!S_ISREG(in.Varint())) return false;
  file.orphaned = in.Varint() == 0;
  DEDUPFS_ASSIGN_OR_RETURN(const auto value, kv_.Get(Family::kContent, ContentKey(file.ino)));
  if (!value) return true;
  const auto record = ParseContentRecord(file.ino, *value);
  if (!record) return true;
  file.record = *record;
  file.has_record = true;
  return true;
}

void ContentRepair::LoseRange(File& file, uint64_t begin, uint64_t end, RecipeEntries& out,
                              ChunkId& next_id) {
  begin = std::max(begin, file.end);
  if (begin >= end) return;
  harmed_(file.ino, Range(begin, end));
  file.harmed = true;
  recipes_lost_ = true;
  while (begin < end) {
    const auto length = static_cast<uint32_t>(std::min(end - begin, kLostPiece));
    const auto [known, made] = lost_by_length_.try_emplace(length, next_id);
    if (made) lost_raw_[next_id++] = length;
    out.push_back({begin, length, known->second});
    file.data += length;
    file.lost += length;
    begin += length;
  }
  file.end = end;
}

Status ContentRepair::MendPages(File& file, ChunkId& next_id) {
  const std::string prefix = ContentKey(file.ino);
  const uint64_t limit = file.has_record ? file.record.recipe_size : kMaxFileSize;
  const auto rows = kv_.Iterate(Family::kRecipe, prefix, PrefixEnd(prefix));
  for (; rows->Valid(); rows->Next()) {
    const std::string key(rows->key());
    const uint64_t page = RecipePageOfKey(key);
    const auto parsed = ParseRecipePage(file.ino, page, rows->value());
    RecipeEntries entries;
    bool right = parsed.has_value();
    if (right) {
      entries = *parsed;
      right = entries.front().offset >= file.end && entries.back().end() <= limit;
    }
    if (right) {
      ++file.pages;
      file.end = entries.back().end();
      for (const RecipeEntry& entry : entries) file.data += entry.length;
      continue;
    }
    if (page > kMaxFileSize / kRecipePageSpan || page * kRecipePageSpan >= limit) {
      report_("recipe pages beyond the end of their file", Text(file.ino));
      DEDUPFS_RETURN_IF_ERROR(Delete(Family::kRecipe, key));
      continue;
    }
    report_("recipe pages that cannot be read", Text(file.ino) + " page " + std::to_string(page));
    entries.clear();
    const uint64_t end = file.has_record ? std::min(limit, (page + 1) * kRecipePageSpan)
                                         : (page + 1) * kRecipePageSpan;
    LoseRange(file, page * kRecipePageSpan, end, entries, next_id);
    if (entries.empty()) {
      DEDUPFS_RETURN_IF_ERROR(Delete(Family::kRecipe, key));
      continue;
    }
    ++file.pages;
    DEDUPFS_RETURN_IF_ERROR(Put(Family::kRecipe, key, EncodeRecipePage(page, entries)));
  }
  return rows->status();
}

// The record knows how many bytes are no hole. Where the pages have fewer, some page is missing;
// which one nobody knows, so all that are not there count as lost.
Status ContentRepair::FillMissingPages(File& file, ChunkId& next_id) {
  const uint64_t right = file.data - file.lost;
  if (!file.has_record || file.orphaned || file.harmed || right >= file.record.data_bytes) {
    return Ok();
  }
  report_("files with missing recipe pages", Text(file.ino));
  const std::string prefix = ContentKey(file.ino);
  const auto rows = kv_.Iterate(Family::kRecipe, prefix, PrefixEnd(prefix));
  uint64_t page = 0;
  file.end = 0;
  const auto fill = [&](uint64_t stop) -> Status {
    for (; page < stop && page * kRecipePageSpan < file.record.recipe_size; ++page) {
      RecipeEntries entries;
      LoseRange(file, page * kRecipePageSpan,
                std::min(file.record.recipe_size, (page + 1) * kRecipePageSpan), entries, next_id);
      if (entries.empty()) continue;
      DEDUPFS_RETURN_IF_ERROR(
          Put(Family::kRecipe, RecipeKey(file.ino, page), EncodeRecipePage(page, entries)));
    }
    return Ok();
  };
  for (; rows->Valid(); rows->Next()) {
    const uint64_t there = RecipePageOfKey(rows->key());
    DEDUPFS_RETURN_IF_ERROR(fill(there));
    DEDUPFS_ASSIGN_OR_RETURN(const RecipeEntries entries,
                             ParseRecipePage(file.ino, there, rows->value()));
    file.end = entries.back().end();
    page = there + 1;
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  DEDUPFS_RETURN_IF_ERROR(fill(UINT64_MAX));
  if (!file.harmed) harmed_(file.ino, "some of its bytes are lost");
  file.harmed = true;
  recipes_lost_ = true;
  return Ok();
}

Status ContentRepair::MendDirty(File& file) {
  const std::string prefix = ContentKey(file.ino);
  const auto rows = kv_.Iterate(Family::kDirty, prefix, PrefixEnd(prefix));
  uint64_t kept = 0;
  for (; rows->Valid(); rows->Next()) {
    if (file.has_record && !file.record.has_dirty_rows) {
      report_("dirty extents that the record does not know of, removed", Text(file.ino));
      DEDUPFS_RETURN_IF_ERROR(Delete(Family::kDirty, rows->key()));
      continue;
    }
    const auto row = ParseDirtyRow(rows->key(), rows->value());
    if (!row) {
      report_("dirty extents that cannot be read", Text(file.ino));
      harmed_(file.ino, "a change that was synced is lost");
      DEDUPFS_RETURN_IF_ERROR(Delete(Family::kDirty, rows->key()));
      continue;
    }
    ++kept;
    if (!file.has_record) file.record.size = std::max(file.record.size, row->offset + row->length);
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  if (file.has_record && file.record.has_dirty_rows && kept == 0) {
    report_("files whose dirty extents are gone", Text(file.ino));
    harmed_(file.ino, "its last synced changes are lost");
  }
  file.record.has_dirty_rows = kept != 0;
  return Ok();
}

Status ContentRepair::MendFile(Ino ino, ChunkId& next_id) {
  File file;
  file.ino = ino;
  DEDUPFS_ASSIGN_OR_RETURN(const bool regular, LoadRecord(file));
  if (!regular) return DropFile(ino);
  const std::string before = file.has_record ? EncodeContentRecord(file.record) : std::string();
  DEDUPFS_RETURN_IF_ERROR(MendPages(file, next_id));
  DEDUPFS_RETURN_IF_ERROR(FillMissingPages(file, next_id));
  DEDUPFS_RETURN_IF_ERROR(MendDirty(file));
  return Finish(file, before);
}

Status ContentRepair::Finish(File& file, const std::string& before) {
  ContentRecord& record = file.record;
  if (!file.has_record) {
    report_("content records made anew", Text(file.ino));
    harmed_(file.ino, "its size and times are lost; it ends where its last chunk ends");
    recipes_lost_ = true;
    record.recipe_size = file.end;
    record.size = std::max(record.size, file.end);
    record.policy = {ChunkingKind::kContentDefined, average_};
    record.policy_chosen = true;
    record.mtime = record.ctime = Now();
    record.data_bytes = file.data;
  } else if (!file.orphaned && file.data != record.data_bytes) {
    if (!file.harmed) {
      report_("sums of data bytes", Text(file.ino));
      if (file.data > record.data_bytes) {
        harmed_(file.ino, "its recipe and its record differ; some bytes may be older");
      }
    }
    record.data_bytes = file.data;
  }
  const std::string after = EncodeContentRecord(record);
  return after == before ? Ok() : Put(Family::kContent, ContentKey(file.ino), after);
}

}  // namespace dedupfs

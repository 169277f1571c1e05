#include "chunkstore/chunk_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"

namespace dedupfs {
namespace {

std::string Where(ChunkId id, const Location& location) {
  return "chunk " + std::to_string(id) + " in pack " + std::to_string(location.pack) +
         " at offset " + std::to_string(location.offset);
}

Status CopyRange(ChunkId id, const Buffer& raw, uint32_t offset, MutableBytes out) {
  if (offset > raw.size() || out.size() > raw.size() - offset) {
    return Fail(EINVAL, "bytes " + std::to_string(offset) + " to " +
                            std::to_string(offset + out.size()) + " of chunk " +
                            std::to_string(id) + ", which has " + std::to_string(raw.size()));
  }
  if (!out.empty()) std::memcpy(out.data(), raw.data() + offset, out.size());
  return Ok();
}

bool SaysDamage(const Error& error) { return error.code == EIO || error.code == ENOENT; }

}  // namespace

Status ReadRecord(Packs& packs, ChunkId id, const ChunkRow& row, Buffer& raw) {
  raw.resize(row.raw);
  return ReadRecordInto(packs, id, row, raw);
}

Status ReadRecordInto(Packs& packs, ChunkId id, const ChunkRow& row, MutableBytes out) {
  thread_local Buffer scratch;
  DEDUPFS_ASSIGN_OR_RETURN(const Packs::Record record, packs.Read(row.location, id, scratch));
  const RecordHeader& header = record.header;
  if (header.raw != row.raw || header.codec != row.codec ||
      !(header.fingerprint == row.fingerprint)) {
    return Corrupt("the record of " + Where(id, row.location) + " is not what its row says");
  }
  return Decompress(row.codec, record.stored, out);
}

Status ChunkReader::Read(ChunkId id, uint32_t offset, MutableBytes out) {
  if (const auto cached = parts_.cache.Find(id)) return CopyRange(id, *cached, offset, out);
  DEDUPFS_ASSIGN_OR_RETURN(const ChunkRow row, FindRow(id));
  return ReadFrom({id, offset, out}, row);
}

Status ChunkReader::ReadMany(std::span<const ChunkStore::ReadItem> items) {
  std::vector<Status> done(items.size());
  std::vector<size_t> missing;
  std::vector<ChunkId> ids;
  for (size_t i = 0; i < items.size(); ++i) {
    if (const auto cached = parts_.cache.Find(items[i].id)) {
      done[i] = CopyRange(items[i].id, *cached, items[i].offset, items[i].out);
    } else {
      missing.push_back(i);
      ids.push_back(items[i].id);
    }
  }
  if (!missing.empty()) {
    // Uncommitted ones first: what is not there any more has reached the database.
    const auto pending = parts_.in_flight.Collect(ids);
    DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, ids));
    parts_.pool.ParallelFor(missing.size(), [&](size_t k) {
      const ChunkStore::ReadItem& item = items[missing[k]];
      const auto uncommitted = pending.find(item.id);
      if (uncommitted != pending.end()) {
        done[missing[k]] = ReadFrom(item, uncommitted->second.row);
      } else if (rows[k].row) {
        done[missing[k]] = ReadFrom(item, *rows[k].row);
      } else {
        done[missing[k]] = Read(item.id, item.offset, item.out);
      }
    });
  }
  for (Status& status : done) {
    if (!status) return std::move(status);
  }
  return Ok();
}

Result<ChunkRow> ChunkReader::FindRow(ChunkId id) {
  if (const auto uncommitted = parts_.in_flight.Find(id)) return *uncommitted;
  DEDUPFS_ASSIGN_OR_RETURN(const auto rows, LoadChunkRows(parts_.kv, {&id, 1}));
  if (rows[0].damage) return Fail(*rows[0].damage);
  if (!rows[0].row) return Fail(ENOENT, "there is no chunk " + std::to_string(id));
  return *rows[0].row;
}

Status ChunkReader::ReadFrom(const ChunkStore::ReadItem& item, const ChunkRow& row) {
  Status loaded = Load(item, row);
  if (!loaded && SaysDamage(loaded.error())) {
    // The record may have moved, or gone with its chunk, since the row was read.
    DEDUPFS_ASSIGN_OR_RETURN(const ChunkRow now, FindRow(item.id));
    // Once more from the start: it may move again before it is read there.
    if (!(now.location == row.location)) return ReadFrom(item, now);
    LogError("chunk_damaged", Where(item.id, now.location) + ": " + loaded.error().message);
    if (!now.condemned) parts_.condemn(item.id, now.location);
    if (const auto raw = parts_.rescue(item.id, now)) {
      return CopyRange(item.id, *raw, item.offset, item.out);
    }
    return Fail(EIO, Where(item.id, now.location) + " is damaged: " + loaded.error().message);
  }
  return loaded;
}

// A chunk that is read whole goes to its reader and nowhere else: whoever reads on has it in the
// page cache. Of one that is read in part the next read wants the rest.
Status ChunkReader::Load(const ChunkStore::ReadItem& item, const ChunkRow& row) {
  if (item.offset == 0 && item.out.size() == row.raw) {
    return ReadRecordInto(parts_.packs, item.id, row, item.out);
  }
  auto raw = std::make_shared<Buffer>();
  DEDUPFS_RETURN_IF_ERROR(ReadRecord(parts_.packs, item.id, row, *raw));
  parts_.cache.Insert(item.id, raw);
  return CopyRange(item.id, *raw, item.offset, item.out);
}

}  // namespace dedupfs

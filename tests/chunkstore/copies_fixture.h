// A chunk store that keeps extra copies of chunks with more than two references.
#pragma once

#include <string>
#include <vector>

#include "chunkstore/base/coding.h"
#include "chunkstore/chunk_table.h"
#include "chunkstore/copy_rows.h"
#include "chunkstore/damage_list.h"
#include "tests/chunkstore/scrub_fixture.h"

namespace dedupfs {

inline const char* const kCopyDirectory = "/copies";

class CopiesFixture : public ScrubFixture {
 protected:
  CopiesFixture() { SwitchOn(2); }

  void SwitchOn(uint64_t references) {
    options_.copy_directory = kCopyDirectory;
    options_.extra_copy_references = references;
    Reopen();
  }

  // With so many references each.
  std::vector<ChunkId> AddOften(const std::vector<std::string>& contents, int64_t references = 3) {
    const auto ids = Add(contents);
    EXPECT_TRUE(Count(ids, references - 1));
    return ids;
  }

  CopyReport Make() {
    const auto report = store_->MakeCopies({});
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(CopyReport{});
  }

  std::optional<Location> CopyOf(ChunkId id) {
    const auto copies = LoadCopies(*kv_, {&id, 1});
    EXPECT_TRUE(copies);
    return copies ? (*copies)[0] : std::nullopt;
  }

  std::string CopyPath(PackId pack) { return "/copies/" + PackFileName(pack); }

  void FlipCopy(ChunkId id) {
    const auto at = CopyOf(id);
    ASSERT_TRUE(at);
    ASSERT_TRUE(env_.FlipBit(CopyPath(at->pack), at->offset + kRecordHeaderSize + 3, 5));
  }

  // Marks its row, as a reader does that meets damage.
  void CondemnRow(ChunkId id) {
    const auto rows = LoadChunkRows(*kv_, {&id, 1});
    ASSERT_TRUE(rows && (*rows)[0].row);
    ChunkRow row = *(*rows)[0].row;
    row.condemned = true;
    Batch batch;
    batch.Put(Family::kChunk, BigU64(id), EncodeChunkRow(row));
    PutDamage(batch, id);
    ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  }

  void SetFull(bool full) {
    SpaceInfo space;
    if (!full) space.total = space.free = space.available = uint64_t{1} << 40;
    env_.SetSpace(space);
    Reopen();  // a grant of space lasts a moment
  }

  size_t CopyFiles() {
    const auto names = env_.List(kCopyDirectory);
    EXPECT_TRUE(names);
    return names ? names->size() : 0;
  }

  StoreStats Stats() {
    const auto stats = store_->Stats();
    EXPECT_TRUE(stats);
    return stats.value_or(StoreStats{});
  }
};

}  // namespace dedupfs

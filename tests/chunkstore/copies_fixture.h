// A chunk store that keeps extra copies of chunks with more than two references.
#pragma once

#include <string>
#include <vector>

#include "chunkstore/copy_rows.h"
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

// A chunk store whose packs can be made cold, and what its rewriting is held against.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {

class RewriteFixture : public StoreTest {
 protected:
  // Compressible, and no two alike.
  std::string Text(size_t size) {
    static constexpr std::string_view kWords[] = {"chunk ", "pack ",  "recipe ", "of ",
                                                  "the ",   "store ", "bytes\n", "0x"};
    std::string out = std::to_string(random_.Next());
    while (out.size() < size) {
      out += kWords[random_.Below(std::size(kWords))];
      if (random_.OneIn(4)) out += std::to_string(random_.Below(1000));
    }
    out.resize(size);
    return out;
  }

  std::vector<std::string> Texts(size_t count, size_t size) {
    std::vector<std::string> texts;
    texts.reserve(count);
    for (size_t i = 0; i < count; ++i) texts.push_back(Text(size));
    return texts;
  }

  std::vector<std::string> Noise(size_t count, size_t size) {
    std::vector<std::string> noise;
    noise.reserve(count);
    for (size_t i = 0; i < count; ++i) noise.push_back(random_.Bytes(size));
    return noise;
  }

  RewriteReport Recompress() {
    const auto report = store_->Recompress({});
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(RewriteReport{});
  }

  void ExpectContents(const std::vector<ChunkId>& ids, const std::vector<std::string>& contents) {
    ASSERT_EQ(ids.size(), contents.size());
    for (size_t i = 0; i < ids.size(); ++i) ExpectContent(ids[i], contents[i]);
  }

  void ExpectSound() { EXPECT_EQ(Problems(), std::vector<std::string>()); }

  Codec CodecOf(ChunkId id) {
    const auto rows = LoadChunkRows(*kv_, {&id, 1});
    EXPECT_TRUE(rows && (*rows)[0].row);
    return rows && (*rows)[0].row ? (*rows)[0].row->codec : Codec::kRaw;
  }

  void Flip(ChunkId id) {
    const Location at = Info(id).location;
    ASSERT_TRUE(env_.FlipBit(PackPath(at.pack), at.offset + kRecordHeaderSize + 3, 5));
  }

  Random random_{TestSeed()};
};

}  // namespace dedupfs

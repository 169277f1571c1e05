#include "fs/content/extent_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr size_t kSpan = 600;

// What one byte of the file is by the changes: nothing (the recipe), or an extent's.
struct Cell {
  uint64_t sequence = 0;  // 0: no change
  enum class Kind { kNone, kZeros, kData, kClone } kind = Kind::kNone;
  uint64_t source = 0;         // the byte of the data, or the offset in the clone's source
  const void* from = nullptr;  // which source

  bool operator==(const Cell&) const = default;
};
using Cells = std::array<Cell, kSpan>;

void Lay(Cells& cells, const Extent& extent) {
  for (uint64_t i = 0; i < extent.length; ++i) {
    Cell& cell = cells.at(extent.offset + i);
    cell.sequence = extent.sequence;
    cell.source = extent.zeros() ? 0 : extent.source_offset + i;
    if (extent.data != nullptr) {
      cell.kind = Cell::Kind::kData;
      cell.source = static_cast<uint64_t>(extent.bytes()[i]);
      cell.from = nullptr;
    } else if (extent.clone != nullptr) {
      cell.kind = Cell::Kind::kClone;
      cell.from = extent.clone.get();
    } else {
      cell.kind = Cell::Kind::kZeros;
      cell.from = nullptr;
    }
  }
}

// The model, extents in lists of bytes, and the map side by side.
class ExtentMapTest : public ::testing::Test {
 protected:
  Extent MakeExtent() {
    Extent extent;
    extent.offset = random_.Below(kSpan - 1);
    extent.length = random_.Between(1, std::min<uint64_t>(kSpan - extent.offset, 90));
    if (!map_.empty() && random_.Below(4) == 0) {  // exactly over one that is there
      const std::vector<Extent> all = map_.All();
      const Extent& old = all[random_.Below(all.size())];
      extent.offset = old.offset;
      extent.length = old.length;
    }
    extent.sequence = ++sequence_;
    switch (random_.Below(3)) {
      case 0:
        extent.source_offset = random_.Below(10);
        extent.data = RandomData(extent.length + extent.source_offset);
        break;
      case 1:
        extent.source_offset = random_.Below(1000);
        extent.clone = std::make_shared<CloneSource>();
        break;
      default:
        break;
    }
    return extent;
  }

  std::shared_ptr<const Buffer> RandomData(uint64_t size) {
    Buffer data(size);
    for (std::byte& byte : data) byte = static_cast<std::byte>(random_.Below(256));
    return std::make_shared<const Buffer>(std::move(data));
  }

  void Change() {
    switch (random_.Below(12)) {
      case 0: {
        const uint64_t offset = random_.Below(kSpan);
        map_.CutFrom(offset);
        std::fill(cells_.begin() + static_cast<ptrdiff_t>(offset), cells_.end(), Cell{});
        break;
      }
      case 1: {
        const uint64_t below = random_.Below(20);
        const uint64_t upto = sequence_ > below ? sequence_ - below : 0;
        map_.DropUpTo(upto);
        for (Cell& cell : cells_) {
          if (cell.sequence <= upto) cell = Cell{};
        }
        break;
      }
      default: {
        Extent extent = MakeExtent();
        Lay(cells_, extent);
        map_.Insert(std::move(extent));
      }
    }
  }

  void ExpectEqual() {
    const std::vector<Extent> all = map_.All();
    Cells seen{};
    uint64_t end = 0, weight = 0;
    for (const Extent& extent : all) {
      ASSERT_GT(extent.length, 0u);
      ASSERT_GE(extent.offset, end) << "extents overlap or are out of order";
      end = extent.end();
      ASSERT_LE(end, kSpan);
      if (extent.data != nullptr) {
        ASSERT_EQ(extent.bytes().data(), extent.data->data() + extent.source_offset);
      }
      weight += ExtentMap::kExtentOverhead + (extent.data != nullptr ? extent.length : 0);
      Lay(seen, extent);
    }
    ASSERT_TRUE(seen == cells_);
    EXPECT_EQ(map_.dirty_bytes(), weight);
    EXPECT_EQ(map_.End(), end);
    EXPECT_EQ(map_.empty(), all.empty());
  }

  void ExpectRangeEqual() {
    const uint64_t begin = random_.Below(kSpan), end = random_.Below(kSpan + 1);
    Cells seen{}, expected{};
    for (const Extent& extent : map_.Overlapping(begin, end)) {
      ASSERT_GE(extent.offset, begin);
      ASSERT_LE(extent.end(), end);
      Lay(seen, extent);
    }
    for (uint64_t i = begin; i < end; ++i) expected.at(i) = cells_.at(i);
    ASSERT_TRUE(seen == expected) << "[" << begin << ", " << end << ")";
  }

  void ExpectBytesAfterEqual() {
    const uint64_t after = random_.Below(sequence_ + 1);
    uint64_t bytes = 0;
    bool clones = false;
    for (const Extent& extent : map_.All()) {
      if (extent.sequence <= after) continue;
      clones = clones || extent.clone != nullptr;
      bytes += ExtentMap::kExtentOverhead + (extent.data != nullptr ? extent.length : 0);
    }
    bool told = !clones;
    EXPECT_EQ(map_.BytesAfter(after, told), bytes);
    EXPECT_EQ(told, clones);
    std::vector<std::pair<uint64_t, uint64_t>> newer, expected;
    for (const Extent& extent : map_.NewerThan(after)) {
      newer.emplace_back(extent.sequence, extent.offset);
    }
    for (const Extent& extent : map_.All()) {
      if (extent.sequence > after) expected.emplace_back(extent.sequence, extent.offset);
    }
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(newer, expected);
  }

  Random random_{TestSeed()};
  uint64_t sequence_ = 0;
  ExtentMap map_;
  Cells cells_{};
};

TEST_F(ExtentMapTest, RandomChangesLeaveWhatAByteArrayWouldHold) {
  for (int step = 0; step < 4000; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    Change();
    ExpectEqual();
    ExpectRangeEqual();
    ExpectBytesAfterEqual();
    if (HasFatalFailure()) return;
  }
}

TEST_F(ExtentMapTest, SmallRestDoesNotKeepALargeBuffer) {
  auto data = RandomData(100'000);
  const std::byte first = (*data)[0];
  const std::weak_ptr<const Buffer> buffer = data;
  Extent large;
  large.length = data->size();
  large.sequence = 1;
  large.data = std::move(data);
  map_.Insert(std::move(large));
  Extent zeros;
  zeros.offset = 1;
  zeros.length = 99'999;
  zeros.sequence = 2;
  map_.Insert(std::move(zeros));
  EXPECT_TRUE(buffer.expired());
  EXPECT_EQ(map_.All().front().bytes()[0], first);
}

TEST_F(ExtentMapTest, SnapshotKeepsItsDataWhenTheMapIsCleared) {
  Extent extent;
  extent.length = 3;
  extent.sequence = 1;
  extent.data = std::make_shared<const Buffer>(3, std::byte{7});
  const std::weak_ptr<const Buffer> data = extent.data;
  map_.Insert(std::move(extent));
  std::vector<Extent> snapshot = map_.All();
  map_.Clear();
  EXPECT_TRUE(map_.empty());
  EXPECT_EQ(map_.dirty_bytes(), 0u);
  ASSERT_EQ(snapshot.size(), 1u);
  EXPECT_EQ(snapshot[0].bytes()[2], std::byte{7});
  snapshot.clear();
  EXPECT_TRUE(data.expired());
}

TEST_F(ExtentMapTest, RangesAtTheEndOfTheLargestFileDoNotWrapAround) {
  Extent extent;
  extent.offset = kMaxFileSize - 10;
  extent.length = 10;
  extent.sequence = 1;
  map_.Insert(extent);
  EXPECT_EQ(map_.Overlapping(0, UINT64_MAX).size(), 1u);
  EXPECT_TRUE(map_.Overlapping(kMaxFileSize, UINT64_MAX).empty());
  map_.CutFrom(kMaxFileSize - 4);
  EXPECT_EQ(map_.End(), kMaxFileSize - 4);
}

}  // namespace
}  // namespace dedupfs

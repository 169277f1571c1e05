#include "tests/fs/model/seek_checks.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "fs/types.h"
#include "tests/fs/model/test_store.h"

namespace dedupfs {
namespace {

uint64_t FirstNonZero(const std::string& bytes, uint64_t from, uint64_t to) {
  for (uint64_t at = from; at < to; ++at) {
    if (bytes[at] != '\0') return at;
  }
  return to;
}

void ExpectSoundSeekData(FileSystem& fs, OpenFile& file, const std::string& bytes,
                         uint64_t offset) {
  const auto data = fs.Seek(file, offset, SEEK_DATA);
  if (data) {
    EXPECT_GE(*data, offset);
    EXPECT_LT(*data, bytes.size());
    const uint64_t end = std::min<uint64_t>(*data, bytes.size());
    EXPECT_EQ(FirstNonZero(bytes, offset, end), end)
        << "SEEK_DATA from " << offset << " skips data";
    return;
  }
  EXPECT_EQ(data.error().code, ENXIO) << data.error().message;
  EXPECT_EQ(FirstNonZero(bytes, offset, bytes.size()), bytes.size())
      << "SEEK_DATA from " << offset << " finds no data";
}

void ExpectSoundSeekHole(FileSystem& fs, OpenFile& file, const std::string& bytes,
                         uint64_t offset) {
  const auto hole = fs.Seek(file, offset, SEEK_HOLE);
  EXPECT_TRUE(IsOk(hole)) << "SEEK_HOLE from " << offset << ", size " << bytes.size();
  if (!hole) return;
  EXPECT_GE(*hole, offset);
  EXPECT_LE(*hole, bytes.size());
  if (*hole >= bytes.size()) return;
  const uint64_t block_end =
      std::min<uint64_t>((*hole / kHoleBlock + 1) * kHoleBlock, bytes.size());
  EXPECT_EQ(FirstNonZero(bytes, *hole, block_end), block_end)
      << "SEEK_HOLE from " << offset << " points into data at " << *hole;
}

// Per whole aligned block: whether the seeks say that it is a hole.
std::vector<bool> HolesBySeek(FileSystem& fs, OpenFile& file, uint64_t size) {
  std::vector<bool> holes(size / kHoleBlock, true);
  uint64_t at = 0;
  while (at < size) {
    const auto data = fs.Seek(file, at, SEEK_DATA);
    if (!data) {
      EXPECT_EQ(data.error().code, ENXIO) << data.error().message;
      break;
    }
    const auto hole = fs.Seek(file, *data, SEEK_HOLE);
    EXPECT_TRUE(IsOk(hole));
    if (!hole) break;
    EXPECT_GT(*hole, *data) << "an empty run of data";
    if (*hole <= *data) break;
    for (uint64_t block = *data / kHoleBlock; block < holes.size() && block * kHoleBlock < *hole;
         ++block) {
      holes[block] = false;
    }
    at = *hole;
  }
  return holes;
}

}  // namespace

void ExpectSoundSeek(FileSystem& fs, OpenFile& file, const std::string& bytes, uint64_t offset) {
  if (offset >= bytes.size()) {
    EXPECT_EQ(CodeOf(fs.Seek(file, offset, SEEK_DATA)), ENXIO);
    EXPECT_EQ(CodeOf(fs.Seek(file, offset, SEEK_HOLE)), ENXIO);
    return;
  }
  ExpectSoundSeekData(fs, file, bytes, offset);
  ExpectSoundSeekHole(fs, file, bytes, offset);
}

void ExpectExactHoles(FileSystem& fs, OpenFile& file, const std::string& bytes) {
  const std::vector<bool> holes = HolesBySeek(fs, file, bytes.size());
  for (size_t block = 0; block < holes.size(); ++block) {
    const uint64_t begin = block * kHoleBlock;
    const bool zeros = FirstNonZero(bytes, begin, begin + kHoleBlock) == begin + kHoleBlock;
    ASSERT_EQ(holes[block], zeros) << "block at " << begin << " of " << bytes.size() << " bytes";
  }
}

}  // namespace dedupfs

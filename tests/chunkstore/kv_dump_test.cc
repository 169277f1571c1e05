#include "chunkstore/kv_dump.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

class MemoryFile : public File {
 public:
  std::string bytes;

  Result<size_t> ReadAt(uint64_t offset, MutableBytes out) override {
    const std::string_view rest =
        std::string_view(bytes).substr(std::min<size_t>(offset, bytes.size()));
    const size_t size = std::min(rest.size(), out.size());
    std::copy_n(rest.data(), size, reinterpret_cast<char*>(out.data()));
    return size;
  }
  Status Append(std::span<const Bytes> pieces) override {
    for (const Bytes piece : pieces) bytes += AsText(piece);
    return Ok();
  }
  Status Sync() override { return Ok(); }
  Result<uint64_t> Size() override { return bytes.size(); }
};

class KvDumpTest : public testing::Test {
 protected:
  std::unique_ptr<Kv> NewKv(const std::string& name) {
    KvOptions options;
    options.create = true;
    auto kv = Kv::Open(directory_.Join(name), options);
    EXPECT_TRUE(kv) << kv.error().message;
    return std::move(*kv);
  }
  static void Fill(Kv& kv) {
    Batch batch;
    for (size_t family = 0; family < kFamilyCount; ++family) {
      batch.Put(static_cast<Family>(family), "key" + std::to_string(family), "value");
      batch.Put(static_cast<Family>(family), std::string("\0\xff", 2), std::string(300, '\0'));
      batch.Put(static_cast<Family>(family), "empty", "");
    }
    ASSERT_TRUE(kv.Write(batch, Durability::kBuffered));
  }
  static std::string Dump(Kv& kv) {
    MemoryFile file;
    const auto rows = WriteDump(kv, "info", file, {});
    EXPECT_TRUE(rows) << rows.error().message;
    return file.bytes;
  }
  static Result<uint64_t> Read(const std::string& bytes, Kv& kv) {
    MemoryFile file;
    file.bytes = bytes;
    return ReadDump(file, kv, {});
  }

  TempDir directory_;
};

TEST_F(KvDumpTest, EveryRowOfEveryFamilyComesBack) {
  const auto from = NewKv("from");
  Fill(*from);
  const std::string bytes = Dump(*from);
  const auto to = NewKv("to");
  const auto rows = Read(bytes, *to);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(*rows, 3 * kFamilyCount);
  EXPECT_EQ(*CountRows(*to), 3 * kFamilyCount);
  EXPECT_EQ(Dump(*to), bytes);
}

TEST_F(KvDumpTest, RowsOfManyMegabytesComeBack) {
  const auto from = NewKv("from");
  for (int i = 0; i < 40; ++i) {
    Batch batch;
    batch.Put(Family::kDirty, "key" + std::to_string(i), std::string(100'000 + i, 'v'));
    ASSERT_TRUE(from->Write(batch, Durability::kBuffered));
  }
  const std::string bytes = Dump(*from);
  const auto to = NewKv("to");
  ASSERT_TRUE(Read(bytes, *to));
  EXPECT_EQ(Dump(*to), bytes);
}

TEST_F(KvDumpTest, EveryFlippedBitIsRefused) {
  const auto from = NewKv("from");
  Batch batch;
  batch.Put(Family::kMeta, "key", "value");
  batch.Put(Family::kOrphan, "other", "");
  ASSERT_TRUE(from->Write(batch, Durability::kBuffered));
  const std::string bytes = Dump(*from);
  const auto to = NewKv("to");
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    const auto rows = Read(flipped, *to);
    ASSERT_FALSE(rows) << "bit " << bit;
    EXPECT_TRUE(rows.error().code == EIO || rows.error().code == EPROTO) << rows.error().message;
    EXPECT_NE(rows.error().message.find("metadata dump"), std::string::npos);
  }
}

TEST_F(KvDumpTest, EveryTruncationAndEveryAdditionIsRefused) {
  const auto from = NewKv("from");
  Fill(*from);
  const std::string bytes = Dump(*from);
  const auto to = NewKv("to");
  for (size_t size = 0; size < bytes.size(); size += size < 400 ? 1 : 97) {
    const auto rows = Read(bytes.substr(0, size), *to);
    ASSERT_FALSE(rows) << size;
    EXPECT_EQ(rows.error().code, EIO) << rows.error().message;
  }
  EXPECT_FALSE(Read(bytes.substr(0, bytes.size() - 1), *to));
  EXPECT_FALSE(Read(bytes + '\0', *to));
}

TEST_F(KvDumpTest, TheInfoIsReadAlone) {
  const auto from = NewKv("from");
  MemoryFile file;
  ASSERT_TRUE(WriteDump(*from, std::string("whose\0rows", 10), file, {}));
  EXPECT_EQ(ReadDumpInfo(file).value_or(""), std::string("whose\0rows", 10));
  EXPECT_FALSE(WriteDump(*from, std::string(kMaxDumpInfoBytes + 1, ' '), file, {}));
}

TEST_F(KvDumpTest, ACheckpointHasEveryBatchOfBefore) {
  const auto from = NewKv("from");
  Fill(*from);
  ASSERT_TRUE(from->Checkpoint(directory_.Join("checkpoint")));
  EXPECT_FALSE(from->Checkpoint(directory_.Join("checkpoint"))) << "it is there already";
  Batch later;
  later.Put(Family::kMeta, "later", "");
  ASSERT_TRUE(from->Write(later, Durability::kBuffered));
  KvOptions options;
  options.read_only = true;
  const auto copy = Kv::Open(directory_.Join("checkpoint"), options);
  ASSERT_TRUE(copy) << copy.error().message;
  EXPECT_EQ(*CountRows(**copy), 3 * kFamilyCount);
  EXPECT_EQ((*copy)->Checkpoint(directory_.Join("another")).error().code, EROFS);
}

}  // namespace
}  // namespace dedupfs

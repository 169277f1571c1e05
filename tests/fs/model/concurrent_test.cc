// Several threads at work on one file system, each of which knows what its own bytes must be.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/fs/model/content_pool.h"
#include "tests/fs/model/test_store.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr size_t kWriters = 4;
constexpr size_t kOwners = kWriters + 1;  // the copier owns stripes as well
constexpr int kStepsPerThread = 300;

// A file in stripes; stripe i belongs to owner i % kOwners, who alone writes it.
struct StripedFile {
  std::string name;
  uint64_t stripe_bytes;
  uint64_t size() const { return stripe_bytes * kOwners * 12; }
};

// 4 KiB-aligned stripes, and such that no two owners ever share a block boundary.
const std::array<StripedFile, 2> kShared{{{"aligned", 16384}, {"unaligned", 10007}}};

struct Range {
  uint64_t offset, length;
};

Range PickOwned(Random& random, const StripedFile& file, size_t owner) {
  const uint64_t stripe = random.Below(12) * kOwners + owner;
  const uint64_t begin = random.Below(file.stripe_bytes);
  const uint64_t length = random.Between(1, file.stripe_bytes - begin);
  return {stripe * file.stripe_bytes + begin, length};
}

// What one owner wrote to its stripes; the bytes of others are never looked at.
using OwnedBytes = std::array<std::string, kShared.size()>;

OwnedBytes NewOwnedBytes() {
  return {std::string(kShared[0].size(), '\0'), std::string(kShared[1].size(), '\0')};
}

void ExpectStripes(Handle& handle, const StripedFile& file, size_t owner, const std::string& mine) {
  for (uint64_t stripe = owner; stripe * file.stripe_bytes < file.size(); stripe += kOwners) {
    const uint64_t offset = stripe * file.stripe_bytes;
    ASSERT_TRUE(handle.Read(offset, file.stripe_bytes) == mine.substr(offset, file.stripe_bytes))
        << file.name << " stripe " << stripe << " of owner " << owner;
  }
}

void WriteOwnStripes(TestStore& store, uint64_t seed, size_t owner, OwnedBytes& mine) {
  Random random(seed);
  const ContentPool pool(random);
  std::array<Handle, kShared.size()> handles{store.OpenFile(kShared[0].name),
                                             store.OpenFile(kShared[1].name)};
  for (int i = 0; i < kStepsPerThread && !::testing::Test::HasFailure(); ++i) {
    const size_t which = random.Below(kShared.size());
    const Range range = PickOwned(random, kShared[which], owner);
    if (random.OneIn(3)) {
      EXPECT_TRUE(handles[which].Read(range.offset, range.length) ==
                  mine[which].substr(range.offset, range.length))
          << kShared[which].name << " at " << range.offset;
    } else {
      const std::string data = pool.Make(random, range.length);
      handles[which].Write(range.offset, data);
      mine[which].replace(range.offset, range.length, data);
    }
    if (random.OneIn(40)) handles[which].Fsync();
    if (random.OneIn(40)) handles[which] = store.OpenFile(kShared[which].name);
  }
}

// Fills its own stripes by copies out of a file that nobody writes, and out of its own stripes of
// the other file, while others write between them.
void CopyIntoOwnStripes(TestStore& store, uint64_t seed, const std::string& source_bytes,
                        OwnedBytes& mine) {
  constexpr size_t kOwner = kWriters;
  Random random(seed);
  std::array<Handle, kShared.size()> handles{store.OpenFile(kShared[0].name),
                                             store.OpenFile(kShared[1].name)};
  Handle source = store.OpenFile("source", O_RDONLY);
  for (int i = 0; i < kStepsPerThread && !::testing::Test::HasFailure(); ++i) {
    const size_t which = random.Below(kShared.size()), other = 1 - which;
    Range to = PickOwned(random, kShared[which], kOwner);
    const Range from = PickOwned(random, kShared[other], kOwner);
    const bool from_source = random.OneIn(2);
    to.length = std::min(to.length, from.length);
    const std::string& bytes = from_source ? source_bytes : mine[other];
    const uint64_t from_offset = from_source ? random.Below(bytes.size() - to.length) : from.offset;
    const auto copied =
        store.fs().CopyRange(from_source ? source.file() : handles[other].file(), from_offset,
                             handles[which].file(), to.offset, to.length);
    ASSERT_TRUE(IsOk(copied));
    ASSERT_EQ(*copied, to.length);
    mine[which].replace(to.offset, to.length, bytes, from_offset, to.length);
    EXPECT_TRUE(handles[which].Read(to.offset, to.length) ==
                mine[which].substr(to.offset, to.length));
  }
}

void SyncUntil(TestStore& store, const std::atomic<bool>& done) {
  for (size_t round = 0; !done; ++round) {
    Handle handle = store.OpenFile(kShared[round % kShared.size()].name);
    if (!handle.ok()) return;
    handle.Fsync();
    if (round % 5 == 0) {
      EXPECT_TRUE(IsOk(store.fs().SyncAll()));
    }
    EXPECT_TRUE(IsOk(store.fs().Stats()));
  }
}

TEST(ConcurrentTest, WritersOfDisjointRangesNeverHarmOneAnother) {
  Random random(TestSeed());
  TestStore store;
  for (const StripedFile& file : kShared) store.PutFile(file.name, std::string(file.size(), '\0'));
  const std::string source = random.Bytes(1 << 20);
  store.PutFile("source", source);
  std::vector<OwnedBytes> owned(kOwners, NewOwnedBytes());
  std::atomic<bool> done = false;
  std::thread syncer([&] { SyncUntil(store, done); });
  std::vector<std::thread> threads;
  threads.reserve(kOwners);
  for (size_t owner = 0; owner < kWriters; ++owner) {
    threads.emplace_back(WriteOwnStripes, std::ref(store), random.Next(), owner,
                         std::ref(owned[owner]));
  }
  threads.emplace_back(CopyIntoOwnStripes, std::ref(store), random.Next(), std::cref(source),
                       std::ref(owned[kWriters]));
  for (std::thread& thread : threads) thread.join();
  done = true;
  syncer.join();
  for (const bool reopened : {false, true}) {
    if (reopened) store.Reopen();
    for (size_t which = 0; which < kShared.size(); ++which) {
      Handle handle = store.OpenFile(kShared[which].name, O_RDONLY);
      ASSERT_EQ(handle.Size(), kShared[which].size());
      for (size_t owner = 0; owner < kOwners; ++owner) {
        ExpectStripes(handle, kShared[which], owner, owned[owner][which]);
      }
    }
  }
  store.ExpectCleanCheck();
}

// Cells that hold a version number, far enough apart to lie in other chunks.
constexpr size_t kCells = 64;
constexpr uint64_t kCellStride = 20011;

using Versions = std::array<std::atomic<uint64_t>, kCells>;

uint64_t ReadVersion(Handle& handle, size_t cell) {
  const std::string bytes = handle.Read(cell * kCellStride, sizeof(uint64_t));
  uint64_t version = 0;
  if (bytes.size() == sizeof(version)) std::memcpy(&version, bytes.data(), sizeof(version));
  return version;
}

void WriteVersions(TestStore& store, uint64_t seed, size_t writer, Versions& published) {
  Random random(seed);
  Handle handle = store.OpenFile("cells");
  for (int i = 0; i < 4 * kStepsPerThread && handle.ok(); ++i) {
    const size_t cell = random.Below(kCells / kWriters) * kWriters + writer;
    const uint64_t version = published[cell] + 1;
    handle.Write(cell * kCellStride,
                 std::string_view(reinterpret_cast<const char*>(&version), sizeof(version)));
    published[cell] = version;
    if (random.OneIn(50)) handle.Fsync();
  }
}

TEST(ConcurrentTest, ReadersSeeEveryWriteThatHasReturned) {
  Random random(TestSeed());
  TestStore store;
  store.PutFile("cells", std::string(kCells * kCellStride, '\0'));
  Versions published{};
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&, seed = random.Next()] {
      Random own(seed);
      Handle handle = store.OpenFile("cells", O_RDONLY);
      while (!done && !::testing::Test::HasFailure()) {
        const size_t cell = own.Below(kCells);
        const uint64_t before = published[cell];
        const uint64_t seen = ReadVersion(handle, cell);
        const uint64_t after = published[cell];
        EXPECT_GE(seen, before) << "cell " << cell << " went back";
        EXPECT_LE(seen, after + 1) << "cell " << cell << " holds what nobody wrote";
      }
    });
  }
  std::vector<std::thread> writers;
  writers.reserve(kWriters);
  for (size_t writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back(WriteVersions, std::ref(store), random.Next(), writer,
                         std::ref(published));
  }
  for (std::thread& thread : writers) thread.join();
  done = true;
  for (std::thread& thread : readers) thread.join();
  store.Reopen();
  Handle handle = store.OpenFile("cells", O_RDONLY);
  for (size_t cell = 0; cell < kCells; ++cell)
    EXPECT_EQ(ReadVersion(handle, cell), published[cell]);
}

// One thread's files, made, replaced, shortened and removed beside those of the others.
void UseOwnFiles(TestStore& store, uint64_t seed, size_t owner, const ContentPool& pool,
                 std::vector<std::string>& contents) {
  Random random(seed);
  for (int i = 0; i < kStepsPerThread / 3 && !::testing::Test::HasFailure(); ++i) {
    const size_t index = random.Below(contents.size());
    const std::string name = "own" + std::to_string(owner) + "." + std::to_string(index);
    std::string& content = contents[index];
    EXPECT_TRUE(store.GetFile(name) == content) << name;
    if (random.OneIn(5)) {
      EXPECT_TRUE(IsOk(store.fs().Unlink(kRootIno, name)));
      content = pool.Make(random, random.Below(50000));
      store.PutFile(name, content);
    } else if (random.OneIn(3)) {
      content.resize(random.Below(content.size() + 5000), '\0');
      store.OpenFile(name).Truncate(content.size());
    } else {
      const std::string temporary = name + ".new";
      content = pool.Make(random, random.Below(200000));
      store.PutFile(temporary, content);
      EXPECT_TRUE(IsOk(store.fs().Rename(kRootIno, temporary, kRootIno, name, 0)));
    }
  }
}

TEST(ConcurrentTest, FilesOfSeveralThreadsShareChunksAndNothingElse) {
  Random random(TestSeed());
  TestStore store;
  const ContentPool pool(random);
  constexpr size_t kFiles = 6;
  std::vector<std::vector<std::string>> contents(kWriters, std::vector<std::string>(kFiles));
  for (size_t owner = 0; owner < kWriters; ++owner) {
    for (size_t i = 0; i < kFiles; ++i) {
      store.PutFile("own" + std::to_string(owner) + "." + std::to_string(i), "");
    }
  }
  std::vector<std::thread> threads;
  threads.reserve(kWriters);
  for (size_t owner = 0; owner < kWriters; ++owner) {
    threads.emplace_back(UseOwnFiles, std::ref(store), random.Next(), owner, std::cref(pool),
                         std::ref(contents[owner]));
  }
  for (std::thread& thread : threads) thread.join();
  store.ExpectCleanCheck();
  for (size_t owner = 0; owner < kWriters; ++owner) {
    for (size_t i = 0; i < kFiles; ++i) {
      const std::string name = "own" + std::to_string(owner) + "." + std::to_string(i);
      EXPECT_TRUE(store.GetFile(name) == contents[owner][i]) << name;
      EXPECT_TRUE(IsOk(store.fs().Unlink(kRootIno, name)));
    }
  }
  const FileSystemStats stats = store.SettledStats();
  EXPECT_EQ(stats.store.logical_bytes, 0u);
  EXPECT_EQ(stats.store.chunks, 0u);
}

}  // namespace
}  // namespace dedupfs

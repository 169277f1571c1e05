// Failing disks and power cuts: what was synced is readable, what was not is an error.

#include <cerrno>
#include <optional>
#include <set>

#include "tests/packs/packs_test_util.h"
#include "tests/support/fault_env.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

struct Written {
  TestChunk chunk;
  Location location;
  bool synced = false;
};

// A short life of a store: appends, syncs and seals over three packs, going on after errors.
class Workload {
 public:
  explicit Workload(Env& env) : env_(env) {}

  void Run() {
    auto opened = Packs::Open(env_, kPacksDir, CountFrom(1));
    if (!opened) return;
    packs_ = std::move(*opened);
    Append(2);
    Append(1);
    Sync();
    Append(3);
    (void)packs_->SealOpen();
    Append(2);
    Sync();
    Append(1);
    (void)packs_->SealOpen();
    Sync();
    Append(2);
    Sync();
    Append(1);
  }

  const std::vector<Written>& written() const { return written_; }
  Packs* packs() { return packs_.get(); }
  void Close() { packs_.reset(); }

 private:
  void Append(size_t count) {
    std::vector<TestChunk> chunks;
    for (size_t i = 0; i < count; ++i) chunks.push_back(SmallChunk(next_++));
    const auto locations = packs_->Append(Inputs(chunks));
    if (!locations) return;
    ASSERT_EQ(locations->size(), count);
    for (size_t i = 0; i < count; ++i) written_.push_back({chunks[i], (*locations)[i]});
  }
  void Sync() {
    if (!packs_->Sync()) return;
    for (Written& record : written_) record.synced = true;
  }

  Env& env_;
  ChunkId next_ = 1;
  std::unique_ptr<Packs> packs_;
  std::vector<Written> written_;
};

// Every entry that is listed can be read; returns the ids of the chunks listed.
std::set<ChunkId> ListedAndReadable(Packs& packs, bool scan) {
  std::set<ChunkId> listed;
  const auto all = packs.All();
  EXPECT_TRUE(all);
  for (const PackId pack : all.value_or(std::vector<PackId>())) {
    const auto contents = scan ? packs.Scan(pack) : packs.List(pack);
    EXPECT_TRUE(contents) << contents.error().message;
    if (!contents) continue;
    for (const PackEntry& entry : contents->entries) {
      const TestChunk chunk = SmallChunk(entry.header.id);
      EXPECT_TRUE(ReadsBack(packs, {pack, entry.offset, entry.header.stored}, chunk));
      listed.insert(entry.header.id);
    }
  }
  return listed;
}

void ExpectKept(Packs& packs, const std::vector<Written>& written, bool all) {
  for (const bool scan : {false, true}) {
    const std::set<ChunkId> listed = ListedAndReadable(packs, scan);
    for (const Written& record : written) {
      // ReadsBack fails the test by itself should the bytes be wrong.
      const bool readable = ReadsBack(packs, record.location, record.chunk);
      const bool named = listed.count(record.chunk.header.id) > 0;
      if (!all && !record.synced) continue;
      EXPECT_TRUE(readable) << "chunk " << record.chunk.header.id;
      EXPECT_TRUE(named) << "chunk " << record.chunk.header.id;
    }
  }
}

struct FaultCase {
  const char* name;
  int code;
  bool sticky;
  bool short_append;
};

class PackFaultTest : public ::testing::TestWithParam<FaultCase> {};

TEST_P(PackFaultTest, AfterAFailureOfAnyCallWhatWasSyncedSurvivesAPowerCut) {
  const FaultCase& fault = GetParam();
  Random torn(TestSeed());
  uint64_t steps = 0;
  {
    FaultEnv env;
    MakePacksDir(env);
    const uint64_t before = env.Calls();
    Workload workload(env);
    workload.Run();
    steps = env.Calls() - before;
    ASSERT_EQ(workload.written().size(), 12U);
  }
  for (uint64_t nth = 1; nth <= steps + 1; ++nth) {
    for (const bool tear : {false, true}) {
      SCOPED_TRACE("call " + std::to_string(nth) + (tear ? ", torn" : ""));
      FaultEnv env;
      MakePacksDir(env);
      env.Inject({std::nullopt, nth, fault.code, fault.sticky, fault.short_append});
      Workload workload(env);
      workload.Run();
      env.ClearFaults();
      if (workload.packs()) ExpectKept(*workload.packs(), workload.written(), true);
      workload.Close();
      env.PowerCut(tear ? &torn : nullptr);
      auto packs = MustOpen(env, 100);
      ASSERT_TRUE(packs);
      ExpectKept(*packs, workload.written(), false);
      const TestChunk fresh = SmallChunk(1000);
      const RecordInput input = fresh.input();
      const auto location = packs->Append(std::span(&input, 1));
      ASSERT_TRUE(location);
      EXPECT_TRUE(packs->Sync());
      EXPECT_TRUE(ReadsBack(*packs, location->front(), fresh));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Disks, PackFaultTest,
                         ::testing::Values(FaultCase{"OneError", EIO, false, false},
                                           FaultCase{"OneShortAppend", EIO, false, true},
                                           FaultCase{"DeadDisk", EIO, true, false},
                                           FaultCase{"DeadDiskShortAppend", EIO, true, true},
                                           FaultCase{"FullOnce", ENOSPC, false, true},
                                           FaultCase{"FullForGood", ENOSPC, true, true},
                                           FaultCase{"OverQuota", EDQUOT, false, false}),
                         [](const auto& info) { return info.param.name; });

class PackErrorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    MakePacksDir(env_);
    packs_ = MustOpen(env_);
  }
  Result<std::vector<Location>> Append(ChunkId id) {
    const TestChunk chunk = SmallChunk(id);
    const RecordInput input = chunk.input();
    return packs_->Append(std::span(&input, 1));
  }
  void ExpectReadOnly(const std::string& first_message) {
    for (const Status& status : {packs_->Sync(), packs_->SealOpen()}) {
      ASSERT_FALSE(status);
      EXPECT_EQ(status.error().code, EROFS);
      EXPECT_EQ(status.error().message, first_message);
    }
    const auto appended = Append(99);
    ASSERT_FALSE(appended);
    EXPECT_EQ(appended.error().code, EROFS);
    EXPECT_EQ(appended.error().message, first_message);
  }

  FaultEnv env_;
  std::unique_ptr<Packs> packs_;
};

TEST_F(PackErrorTest, UnsyncedRecordsAreGoneAfterAPowerCut) {
  const auto first = Append(1);
  ASSERT_TRUE(packs_->Sync());
  const auto second = Append(2);
  ASSERT_TRUE(first && second);
  packs_.reset();
  env_.PowerCut();
  packs_ = MustOpen(env_, 2);
  EXPECT_TRUE(ReadsBack(*packs_, first->front(), SmallChunk(1)));
  EXPECT_FALSE(ReadsBack(*packs_, second->front(), SmallChunk(2)));
  EXPECT_EQ(ListedAndReadable(*packs_, false), std::set<ChunkId>{1});
}

TEST_F(PackErrorTest, FailedSyncIsForGood) {
  const auto location = Append(1);
  ASSERT_TRUE(location);
  env_.Inject({FaultEnv::Op::kSync, 1, EIO});
  const Status failed = packs_->Sync();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, EIO);
  ExpectReadOnly(failed.error().message);
  EXPECT_TRUE(ReadsBack(*packs_, location->front(), SmallChunk(1)));
}

TEST_F(PackErrorTest, FailedDirectorySyncIsForGood) {
  ASSERT_TRUE(Append(1));
  env_.Inject({FaultEnv::Op::kSyncDir, 1, ENOSPC});
  const Status failed = packs_->Sync();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ENOSPC);
  ExpectReadOnly(failed.error().message);
}

TEST_F(PackErrorTest, FailedAppendIsForGood) {
  const auto location = Append(1);
  ASSERT_TRUE(location);
  env_.Inject({FaultEnv::Op::kAppend, 1, EIO, false, true});
  const auto failed = Append(2);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, EIO);
  ExpectReadOnly(failed.error().message);
  EXPECT_TRUE(ReadsBack(*packs_, location->front(), SmallChunk(1)));
  const auto contents = packs_->List(1);
  ASSERT_TRUE(contents);
  EXPECT_EQ(contents->entries.size(), 1U);
  EXPECT_FALSE(contents->damaged);
}

TEST_F(PackErrorTest, FullDiskLeavesThePackAndItsEarlierRecords) {
  const auto first = Append(1);
  ASSERT_TRUE(first);
  env_.Inject({FaultEnv::Op::kAppend, 1, ENOSPC, false, true});
  const auto refused = Append(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ENOSPC);
  EXPECT_FALSE(packs_->IsOpen(1));
  const auto third = Append(3);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->front().pack, 2U);
  ASSERT_TRUE(packs_->Sync());
  packs_.reset();
  env_.PowerCut();
  packs_ = MustOpen(env_, 3);
  EXPECT_TRUE(ReadsBack(*packs_, first->front(), SmallChunk(1)));
  EXPECT_TRUE(ReadsBack(*packs_, third->front(), SmallChunk(3)));
  EXPECT_EQ(ListedAndReadable(*packs_, true), (std::set<ChunkId>{1, 3}));
}

TEST_F(PackErrorTest, FullDiskCollectsNoEmptyPacks) {
  env_.Inject({FaultEnv::Op::kAppend, 1, ENOSPC, true, false});
  for (ChunkId id = 1; id < 20; ++id) EXPECT_EQ(Append(id).error().code, ENOSPC);
  EXPECT_TRUE(packs_->All().value().empty());
  env_.ClearFaults();
  EXPECT_TRUE(Append(30));
  EXPECT_TRUE(packs_->Sync());
}

TEST_F(PackErrorTest, FailedCreateAndFailedIdAreNotForGood) {
  env_.Inject({FaultEnv::Op::kCreate, 1, EMFILE});
  EXPECT_EQ(Append(1).error().code, EMFILE);
  EXPECT_TRUE(Append(2));
  EXPECT_TRUE(packs_->Sync());

  bool fail = true;
  auto packs = Packs::Open(env_, kPacksDir, [&fail]() -> Result<PackId> {
    if (fail) return Fail(EAGAIN, "no id");
    return 50;
  });
  ASSERT_TRUE(packs);
  packs_ = std::move(*packs);
  EXPECT_EQ(Append(3).error().code, EAGAIN);
  fail = false;
  EXPECT_TRUE(Append(4));
}

TEST_F(PackErrorTest, FailedReadIsThatReadsAlone) {
  const auto location = Append(1);
  ASSERT_TRUE(location);
  env_.Inject({FaultEnv::Op::kReadAt, 1, ESTALE});
  Buffer scratch;
  const auto record = packs_->Read(location->front(), 1, scratch);
  ASSERT_FALSE(record);
  EXPECT_EQ(record.error().code, ESTALE);
  EXPECT_TRUE(ReadsBack(*packs_, location->front(), SmallChunk(1)));
  env_.Inject({FaultEnv::Op::kReadAt, 1, EIO});
  EXPECT_FALSE(packs_->Scan(1)) << "an unreadable file is no damaged one";
  EXPECT_TRUE(packs_->Sync());
}

}  // namespace
}  // namespace dedupfs

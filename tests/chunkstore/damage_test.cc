#include <gtest/gtest.h>

#include <cerrno>

#include "tests/chunkstore/store_fixture.h"

namespace dedupfs {
namespace {

class DamageTest : public StoreTest {
 protected:
  void Flip(ChunkId id) {
    const Location at = Info(id).location;
    ASSERT_TRUE(env_.FlipBit(PackPath(at.pack), at.offset + kRecordHeaderSize + 3, 5));
  }
  Random random_{TestSeed()};
};

TEST_F(DamageTest, ADamagedRecordIsEioNamingChunkAndPackAndIsCondemned) {
  const std::string bad = random_.Bytes(1000);
  const std::string good = random_.Bytes(1000);
  const auto ids = Add({bad, good});
  Flip(ids[0]);
  const auto read = ReadBack(ids[0], bad.size());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, EIO);
  EXPECT_NE(read.error().message.find("chunk " + std::to_string(ids[0])), std::string::npos);
  EXPECT_NE(read.error().message.find("pack " + std::to_string(Info(ids[0]).location.pack)),
            std::string::npos);
  EXPECT_TRUE(Info(ids[0]).condemned);
  EXPECT_FALSE(Info(ids[1]).condemned);
  ExpectContent(ids[1], good);
  EXPECT_TRUE(store_->Failure());
}

TEST_F(DamageTest, TheNextWriteOfTheContentHealsTheChunkForAll) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content});
  const Location old = Info(ids.front()).location;
  Flip(ids.front());
  EXPECT_FALSE(ReadBack(ids.front(), content.size()));
  Reopen();
  EXPECT_TRUE(Info(ids.front()).condemned) << "the mark was lost";
  EXPECT_EQ(Add({content}), ids);
  EXPECT_FALSE(Info(ids.front()).condemned);
  EXPECT_NE(Info(ids.front()).location, old);
  EXPECT_EQ(Info(ids.front()).refcount, 2u);
  ExpectContent(ids.front(), content);
  EXPECT_EQ(Problems(), std::vector<std::string>());
}

TEST_F(DamageTest, ADamagedUncommittedRecordIsWrittenAgainUnderItsId) {
  const std::string content = random_.Bytes(1000);
  Pins pins;
  const auto ids = StoreAll({content}, pins);
  ASSERT_TRUE(ids);
  Flip(ids->front());
  EXPECT_EQ(ReadBack(ids->front(), content.size()).error().code, EIO);
  const auto again = StoreAll({content}, pins);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *ids);
  ExpectContent(ids->front(), content);
  ASSERT_TRUE(Count(*ids, 1));
  ExpectContent(ids->front(), content);
  EXPECT_EQ(Problems(), std::vector<std::string>());
  pins = Pins();
}

TEST_F(DamageTest, AnUncommittedRecordKnownToBeDamagedIsCommittedAsCondemned) {
  const std::string content = random_.Bytes(1000);
  Pins pins;
  const auto ids = StoreAll({content}, pins);
  ASSERT_TRUE(ids);
  Flip(ids->front());
  EXPECT_FALSE(ReadBack(ids->front(), content.size()));
  ASSERT_TRUE(Count(*ids, 1));
  EXPECT_TRUE(Info(ids->front()).condemned);
  pins = Pins();
}

TEST_F(DamageTest, AMissingPackIsEioAndHealedTheSameWay) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content});
  const PackId pack = Info(ids.front()).location.pack;
  Reopen();
  ASSERT_TRUE(env_.Remove(PackPath(pack)));
  EXPECT_EQ(ReadBack(ids.front(), content.size()).error().code, EIO);
  EXPECT_EQ(Add({content}), ids);
  ExpectContent(ids.front(), content);
}

TEST_F(DamageTest, AReadErrorOfTheDiskThatIsNoDamageCondemnsNothing) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content});
  FaultEnv::Fault fault;
  fault.op = FaultEnv::Op::kReadAt;
  fault.code = ENOMEM;
  env_.Inject(fault);
  EXPECT_EQ(ReadBack(ids.front(), content.size()).error().code, ENOMEM);
  EXPECT_FALSE(Info(ids.front()).condemned);
  ExpectContent(ids.front(), content);
}

TEST_F(DamageTest, ADamagedRowFailsItsCommitsAndReadsAndNewWritesGoAroundIt) {
  const std::string content = random_.Bytes(1000);
  const auto ids = Add({content, random_.Bytes(500)});
  Batch batch;
  batch.Put(Family::kChunk, BigU64(ids[0]), "rubbish");
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  EXPECT_EQ(ReadBack(ids[0], content.size()).error().code, EIO);
  EXPECT_EQ(Count({ids[0]}, -1).error().code, EIO);
  EXPECT_TRUE(Count({ids[1]}, -1));
  const auto fresh = Add({content});
  EXPECT_NE(fresh[0], ids[0]);
  ExpectContent(fresh[0], content);
}

}  // namespace
}  // namespace dedupfs

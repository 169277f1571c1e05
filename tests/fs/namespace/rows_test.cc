// Rows from disk are not trusted: whatever the bytes, a valid value or EIO.
#include "tests/fs/namespace/namespace_fixture.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

InodeRecord Sample() {
  InodeRecord record;
  record.mode = S_IFLNK | 0777;
  record.nlink = 3;
  record.uid = 1000;
  record.gid = 0xfffffffe;
  record.parent = 17;
  record.cookie = 0x7fffffffffffff01;
  record.atime = -1;
  record.mtime = 1'700'000'000'123'456'789;
  record.ctime = 2;
  record.btime = 3;
  record.target = "some/where";
  record.xattrs.push_back({"security.big", "", 4000, false});
  record.xattrs.push_back({"user.small", std::string("v\0w", 3), 3, true});
  return record;
}

void ExpectEioOrValidInode(const std::string& bytes) {
  const auto parsed = ParseInode(42, bytes);
  if (!parsed) {
    EXPECT_EQ(parsed.error().code, EIO);
    EXPECT_NE(parsed.error().message.find("42"), std::string::npos);
    return;
  }
  EXPECT_TRUE(IsValidMode(parsed->mode));
  EXPECT_TRUE(ParseInode(42, EncodeInode(*parsed)));
}

void ExpectEioOrValidDentry(const std::string& bytes) {
  const auto parsed = ParseDentry(42, 300, bytes);
  if (!parsed) {
    EXPECT_EQ(parsed.error().code, EIO);
    return;
  }
  EXPECT_TRUE(IsStorableName(parsed->name));
  EXPECT_TRUE(IsValidMode(parsed->type));
}

TEST(RowsTest, InodeRecordComesBackWhole) {
  const std::string bytes = EncodeInode(Sample());
  const auto parsed = ParseInode(1, bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(EncodeInode(*parsed), bytes);
  EXPECT_EQ(parsed->gid, 0xfffffffeu);
  EXPECT_EQ(parsed->atime, -1);
  EXPECT_EQ(parsed->xattrs[0].size, 4000u);
  EXPECT_EQ(parsed->xattrs[1].value.size(), 3u);
}

TEST(RowsTest, EveryTruncatedInodeRecordIsEio) {
  const std::string bytes = EncodeInode(Sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseInode(42, bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(ParseInode(42, bytes + '\0'));
}

TEST(RowsTest, EveryBitFlipIsEioOrAValidRow) {
  const std::string inode = EncodeInode(Sample());
  for (size_t bit = 0; bit < inode.size() * 8; ++bit) {
    std::string flipped = inode;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ExpectEioOrValidInode(flipped);
  }
  const std::string entry = EncodeDentry({1ull << 40, S_IFDIR, "name"});
  for (size_t bit = 0; bit < entry.size() * 8; ++bit) {
    std::string flipped = entry;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    ExpectEioOrValidDentry(flipped);
  }
}

TEST(RowsTest, RandomBytesAreEioOrAValidRow) {
  Random random(TestSeed());
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = random.Bytes(random.Below(200));
    if (!bytes.empty() && random.OneIn(2)) bytes[0] = 1;
    ExpectEioOrValidInode(bytes);
    ExpectEioOrValidDentry(bytes);
  }
}

TEST(RowsTest, DentryRefusesNamesThatMeanSomethingElse) {
  EXPECT_EQ(ParseDentry(1, 300, EncodeDentry({16, S_IFREG, "ok"}))->name, "ok");
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"),
        std::string("a\0b", 3), std::string(256, 'n')}) {
    EXPECT_FALSE(ParseDentry(1, 300, EncodeDentry({16, S_IFREG, name})));
  }
  EXPECT_FALSE(ParseDentry(1, 300, EncodeDentry({0, S_IFREG, "ok"})));
  EXPECT_FALSE(ParseDentry(1, 300, EncodeDentry({16, 0, "ok"})));
}

class CorruptRowTest : public NamespaceFixture {};

TEST_F(CorruptRowTest, DamagedRowsAreEioToTheCaller) {
  const Ino file = File(kRootIno, "f");
  const uint64_t cookie = Record(file).cookie;
  PutRow(Family::kInode, InodeKey(file), "junk");
  EXPECT_EQ(CodeOf(ns_->Get(file)), EIO);
  EXPECT_EQ(CodeOf(ns_->Unlink(kRootIno, "f")), EIO);
  DeleteRow(Family::kInode, InodeKey(file));
  EXPECT_EQ(CodeOf(ns_->Lookup(kRootIno, "f")), EIO);
  EXPECT_EQ(CodeOf(ns_->Unlink(kRootIno, "f")), EIO);
  PutRow(Family::kDentry, DentryKey(kRootIno, cookie), "junk");
  EXPECT_EQ(CodeOf(ns_->Lookup(kRootIno, "f")), EIO);
}

TEST_F(CorruptRowTest, AStoreWithoutARootDoesNotOpen) {
  ns_.reset();
  DeleteRow(Family::kInode, InodeKey(kRootIno));
  EXPECT_EQ(CodeOf(Namespace::Open(*kv_, kKey, false)), EIO);
}

}  // namespace
}  // namespace dedupfs

// How names find their rows, with hashes that collide.
#include "fs/namespace/dentry.h"

#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class DentryTest : public NamespaceFixture {
 protected:
  void Put(Dentries& dentries, std::string_view name, Ino ino) {
    const auto slot = dentries.Probe(5, name);
    ASSERT_TRUE(slot) << slot.error().message;
    ASSERT_FALSE(slot->entry);
    if (slot->cookie % kCollisions != 0) dentries.NoteCollision();
    PutRow(Family::kDentry, DentryKey(5, slot->cookie),
           EncodeDentry({ino, S_IFREG, std::string(name)}));
  }
};

NameHash Constant(uint64_t hash) {
  return [hash](std::string_view) { return hash; };
}

TEST_F(DentryTest, CookiesHave63BitsAndAreNeverSmall) {
  for (const uint64_t hash : {uint64_t{0}, uint64_t{511}, uint64_t{512}, UINT64_MAX}) {
    const uint64_t cookie = Dentries(*kv_, Constant(hash), false).FirstCookie("x");
    EXPECT_GT(cookie, kDotDotCookie);
    EXPECT_LT(cookie + kCollisions - 1, uint64_t{1} << 63);
    EXPECT_EQ(cookie % kCollisions, 0u);
  }
}

TEST_F(DentryTest, CollidingNamesTakeTheLowestFreeNumber) {
  Dentries dentries(*kv_, Constant(0), false);
  Put(dentries, "a", 20);
  Put(dentries, "b", 21);
  Put(dentries, "c", 22);
  const uint64_t first = dentries.FirstCookie("a");
  EXPECT_EQ((*dentries.Find(5, "b"))->cookie, first + 1);
  DeleteRow(Family::kDentry, DentryKey(5, first));
  EXPECT_EQ((*dentries.Find(5, "c"))->cookie, first + 2) << "an entry keeps its cookie for life";
  EXPECT_FALSE(*dentries.Find(5, "a"));
  EXPECT_EQ(dentries.Probe(5, "d")->cookie, first);
  EXPECT_EQ(dentries.Probe(5, "b")->entry->ino, 21u);
}

TEST_F(DentryTest, Name257OfOneHashIsEnospc) {
  Dentries dentries(*kv_, Constant(UINT64_MAX), false);
  for (int i = 0; i < 256; ++i) Put(dentries, std::to_string(i), 100 + i);
  EXPECT_EQ(CodeOf(dentries.Probe(5, "one more")), ENOSPC);
  EXPECT_FALSE(*dentries.Find(5, "one more"));
  EXPECT_EQ((*dentries.Find(5, "255"))->entry->ino, 355u);
}

TEST_F(DentryTest, NamespaceWorksBesideACollision) {
  const Dentries dentries(*kv_, SipNameHash(kKey), false);
  const uint64_t first = dentries.FirstCookie("victim");
  PutRow(Family::kDentry, DentryKey(kRootIno, first), EncodeDentry({77, S_IFREG, "squatter"}));
  EXPECT_EQ(CodeOf(ns_->Lookup(kRootIno, "victim")), ENOENT);
  const Ino file = File(kRootIno, "victim");
  EXPECT_EQ(ns_->Lookup(kRootIno, "victim")->ino, file);
  EXPECT_EQ(Record(file).cookie, first + 1);
  ASSERT_TRUE(ns_->Unlink(kRootIno, "victim"));
  EXPECT_FALSE(IsThere(kRootIno, "victim"));
}

TEST_F(DentryTest, StoreRemembersThatNamesCollide) {
  const Dentries dentries(*kv_, SipNameHash(kKey), false);
  const uint64_t first = dentries.FirstCookie("victim");
  PutRow(Family::kDentry, DentryKey(kRootIno, first), EncodeDentry({77, S_IFREG, "squatter"}));
  const Ino file = File(kRootIno, "victim");
  DeleteRow(Family::kDentry, DentryKey(kRootIno, first));
  Reopen();
  EXPECT_EQ(ns_->Lookup(kRootIno, "victim")->ino, file) << "it has collision number 1";
  EXPECT_EQ(CodeOf(ns_->Create(kRootIno, "victim", S_IFREG | 0600, 0, {}, {})), EEXIST);
}

}  // namespace
}  // namespace dedupfs

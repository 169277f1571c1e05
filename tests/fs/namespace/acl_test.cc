// Parsing and arithmetic of POSIX ACLs.
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

#include "fs/namespace/posix_acl.h"

namespace dedupfs {
namespace {

const AclEntry kOwner{AclTag::kUserObj, 7, 0}, kUser{AclTag::kUser, 6, 10},
    kGroupObj{AclTag::kGroupObj, 5, 0}, kGroup{AclTag::kGroup, 4, 20}, kMask{AclTag::kMask, 3, 0},
    kOther{AclTag::kOther, 1, 0};

TEST(AclTest, RoundTripKeepsEveryEntry) {
  const std::string bytes = EncodeAcl({kOwner, kUser, kGroupObj, kGroup, kMask, kOther});
  EXPECT_EQ(bytes.size(), 4u + 6 * 8);
  const auto parsed = ParseAcl(bytes);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(EncodeAcl(*parsed), bytes);
}

TEST(AclTest, NoBytesAndNoEntriesMeanNoAcl) {
  EXPECT_TRUE(ParseAcl("")->empty());
  EXPECT_TRUE(ParseAcl(EncodeAcl({}))->empty());
}

TEST(AclTest, InvalidListsAreEinval) {
  AclEntry bad_bits = kOther;
  bad_bits.permissions = 8;
  AclEntry no_id = kUser;
  no_id.id = 0xffffffff;
  const std::vector<Acl> invalid = {
      {kOwner},                                   // no group, no other
      {kOwner, kUser, kGroupObj, kOther},         // named without a mask
      {kOwner, kOwner, kGroupObj, kOther},        // twice
      {kGroupObj, kOwner, kOther},                // out of order
      {kOwner, kGroupObj, kMask, kMask, kOther},  // two masks
      {kOwner, kGroupObj, bad_bits},              // permission 8
      {kOwner, no_id, kGroupObj, kMask, kOther},  // no user
      {kOwner, kGroupObj, {AclTag{0x40}, 0, 0}, kOther},
  };
  for (size_t i = 0; i < invalid.size(); ++i) {
    const auto parsed = ParseAcl(EncodeAcl(invalid[i]));
    ASSERT_FALSE(parsed) << i;
    EXPECT_EQ(parsed.error().code, EINVAL);
  }
}

TEST(AclTest, EveryTruncationIsEinval) {
  const std::string bytes = EncodeAcl({kOwner, kUser, kGroupObj, kGroup, kMask, kOther});
  for (size_t size = 1; size < bytes.size(); ++size) {
    if (size == 4) continue;  // a list without entries
    EXPECT_FALSE(ParseAcl(bytes.substr(0, size))) << size;
  }
}

TEST(AclTest, GroupBitsOfTheModeAreTheMask) {
  uint32_t mode = 0100000;
  EXPECT_FALSE(SetModeFromAcl({kOwner, kUser, kGroupObj, kMask, kOther}, mode));
  EXPECT_EQ(mode, 0100731u);
  EXPECT_TRUE(SetModeFromAcl({kOwner, kGroupObj, kOther}, mode));
  EXPECT_EQ(mode, 0100751u);
  Acl acl = {kOwner, kUser, kGroupObj, kMask, kOther};
  SetAclFromMode(acl, 0640);
  EXPECT_EQ(acl[0].permissions, 6);
  EXPECT_EQ(acl[2].permissions, 5);
  EXPECT_EQ(acl[3].permissions, 4);
  EXPECT_EQ(acl[4].permissions, 0);
}

}  // namespace
}  // namespace dedupfs

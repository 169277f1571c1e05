#include "chunkstore/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

namespace dedupfs {
namespace {

Status Failing() { return Fail(ENOSPC, "pack 7"); }
Result<std::unique_ptr<int>> Boxed(int value) { return std::make_unique<int>(value); }

Status ReturnsEarly(bool& went_on) {
  DEDUPFS_RETURN_IF_ERROR(Ok());
  DEDUPFS_RETURN_IF_ERROR(Failing());
  went_on = true;
  return Ok();
}

Result<int> Unboxes() {
  DEDUPFS_ASSIGN_OR_RETURN(const std::unique_ptr<int> one, Boxed(1));
  DEDUPFS_ASSIGN_OR_RETURN(std::unique_ptr<int> two, Boxed(2));
  return *one + *two;
}

Result<int> FailsToAssign() {
  DEDUPFS_ASSIGN_OR_RETURN(const int value, Result<int>(Fail(ESTALE, "inode 9")));
  return value;
}

TEST(ErrorTest, ReturnIfErrorKeepsCodeAndMessage) {
  bool went_on = false;
  const Status status = ReturnsEarly(went_on);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ENOSPC);
  EXPECT_EQ(status.error().message, "pack 7");
  EXPECT_FALSE(went_on);
}

TEST(ErrorTest, AssignOrReturnMovesTheValue) {
  const Result<int> sum = Unboxes();
  ASSERT_TRUE(sum);
  EXPECT_EQ(*sum, 3);
}

TEST(ErrorTest, AssignOrReturnGivesTheError) {
  const Result<int> failed = FailsToAssign();
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ESTALE);
}

TEST(ErrorTest, FailErrnoNamesTheThingAndTheReason) {
  errno = ENOENT;
  const Status status = FailErrno("open x");
  EXPECT_EQ(status.error().code, ENOENT);
  EXPECT_EQ(status.error().message, "open x: No such file or directory");
}

TEST(ErrorTest, FailErrnoIsAnErrorEvenWithoutAnErrno) {
  errno = 0;
  const Status status = FailErrno("close x");
  EXPECT_EQ(status.error().code, EIO);
}

TEST(ErrorTest, CorruptIsEio) {
  const Status status = Corrupt("inode 5");
  EXPECT_EQ(status.error().code, EIO);
  EXPECT_NE(status.error().message.find("inode 5"), std::string::npos);
}

}  // namespace
}  // namespace dedupfs

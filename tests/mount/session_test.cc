// Mounting, unmounting and stopping.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "fs/fuse/mount_point.h"
#include "fs/fuse/session_arguments.h"
#include "tests/mount/mount_fixture.h"
#include "tools/dedupfs/mount_options.h"

namespace dedupfs {
namespace {

using SessionTest = MountTest;

TEST_F(SessionTest, MountIsSeenAsDedupfs) {
  EXPECT_EQ(MountAt(mountpoint()).type, "fuse.dedupfs");
  StopSession();
  EXPECT_EQ(MountAt(mountpoint()).type, "");
}

TEST_F(SessionTest, UnmountByAnotherEndsRun) {
  WriteFile(At("file"), "kept");
  ASSERT_EQ(::umount2(mountpoint().c_str(), 0), 0) << strerror(errno);
  JoinRun();
  EXPECT_TRUE(run_result());
  StopSession();
  ASSERT_NO_FATAL_FAILURE(StartSession(Options()));
  EXPECT_EQ(ReadFile(At("file")), "kept");
}

TEST_F(SessionTest, StopEndsRunAfterALazyUnmountWithOpenFiles) {
  Fd file(At("file"), O_RDWR | O_CREAT);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(::umount2(mountpoint().c_str(), MNT_DETACH), 0);
  WriteAt(file.get(), "served", 0);
  StopSession();
  EXPECT_EQ(::pwrite(file.get(), "late", 4, 0) == 4 && ::fsync(file.get()) == 0, false);
}

TEST_F(SessionTest, StopFromSeveralThreadsIsOneStop) {
  std::thread other([this] { session().Stop(); });
  session().Stop();
  other.join();
  JoinRun();
  EXPECT_TRUE(run_result());
}

TEST_F(SessionTest, MountOnAMissingDirectorySaysSo) {
  SessionOptions options = Options();
  options.mountpoint = mountpoint() + "-missing";
  const auto mounted = FuseSession::Mount(file_system(), options);
  ASSERT_FALSE(mounted);
  EXPECT_EQ(mounted.error().code, ENOENT);
  EXPECT_NE(mounted.error().message.find("-missing"), std::string::npos);
}

TEST_F(SessionTest, MountOnAFileSaysSo) {
  SessionOptions options = Options();
  options.mountpoint = mountpoint() + "-file";
  std::ofstream(options.mountpoint) << "x";
  const auto mounted = FuseSession::Mount(file_system(), options);
  ASSERT_FALSE(mounted);
  EXPECT_EQ(mounted.error().code, ENOTDIR);
}

TEST_F(SessionTest, SecondMountOnTheSameDirectoryIsBusy) {
  const auto mounted = FuseSession::Mount(file_system(), Options());
  ASSERT_FALSE(mounted);
  EXPECT_EQ(mounted.error().code, EBUSY);
}

TEST_F(SessionTest, StopBeforeRunLeavesNoMount) {
  const std::string other = mountpoint() + "-other";
  ASSERT_EQ(::mkdir(other.c_str(), 0755), 0);
  SessionOptions options = Options();
  options.mountpoint = other;
  auto mounted = FuseSession::Mount(file_system(), options);
  ASSERT_TRUE(mounted) << mounted.error().message;
  (*mounted)->Stop();
  EXPECT_TRUE((*mounted)->Run());
  EXPECT_EQ(MountAt(other).type, "");
}

TEST_F(SessionTest, SessionThatNeverRanLeavesNoMount) {
  const std::string other = mountpoint() + "-other";
  ASSERT_EQ(::mkdir(other.c_str(), 0755), 0);
  SessionOptions options = Options();
  options.mountpoint = other;
  {
    auto mounted = FuseSession::Mount(file_system(), options);
    ASSERT_TRUE(mounted) << mounted.error().message;
    EXPECT_EQ(MountAt(other).type, "fuse.dedupfs");
  }
  EXPECT_EQ(MountAt(other).type, "");
}

TEST_F(SessionTest, ReadOnlyMountRefusesChanges) {
  WriteFile(At("file"), "content");
  SessionOptions options = Options();
  options.read_only = true;
  ASSERT_NO_FATAL_FAILURE(Remount(options));
  EXPECT_EQ(ReadFile(At("file")), "content");
  EXPECT_FALSE(Fd(At("file"), O_WRONLY).ok());
  EXPECT_EQ(errno, EROFS);
  EXPECT_EQ(::unlink(At("file").c_str()), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_F(SessionTest, EveryKnownMountOptionIsAccepted) {
  SessionOptions options = Options();
  options.kernel_options = KernelMountOptions();
  for (const char* const option : {"rw", "defaults", "nofail", "exec", "noexec"}) {
    options.kernel_options.emplace_back(option);
  }
  ASSERT_NO_FATAL_FAILURE(Remount(options));
  WriteFile(At("program"), "x");
  ASSERT_EQ(::chmod(At("program").c_str(), 0755), 0);
  EXPECT_EQ(::access(At("program").c_str(), X_OK), -1);  // noexec came last
  EXPECT_EQ(errno, EACCES);
}

TEST(SessionArgumentsTest, RootGetsDevAndSuidUnlessToldOtherwise) {
  SessionOptions options;
  EXPECT_NE(SessionArguments(options, true)->find(",dev,suid"), std::string::npos);
  EXPECT_EQ(SessionArguments(options, false)->find(",dev,suid"), std::string::npos);
  options.kernel_options = {"nosuid"};
  const std::string arguments = *SessionArguments(options, true);
  EXPECT_GT(arguments.find(",nosuid"), arguments.find(",suid"));
}

TEST(SessionArgumentsTest, CommasInTheSourceAreNoOptions) {
  SessionOptions options;
  options.source = "/a,suid";
  EXPECT_NE(SessionArguments(options, false)->find("fsname=/a\\,suid"), std::string::npos);
}

TEST(SessionArgumentsTest, UnknownOptionIsAnError) {
  SessionOptions options;
  options.kernel_options = {"frobnicate"};
  const auto arguments = SessionArguments(options, true);
  ASSERT_FALSE(arguments);
  EXPECT_EQ(arguments.error().code, EINVAL);
}

}  // namespace
}  // namespace dedupfs

// Set-id bits: when they go, when they stay, and what sgid directories give.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <string>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

class SetIdTest : public PosixTest {
 protected:
  // The mode of a program with `mode` after `change` on its path by `user`.
  mode_t ModeAfter(mode_t mode, const User& user,
                   const std::function<bool(const std::string&)>& change) {
    ::unlink(At("program").c_str());
    MakeFile("program", std::string(8192, 'p'));
    Chown("program", kOwner, kGroup);
    Chmod("program", mode);
    EXPECT_EQ(As(user, [&] { return change(At("program")) ? 0 : 1; }), 0);
    return Mode("program");
  }
};
POSIX_RULES(set_id, SetIdTest);

bool WriteOne(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  return fd >= 0 && ::pwrite(fd, "w", 1, 3) == 1 && ::close(fd) == 0;
}

bool PunchOne(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  return fd >= 0 && ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 &&
         ::close(fd) == 0;
}

bool CutToFive(const std::string& path) { return ::truncate(path.c_str(), 5) == 0; }

bool OpenCut(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  return fd >= 0 && ::close(fd) == 0;
}

TEST_P(SetIdTest, ChangingTheContentClearsThem) {
  for (const auto& change : {WriteOne, CutToFive, OpenCut, PunchOne}) {
    EXPECT_EQ(ModeAfter(06777, Owner(), change), 0777U);
    EXPECT_EQ(ModeAfter(04755, Owner(), change), 0755U);
    EXPECT_EQ(ModeAfter(06777, Stranger(), change), 0777U);
  }
}

// Without the group's execute bit S_ISGID once meant mandatory locking.
TEST_P(SetIdTest, SetgidWithoutGroupExecuteStaysForAMember) {
  EXPECT_EQ(ModeAfter(02766, Owner(), WriteOne), 02766U);
  EXPECT_EQ(ModeAfter(06766, Owner(), CutToFive), 02766U);
}

TEST_P(SetIdTest, SetgidWithoutGroupExecuteGoesWithAStrangersChange) {
  const auto grow = [](const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    return fd >= 0 && ::fallocate(fd, 0, 0, 50'000) == 0 && ::close(fd) == 0;
  };
  const auto zero = [](const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    return fd >= 0 && ::fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 5'000) == 0 && ::close(fd) == 0;
  };
  const std::array<std::function<bool(const std::string&)>, 6> changes = {
      WriteOne, CutToFive, OpenCut, PunchOne, grow, zero};
  for (size_t i = 0; i < changes.size(); ++i) {
    EXPECT_EQ(ModeAfter(02666, Stranger(), changes[i]), 0666U) << i;
    EXPECT_EQ(ModeAfter(06666, Stranger(), changes[i]), 0666U) << i;
    EXPECT_EQ(ModeAfter(06667, Stranger(), changes[i]), 0667U) << i;
    EXPECT_EQ(ModeAfter(06666, Member(), changes[i]), 02666U) << i;
  }
}

// A member's write before it, by an open file, leaves the bit for the stranger's to clear.
TEST_P(SetIdTest, StrangersWriteAfterAMembersClearsSetgid) {
  MakeFile("program", std::string(8192, 'p'));
  Chown("program", kOwner, kGroup);
  Chmod("program", 02666);
  const auto write = [&] { return WriteOne(At("program")) ? 0 : 1; };
  const int keeps_it_open = ::open(At("program").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(As(Member(), write), 0);
  EXPECT_EQ(Mode("program"), 02666U);
  EXPECT_EQ(As(Stranger(), write), 0);
  EXPECT_EQ(Mode("program"), 0666U);
  ::close(keeps_it_open);
}

// It is the capability that keeps them, not being root.
TEST_P(SetIdTest, ChangesByRootWithoutTheCapabilityClearThem) {
  const auto without = [](const auto& change) {
    return [change](const std::string& path) { return DropCapability(CAP_FSETID) && change(path); };
  };
  for (const auto& change : {WriteOne, CutToFive, OpenCut, PunchOne}) {
    EXPECT_EQ(ModeAfter(06777, {}, without(change)), 0777U);
    EXPECT_EQ(ModeAfter(06666, {}, without(change)), 0666U);
    EXPECT_EQ(ModeAfter(06777, {}, change), 06777U);
  }
  const auto chmod = [](const std::string& path) { return ::chmod(path.c_str(), 02755) == 0; };
  EXPECT_EQ(ModeAfter(0755, {}, without(chmod)), 0755U);
  EXPECT_EQ(ModeAfter(0755, {}, chmod), 02755U);
}

TEST_P(SetIdTest, ChownToNobodyClearsThemOfExecutables) {
  const auto change = [](const std::string& path) { return ::chown(path.c_str(), -1, -1) == 0; };
  EXPECT_EQ(ModeAfter(06755, {}, change), 0755U);
  EXPECT_EQ(ModeAfter(06755, Owner(), change), 0755U);
}

TEST_P(SetIdTest, RootsWritesKeepThem) {
  EXPECT_EQ(ModeAfter(06777, {}, WriteOne), 06777U);
  EXPECT_EQ(ModeAfter(06777, {}, CutToFive), 06777U);
}

TEST_P(SetIdTest, ChownClearsThemOfExecutables) {
  const auto change = [](const std::string& path) {
    return ::chown(path.c_str(), -1, kGroup) == 0;
  };
  EXPECT_EQ(ModeAfter(06777, Owner(), change), 0777U);
  EXPECT_EQ(ModeAfter(06777, {}, change), 0777U);
  EXPECT_EQ(ModeAfter(06766, {}, change), 02766U);
  EXPECT_EQ(ModeAfter(02644, {}, change), 02644U);
}

TEST_P(SetIdTest, ChownOfADirectoryKeepsThem) {
  MakeDirectory("dir", 06755);
  Chown("dir", kOwner, kGroup);
  EXPECT_EQ(Mode("dir"), 06755U);
}

TEST_P(SetIdTest, ChmodOutsideTheGroupDropsSetgid) {
  const auto change = [](const std::string& path) { return ::chmod(path.c_str(), 02755) == 0; };
  const User elsewhere = {.uid = kOwner, .gid = kOtherGroup};
  EXPECT_EQ(ModeAfter(0755, elsewhere, change), 0755U);
  EXPECT_EQ(ModeAfter(0755, Owner(), change), 02755U);
  const User by_supplement = {.uid = kOwner, .gid = kOtherGroup, .groups = {kGroup}};
  EXPECT_EQ(ModeAfter(0755, by_supplement, change), 02755U);
}

TEST_P(SetIdTest, SetgidDirectoryGivesItsGroupAndDirectoriesItsBit) {
  MakeDirectory("dir");
  Chown("dir", 0, kGroup);
  Chmod("dir", 02777);
  EXPECT_EQ(As(Stranger(),
               [&] {
                 const int fd =
                     ::open(At("dir/file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
                 if (fd < 0 || ::mkdir(At("dir/sub").c_str(), 0755) != 0) return 1;
                 return ::symlink("x", At("dir/link").c_str()) == 0 ? 0 : 2;
               }),
            0);
  EXPECT_EQ(Stat("dir/file").st_gid, kGroup);
  EXPECT_EQ(Stat("dir/link").st_gid, kGroup);
  EXPECT_EQ(Stat("dir/sub").st_gid, kGroup);
  EXPECT_EQ(Mode("dir/file"), 0644U);
  EXPECT_EQ(Mode("dir/sub"), 02755U);
}

TEST_P(SetIdTest, CreatingASetgidProgramOutsideTheGroupDropsTheBit) {
  MakeDirectory("dir");
  Chown("dir", 0, kGroup);
  Chmod("dir", 02777);
  const auto create = [&](const User& user, const std::string& name) {
    EXPECT_EQ(
        As(user, [&] { return ::mknod(At(name).c_str(), S_IFREG | 02755, 0) == 0 ? 0 : errno; }),
        0);
    return Mode(name);
  };
  EXPECT_EQ(create(Stranger(), "dir/stranger"), 0755U);
  EXPECT_EQ(create(Member(), "dir/member"), 02755U);
}

TEST_P(SetIdTest, SetuidProgramRunsAsItsOwner) {
  const int wrong = InChildProcess(
      [&] { return ::execlp("cp", "cp", "/usr/bin/id", At("id").c_str(), nullptr); });
  ASSERT_EQ(wrong, 0);
  Chown("id", kOwner, kGroup);
  Chmod("id", 04755);
  const int written = As(Stranger(), [&] {
    const int out = ::open(At("out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (out < 0 || ::dup2(out, STDOUT_FILENO) < 0) return 1;
    ::execl(At("id").c_str(), "id", "-u", nullptr);
    return 2;
  });
  ASSERT_EQ(written, 0);
  EXPECT_EQ(Content("out"), std::to_string(kOwner) + "\n");
}

}  // namespace
}  // namespace dedupfs

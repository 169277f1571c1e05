// One rule of POSIX or Linux as a test, which runs on DedupFS and on ext4 alike, in a directory of
// its own. Where FUSE keeps DedupFS from a rule, the test asks IsDedupfs() and docs/posix.md says
// why.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/posix/tested_file_system.h"

namespace dedupfs {

enum class Kind { kExt4, kDedupfs };
std::ostream& operator<<(std::ostream& out, Kind kind);

// The mounts of the program; main() fills them in. Null where it could not be mounted.
struct Mounts {
  TestedFileSystem* ext4 = nullptr;
  std::string why_no_ext4;  // "needs THING: why"
  TestedFileSystem* dedupfs = nullptr;
};
Mounts& TheMounts();

class PosixTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override;
  void TearDown() override;

  bool IsDedupfs() const { return GetParam() == Kind::kDedupfs; }
  TestedFileSystem& tested() const;
  // The directory of this test, mode 0777, and a name in it.
  const std::string& directory() const { return directory_; }
  std::string At(std::string_view name) const { return directory_ + "/" + std::string(name); }

  // Each adds a failure where it does not work.
  void MakeFile(std::string_view name, std::string_view content = "x", mode_t mode = 0644) const;
  void MakeDirectory(std::string_view name, mode_t mode = 0755) const;
  void Chown(std::string_view name, uid_t uid, gid_t gid) const;
  void Chmod(std::string_view name, mode_t mode) const;
  std::string Content(std::string_view name) const;
  struct stat Stat(std::string_view name) const;  // of a symlink itself
  mode_t Mode(std::string_view name) const { return Stat(name).st_mode & 07777; }
  bool IsThere(std::string_view name) const;  // a symlink is, wherever it leads

  // The error of a call on names in the directory.
  int Link(std::string_view from, std::string_view to) const;
  int Unlink(std::string_view name) const;
  int Rmdir(std::string_view name) const;
  int Rename(std::string_view from, std::string_view to, unsigned flags = 0) const;

 private:
  std::string directory_;
};

// The error of a call that gave `result`: 0 where it is not negative.
int Error(ssize_t result);

// Another user than root.
struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups = {};  // supplementary
};
inline constexpr uid_t kOwner = 4201, kMember = 4202, kStranger = 4203;
inline constexpr gid_t kGroup = 4301, kOtherGroup = 4302;
User Owner();     // kOwner, in kGroup
User Member();    // kMember, in kGroup by a supplementary group
User Stranger();  // kStranger, in no group of these

// The result of `body`, 0 to 255, in a child process of this user; -1 where it died.
int As(const User& user, const std::function<int()>& body);
// The same as root.
int InChildProcess(const std::function<int()>& body);
// Takes one of root's capabilities from this thread; false where that failed. For a child process.
bool DropCapability(unsigned capability);
// The signal that ended the child; 0 where it was none.
int SignalOf(const std::function<int()>& body);

// Names the suite for its topic, as tests/posix/CMakeLists.txt filters it.
std::string KindName(const ::testing::TestParamInfo<Kind>& info);

// Runs the rules of `suite` on both file systems.
// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): declares names
#define POSIX_RULES(topic, suite)                                                                \
  INSTANTIATE_TEST_SUITE_P(posix_##topic, suite, ::testing::Values(Kind::kExt4, Kind::kDedupfs), \
                           KindName)

}  // namespace dedupfs

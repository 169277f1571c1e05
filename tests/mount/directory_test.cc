// Listing of directories.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <string>

#include "tests/mount/mount_fixture.h"

namespace dedupfs {
namespace {

using DirectoryTest = MountTest;
struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Directory OpenDirectory(const std::string& path) { return Directory(::opendir(path.c_str())); }

std::multiset<std::string> NamesIn(const std::string& path) {
  Directory directory = OpenDirectory(path);
  EXPECT_NE(directory, nullptr);
  std::multiset<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) names.insert(entry->d_name);
  return names;
}

void MakeFiles(const std::string& directory, int count) {
  ASSERT_EQ(::mkdir(directory.c_str(), 0755), 0);
  for (int i = 0; i < count; ++i) {
    const std::string path = directory + "/file" + std::to_string(i);
    ASSERT_EQ(::mknod(path.c_str(), S_IFREG | 0644, 0), 0);
  }
}

TEST_F(DirectoryTest, TwentyThousandFilesAreListedOnceEach) {
  constexpr int kFiles = 20'000;
  ASSERT_NO_FATAL_FAILURE(MakeFiles(At("many"), kFiles));
  const std::multiset<std::string> names = NamesIn(At("many"));
  EXPECT_EQ(names.size(), kFiles + 2U);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  EXPECT_EQ(NamesIn(At("many")), names);  // now from the kernel's cache
  Remount();
  EXPECT_EQ(NamesIn(At("many")), names);
}

TEST_F(DirectoryTest, SeekdirGoesOnWhereTelldirWas) {
  constexpr int kFiles = 20'000;
  ASSERT_NO_FATAL_FAILURE(MakeFiles(At("many"), kFiles));
  Directory directory = OpenDirectory(At("many"));
  ASSERT_NE(directory, nullptr);
  for (int i = 0; i < 7'777; ++i) ASSERT_NE(::readdir(directory.get()), nullptr);
  const long place = ::telldir(directory.get());  // NOLINT(google-runtime-int): telldir's type
  const dirent* entry = ::readdir(directory.get());
  ASSERT_NE(entry, nullptr);
  const std::string next = entry->d_name;
  while (::readdir(directory.get()) != nullptr) {
  }
  ::seekdir(directory.get(), place);
  entry = ::readdir(directory.get());
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->d_name, next);

  Directory other = OpenDirectory(At("many"));  // a cookie holds for every open directory
  ASSERT_NE(other, nullptr);
  ::seekdir(other.get(), place);
  entry = ::readdir(other.get());
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->d_name, next);
}

TEST_F(DirectoryTest, ListingFollowsChanges) {
  ASSERT_NO_FATAL_FAILURE(MakeFiles(At("dir"), 3));
  EXPECT_EQ(NamesIn(At("dir")).size(), 5U);
  EXPECT_EQ(NamesIn(At("dir")).size(), 5U);
  WriteFile(At("dir/new"), "x");
  ASSERT_EQ(::unlink(At("dir/file1").c_str()), 0);
  EXPECT_EQ(NamesIn(At("dir")), (std::multiset<std::string>{".", "..", "file0", "file2", "new"}));
}

TEST_F(DirectoryTest, EveryFileCanBeRemovedWhileListing) {
  constexpr int kFiles = 3'000;
  ASSERT_NO_FATAL_FAILURE(MakeFiles(At("dir"), kFiles));
  Directory directory = OpenDirectory(At("dir"));
  ASSERT_NE(directory, nullptr);
  int removed = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (entry->d_name[0] == '.') continue;
    ASSERT_EQ(::unlinkat(::dirfd(directory.get()), entry->d_name, 0), 0) << entry->d_name;
    ++removed;
  }
  EXPECT_EQ(removed, kFiles);
  EXPECT_EQ(::rmdir(At("dir").c_str()), 0);
}

TEST_F(DirectoryTest, TypesAndInodeNumbersAreThoseOfStat) {
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(At("dir/sub").c_str(), 0755), 0);
  WriteFile(At("dir/file"), "x");
  ASSERT_EQ(::symlink("file", At("dir/link").c_str()), 0);
  Directory directory = OpenDirectory(At("dir"));
  ASSERT_NE(directory, nullptr);
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name == "..") continue;
    const struct stat status = StatOf(At("dir/" + name));
    EXPECT_EQ(entry->d_ino, status.st_ino) << name;
    EXPECT_EQ(entry->d_type, IFTODT(status.st_mode)) << name;
  }
}

TEST_F(DirectoryTest, FsyncOfADirectorySucceeds) {
  ASSERT_EQ(::mkdir(At("dir").c_str(), 0755), 0);
  Fd directory(At("dir"), O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(::fsync(directory.get()), 0);
}

}  // namespace
}  // namespace dedupfs

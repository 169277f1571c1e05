// Listing directories, also while they change.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "tests/posix/posix_fixture.h"

namespace dedupfs {
namespace {

struct Entry {
  std::string name;
  ino_t ino = 0;
  unsigned char type = 0;
  long next = 0;  // where the entry after it is
};

class DirectoryTest : public PosixTest {
 protected:
  static std::vector<Entry> Rest(DIR* dir) {
    std::vector<Entry> out;
    while (const dirent* const entry = ::readdir(dir)) {
      out.push_back({entry->d_name, entry->d_ino, entry->d_type, ::telldir(dir)});
    }
    return out;
  }
  DIR* Open(std::string_view name) { return ::opendir(At(name).c_str()); }

  void Fill(const std::string& name, int count) {
    MakeDirectory(name);
    const int fd = ::open(At(name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(Error(::mknodat(fd, NameOf(i).c_str(), S_IFREG | 0644, 0)), 0);
    }
    ::close(fd);
  }
  static std::string NameOf(int i) { return "entry" + std::to_string(i); }

  // How often each name was given.
  static std::map<std::string, int> Count(const std::vector<Entry>& entries) {
    std::map<std::string, int> counts;
    for (const Entry& entry : entries) ++counts[entry.name];
    return counts;
  }
};
POSIX_RULES(directory, DirectoryTest);

TEST_P(DirectoryTest, EntriesTellInodeAndType) {
  MakeDirectory("dir");
  MakeFile("dir/file");
  MakeDirectory("dir/sub");
  ASSERT_EQ(Error(::symlink("x", At("dir/link").c_str())), 0);
  ASSERT_EQ(Error(::mkfifo(At("dir/fifo").c_str(), 0600)), 0);
  const std::map<std::string, unsigned char> types = {{".", DT_DIR},    {"..", DT_DIR},
                                                      {"file", DT_REG}, {"sub", DT_DIR},
                                                      {"link", DT_LNK}, {"fifo", DT_FIFO}};
  DIR* const dir = Open("dir");
  const std::vector<Entry> entries = Rest(dir);
  ::closedir(dir);
  EXPECT_EQ(entries.size(), types.size());
  for (const Entry& entry : entries) {
    EXPECT_EQ(entry.type, types.at(entry.name)) << entry.name;
    EXPECT_EQ(entry.ino, Stat("dir/" + entry.name).st_ino) << entry.name;
  }
}

TEST_P(DirectoryTest, TwentyThousandEntriesAreListedOnceEach) {
  constexpr int kEntries = 20'000;
  Fill("dir", kEntries);
  DIR* const dir = Open("dir");
  const auto counts = Count(Rest(dir));
  ::closedir(dir);
  EXPECT_EQ(counts.size(), kEntries + 2U);
  for (const auto& [name, count] : counts) ASSERT_EQ(count, 1) << name;
}

TEST_P(DirectoryTest, SeekdirGoesBackToWhereTelldirWas) {
  Fill("dir", 1'000);
  DIR* const dir = Open("dir");
  const std::vector<Entry> all = Rest(dir);
  for (const size_t at : {size_t{0}, size_t{1}, size_t{500}, size_t{997}}) {
    ::seekdir(dir, all[at].next);
    const std::vector<Entry> rest = Rest(dir);
    ASSERT_EQ(rest.size(), all.size() - at - 1);
    if (!rest.empty()) {
      EXPECT_EQ(rest.front().name, all[at + 1].name);
    }
  }
  ::rewinddir(dir);
  EXPECT_EQ(Rest(dir).size(), all.size());
  ::closedir(dir);
}

TEST_P(DirectoryTest, PositionHoldsOverAnotherHandle) {
  Fill("dir", 500);
  DIR* const first = Open("dir");
  const std::vector<Entry> all = Rest(first);
  ::closedir(first);
  DIR* const second = Open("dir");
  ::seekdir(second, all[250].next);
  EXPECT_EQ(Rest(second).size(), all.size() - 251);
  ::closedir(second);
}

TEST_P(DirectoryTest, DeletingWhileListingMissesNothingAndRepeatsNothing) {
  constexpr int kEntries = 3'000;
  Fill("dir", kEntries);
  DIR* const dir = Open("dir");
  std::map<std::string, int> counts;
  while (const dirent* const entry = ::readdir(dir)) {
    const std::string name = entry->d_name;
    if (name[0] == '.') continue;
    ++counts[name];
    ASSERT_EQ(Error(::unlinkat(::dirfd(dir), name.c_str(), 0)), 0);
  }
  ::closedir(dir);
  EXPECT_EQ(counts.size(), static_cast<size_t>(kEntries));
  EXPECT_EQ(Rmdir("dir"), 0);
}

TEST_P(DirectoryTest, ChangesWhileListingLeaveTheOthersAlone) {
  constexpr int kEntries = 2'000;
  Fill("dir", kEntries);
  DIR* const dir = Open("dir");
  std::map<std::string, int> counts;
  int step = 0;
  while (const dirent* const entry = ::readdir(dir)) {
    ++counts[entry->d_name];
    // Odd ones come and go, and new ones come, while even ones are listed.
    const int odd = (step * 2 + 1) % kEntries;
    ::unlink(At("dir/" + NameOf(odd)).c_str());
    MakeFile("dir/new" + std::to_string(step));
    if (++step == kEntries / 2) break;
  }
  for (const Entry& entry : Rest(dir)) ++counts[entry.name];
  ::closedir(dir);
  for (int i = 0; i < kEntries; i += 2) ASSERT_EQ(counts[NameOf(i)], 1) << i;
  for (const auto& [name, count] : counts) ASSERT_LE(count, 1) << name;
}

TEST_P(DirectoryTest, NewHandleSeesWhatChanged) {
  Fill("dir", 100);
  DIR* const before = Open("dir");
  EXPECT_EQ(Rest(before).size(), 102U);
  MakeFile("dir/new");
  ASSERT_EQ(Error(::unlink(At("dir/" + NameOf(7)).c_str())), 0);
  ASSERT_EQ(Error(::rename(At("dir/" + NameOf(8)).c_str(), At("dir/moved").c_str())), 0);
  DIR* const after = Open("dir");
  auto counts = Count(Rest(after));
  EXPECT_EQ(counts.size(), 102U);
  EXPECT_EQ(counts.count(NameOf(7)), 0U);
  EXPECT_EQ(counts.count(NameOf(8)), 0U);
  EXPECT_EQ(counts["new"] + counts["moved"], 2);
  // The old one, too, once it is rewound.
  ::rewinddir(before);
  EXPECT_EQ(Count(Rest(before)), counts);
  ::closedir(before);
  ::closedir(after);
}

TEST_P(DirectoryTest, RemovedDirectoryLooksEmpty) {
  MakeDirectory("dir");
  DIR* const dir = Open("dir");
  ASSERT_EQ(Rmdir("dir"), 0);
  errno = 0;
  for (const Entry& entry : Rest(dir)) EXPECT_EQ(entry.name[0], '.');
  ::closedir(dir);
}

class DirectorySoakTest : public DirectoryTest {};
POSIX_RULES(soak, DirectorySoakTest);

TEST_P(DirectorySoakTest, MillionEntriesAreListedOnceEach) {
  constexpr int kEntries = 1'000'000;
  Fill("dir", kEntries);
  DIR* const dir = Open("dir");
  const auto counts = Count(Rest(dir));
  EXPECT_EQ(counts.size(), kEntries + 2U);
  for (const auto& [name, count] : counts) ASSERT_EQ(count, 1) << name;
  ::rewinddir(dir);
  int left = kEntries;
  while (const dirent* const entry = ::readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    ASSERT_EQ(Error(::unlinkat(::dirfd(dir), entry->d_name, 0)), 0);
    --left;
  }
  ::closedir(dir);
  EXPECT_EQ(left, 0);
  EXPECT_EQ(Rmdir("dir"), 0);
}

}  // namespace
}  // namespace dedupfs

// The comparisons of ModelDriver: the whole file system with the whole model.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "tests/fs/model/model_driver.h"
#include "tests/fs/model/seek_checks.h"

namespace dedupfs {

void ModelDriver::VerifyBytes(OpenFile& handle, const ModelFile& file) {
  const std::string& expected = file.content.bytes();
  std::string got(expected.size() + 1, '\x5a');
  size_t at = 0;
  while (at < got.size()) {
    const size_t ask = std::min<size_t>(got.size() - at, random_.Between(1, 400 << 10));
    const auto read =
        fs().Read(handle, at, std::as_writable_bytes(std::span(got)).subspan(at, ask));
    ASSERT_TRUE(IsOk(read));
    at += *read;
    if (*read < ask) break;
  }
  ASSERT_EQ(at, expected.size()) << "ino " << file.ino;
  const auto differ = std::mismatch(expected.begin(), expected.end(), got.begin());
  ASSERT_TRUE(differ.first == expected.end())
      << "ino " << file.ino << ": first wrong byte at " << differ.first - expected.begin() << " of "
      << expected.size();
}

void ModelDriver::VerifyFile(const Place& place, ModelFile& file) {
  SCOPED_TRACE(place.second);
  const auto found = fs().Lookup(place.first, place.second);
  ASSERT_TRUE(IsOk(found));
  fs().Forget(found->ino, 1);
  EXPECT_EQ(found->ino, file.ino);
  EXPECT_EQ(found->nlink, file.nlink);
  EXPECT_EQ(found->size, file.content.size());
  if (file.mtime) {
    EXPECT_EQ(found->mtime, *file.mtime);
  }
  auto listed = fs().ListXattrs(file.ino);
  ASSERT_TRUE(IsOk(listed));
  std::set<std::string> names(listed->begin(), listed->end());
  EXPECT_EQ(names.size(), file.xattrs.size());
  for (const auto& [name, value] : file.xattrs) {
    EXPECT_TRUE(names.contains(name)) << name;
    const auto got = fs().GetXattr(file.ino, name);
    EXPECT_TRUE(IsOk(got)) << name;
    if (got) {
      EXPECT_TRUE(*got == value) << name;
    }
  }
  auto opened = fs().Open(file.ino, O_RDONLY);
  ASSERT_TRUE(IsOk(opened));
  VerifyBytes(**opened, file);
  fs().Release(std::move(*opened));
}

void ModelDriver::VerifyNames() {
  std::set<Place> seen;
  for (const Ino directory : directories_) {
    EXPECT_TRUE(IsOk(fs().List(directory, 0, [&](const DirectoryEntry& entry) {
      const bool is_file = !entry.name.empty() && entry.name[0] == 'f';
      if (is_file) {
        EXPECT_TRUE(seen.emplace(directory, entry.name).second) << entry.name;
      }
      return true;
    })));
  }
  EXPECT_EQ(seen.size(), names_.size());
  for (const auto& [place, file] : names_) EXPECT_TRUE(seen.contains(place)) << place.second;
}

void ModelDriver::VerifyAll() {
  VerifyNames();
  for (auto& [place, file] : names_) VerifyFile(place, *file);
  for (const FilePtr& file : orphans_) VerifyBytes(*file->handles.front(), *file);
}

void ModelDriver::VerifySettled() {
  ReleaseOrphans();
  store_.Settle();
  std::map<std::string, std::string> id_of_bytes, bytes_of_id;
  for (auto& [place, file] : names_) {
    SCOPED_TRACE(place.second);
    const std::string& bytes = file->content.bytes();
    ExpectExactHoles(fs(), HandleOf(*file), bytes);
    const auto id = fs().GetXattr(file->ino, "user.dedupfs.content_id");
    ASSERT_TRUE(IsOk(id));
    const auto by_bytes = id_of_bytes.emplace(bytes, *id).first;
    EXPECT_EQ(by_bytes->second, *id) << "same bytes, another content id";
    const auto by_id = bytes_of_id.emplace(*id, bytes).first;
    EXPECT_TRUE(by_id->second == bytes) << "same content id, other bytes";
  }
}

void ModelDriver::Reopen(bool forget_first) {
  operation_ = "reopen";
  std::set<FilePtr> files;
  for (auto& [place, file] : names_) files.insert(file);
  for (const FilePtr& file : files) {
    ReleaseAll(*file);
    if (forget_first && file->nlookup > 0) fs().Forget(file->ino, file->nlookup);
    file->nlookup = 0;
  }
  // Without the Forget, what is unlinked is left to the next Open.
  for (const FilePtr& file : orphans_) {
    ReleaseAll(*file);
    if (forget_first && file->nlookup > 0) fs().Forget(file->ino, file->nlookup);
  }
  orphans_.clear();
  store_.Reopen();
  VerifyAll();
}

void ModelDriver::CheckAndReopen() {
  Reopen(true);
  operation_ = "check";
  store_.ExpectCleanCheck();
}

}  // namespace dedupfs

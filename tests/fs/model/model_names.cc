// The operations of ModelDriver on names, handles and xattrs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <iterator>

#include "tests/fs/model/model_driver.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxFiles = 24;
constexpr size_t kMaxHandles = 3;
constexpr size_t kMaxOrphans = 4;

}  // namespace

ModelDriver::Place ModelDriver::PickFreePlace() {
  for (;;) {
    Place place(directories_[random_.Below(directories_.size())],
                "f" + std::to_string(random_.Below(4 * kMaxFiles)));
    if (!names_.contains(place)) return place;
  }
}

bool ModelDriver::PickTaken(Place& place, FilePtr& file) {
  if (names_.empty()) return false;
  auto it = names_.begin();
  std::advance(it, static_cast<int64_t>(random_.Below(names_.size())));
  place = it->first;
  file = it->second;
  return true;
}

void ModelDriver::Create() {
  if (names_.size() >= kMaxFiles) return Unlink();
  const Place place = PickFreePlace();
  auto file = std::make_shared<ModelFile>();
  Attributes attributes;
  auto opened = fs().CreateAndOpen(place.first, place.second, S_IFREG | 0644, O_RDWR | O_CREAT,
                                   Caller{}, attributes);
  operation_ = "create " + place.second;
  EXPECT_TRUE(IsOk(opened));
  if (!opened) return;
  EXPECT_EQ(attributes.nlink, 1u);
  EXPECT_EQ(attributes.size, 0u);
  file->ino = attributes.ino;
  file->nlink = 1;
  file->nlookup = 1;
  file->handles.push_back(std::move(*opened));
  names_.emplace(place, std::move(file));
}

void ModelDriver::ReleaseAll(ModelFile& file) {
  for (OpenFilePtr& handle : file.handles) fs().Release(std::move(handle));
  file.handles.clear();
}

// The last name may have gone: the inode lives on while it is open.
void ModelDriver::LostName(const FilePtr& file) {
  if (--file->nlink > 0) return;
  if (!file->handles.empty()) {
    orphans_.push_back(file);
    if (orphans_.size() > kMaxOrphans) ReleaseOrphans();
    return;
  }
  if (file->nlookup > 0) fs().Forget(file->ino, file->nlookup);
  EXPECT_EQ(CodeOf(fs().GetAttributes(file->ino)), ESTALE);
}

void ModelDriver::ReleaseOrphans() {
  for (const FilePtr& file : orphans_) {
    ReleaseAll(*file);
    if (file->nlookup > 0) fs().Forget(file->ino, file->nlookup);
  }
  orphans_.clear();
}

void ModelDriver::Rename() {
  Place from, to;
  FilePtr file, replaced;
  if (!PickTaken(from, file)) return;
  const bool over = random_.OneIn(2) && PickTaken(to, replaced);
  if (!over) to = PickFreePlace();
  Say("rename " + from.second + " to " + to.second, *file, from.first, to.first);
  if (over && from != to && random_.OneIn(4)) {
    EXPECT_EQ(CodeOf(fs().Rename(from.first, from.second, to.first, to.second, RENAME_NOREPLACE)),
              EEXIST);
    return;
  }
  EXPECT_TRUE(IsOk(fs().Rename(from.first, from.second, to.first, to.second, 0)));
  if (replaced == file) return;  // two names of one inode: both stay
  names_.erase(from);
  names_[to] = file;
  if (replaced != nullptr) LostName(replaced);
}

void ModelDriver::Exchange() {
  Place one, other;
  FilePtr first, second;
  if (!PickTaken(one, first) || !PickTaken(other, second) || one == other) return;
  Say("exchange " + one.second + " and " + other.second, *first);
  EXPECT_TRUE(IsOk(fs().Rename(one.first, one.second, other.first, other.second, RENAME_EXCHANGE)));
  std::swap(names_[one], names_[other]);
}

void ModelDriver::Link() {
  Place from;
  FilePtr file;
  if (names_.size() >= kMaxFiles || !PickTaken(from, file)) return;
  const Place to = PickFreePlace();
  Say("link " + from.second + " as " + to.second, *file);
  const auto linked = fs().Link(file->ino, to.first, to.second);
  EXPECT_TRUE(IsOk(linked));
  if (!linked) return;
  ++file->nlookup;
  EXPECT_EQ(linked->nlink, ++file->nlink);
  EXPECT_EQ(linked->ino, file->ino);
  names_.emplace(to, file);
}

void ModelDriver::Unlink() {
  Place place;
  FilePtr file;
  if (!PickTaken(place, file)) return;
  Say("unlink " + place.second, *file);
  EXPECT_TRUE(IsOk(fs().Unlink(place.first, place.second)));
  names_.erase(place);
  LostName(file);
}

void ModelDriver::SetXattr() {
  const FilePtr file = PickFile();
  const std::string name = "user.x" + std::to_string(random_.Below(5));
  const std::string value =
      random_.Bytes(random_.OneIn(4) ? random_.Below(5000) : random_.Below(60));
  const bool there = file->xattrs.contains(name);
  Say("set " + name, *file, value.size());
  switch (random_.Below(4)) {
    case 0:
      EXPECT_EQ(CodeOf(fs().SetXattr(file->ino, name, value, XATTR_CREATE, Caller{})),
                there ? EEXIST : 0);
      if (there) return;
      break;
    case 1:
      EXPECT_EQ(CodeOf(fs().SetXattr(file->ino, name, value, XATTR_REPLACE, Caller{})),
                there ? 0 : ENODATA);
      if (!there) return;
      break;
    default:
      EXPECT_TRUE(IsOk(fs().SetXattr(file->ino, name, value, 0, Caller{})));
  }
  file->xattrs[name] = value;
}

void ModelDriver::RemoveXattr() {
  const FilePtr file = PickFile();
  const std::string name = "user.x" + std::to_string(random_.Below(5));
  Say("remove " + name, *file);
  EXPECT_EQ(CodeOf(fs().RemoveXattr(file->ino, name)), file->xattrs.erase(name) > 0 ? 0 : ENODATA);
}

void ModelDriver::OpenMore() {
  const FilePtr file = PickFile();
  if (file->handles.size() >= kMaxHandles) return;
  Say("open", *file);
  auto opened = fs().Open(file->ino, O_RDWR);
  EXPECT_TRUE(IsOk(opened));
  if (opened) file->handles.push_back(std::move(*opened));
}

void ModelDriver::CloseOne() {
  const FilePtr file = PickFile();
  if (file->handles.empty()) return;
  Say("close", *file);
  const size_t index = random_.Below(file->handles.size());
  fs().Release(std::move(file->handles[index]));
  file->handles.erase(file->handles.begin() + static_cast<int64_t>(index));
  if (file->nlink > 0 || !file->handles.empty()) return;
  if (file->nlookup > 0) fs().Forget(file->ino, file->nlookup);
  orphans_.erase(std::find(orphans_.begin(), orphans_.end(), file));
}

void ModelDriver::DeleteAll() {
  operation_ = "delete all";
  while (!names_.empty()) Unlink();
  ReleaseOrphans();
  EXPECT_TRUE(IsOk(fs().RemoveDirectory(kRootIno, "a")));
  EXPECT_TRUE(IsOk(fs().RemoveDirectory(kRootIno, "b")));
  directories_.resize(1);
}

}  // namespace dedupfs

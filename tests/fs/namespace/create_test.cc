// Making inodes, links and lookups.
#include <algorithm>

#include "tests/fs/namespace/namespace_fixture.h"

namespace dedupfs {
namespace {

class CreateTest : public NamespaceFixture {};

TEST_F(CreateTest, NewFileHasOwnerModeAndTimes) {
  Caller caller;
  caller.uid = 7;
  caller.gid = 8;
  caller.umask = 022;
  const auto made = Make(kRootIno, "a", S_IFREG | 0666, caller);
  ASSERT_TRUE(made);
  EXPECT_GE(made->ino, kFirstFreeIno);
  EXPECT_EQ(made->mode, uint32_t{S_IFREG | 0644});
  EXPECT_EQ(made->nlink, 1u);
  EXPECT_EQ(made->uid, 7u);
  EXPECT_EQ(made->gid, 8u);
  EXPECT_EQ(made->btime, made->mtime);
  EXPECT_EQ(made->btime, made->ctime);
  const auto found = ns_->Lookup(kRootIno, "a");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->ino, made->ino);
}

TEST_F(CreateTest, CreateChangesTimesOfTheParent) {
  SetOldTimes(kRootIno);
  File(kRootIno, "a");
  EXPECT_GT(Stat(kRootIno).mtime, 1);
  EXPECT_GT(Stat(kRootIno).ctime, 1);
  EXPECT_EQ(Stat(kRootIno).atime, 1);
}

TEST_F(CreateTest, DirectoryLinksCountSubdirectories) {
  const Ino dir = Dir(kRootIno, "d");
  EXPECT_EQ(Stat(dir).nlink, 2u);
  EXPECT_EQ(Stat(kRootIno).nlink, 3u);
  File(dir, "f");
  Dir(dir, "e");
  EXPECT_EQ(Stat(dir).nlink, 3u);
  EXPECT_EQ(Stat(dir).size, kDirectorySizeBytes);
}

TEST_F(CreateTest, TakenNameIsEexist) {
  File(kRootIno, "a");
  EXPECT_EQ(CodeOf(Make(kRootIno, "a", S_IFREG | 0644)), EEXIST);
  EXPECT_EQ(CodeOf(Make(kRootIno, "a", S_IFDIR | 0755)), EEXIST);
  EXPECT_EQ(CodeOf(Make(kRootIno, ".", S_IFDIR | 0755)), EEXIST);
  EXPECT_EQ(CodeOf(Make(kRootIno, "..", S_IFDIR | 0755)), EEXIST);
}

TEST_F(CreateTest, ParentMustBeALivingDirectory) {
  const Ino file = File(kRootIno, "f");
  const Ino dir = Dir(kRootIno, "d");
  ASSERT_TRUE(ns_->RemoveDirectory(kRootIno, "d"));
  EXPECT_EQ(CodeOf(Make(file, "x", S_IFREG | 0644)), ENOTDIR);
  EXPECT_EQ(CodeOf(Make(dir, "x", S_IFREG | 0644)), ENOENT);
  EXPECT_EQ(CodeOf(Make(999999, "x", S_IFREG | 0644)), ESTALE);
  EXPECT_EQ(CodeOf(ns_->Link(file, dir, "x")), ENOENT);
}

TEST_F(CreateTest, NameOf255BytesIsTakenAnd256IsTooLong) {
  const std::string longest(255, 'n');
  File(kRootIno, longest);
  EXPECT_TRUE(IsThere(kRootIno, longest));
  EXPECT_EQ(CodeOf(Make(kRootIno, longest + "n", S_IFREG)), ENAMETOOLONG);
  EXPECT_EQ(CodeOf(ns_->Lookup(kRootIno, longest + "n")), ENAMETOOLONG);
  EXPECT_EQ(CodeOf(ns_->Unlink(kRootIno, longest + "n")), ENAMETOOLONG);
  EXPECT_EQ(CodeOf(ns_->Rename(kRootIno, longest, kRootIno, longest + "n", 0)), ENAMETOOLONG);
}

TEST_F(CreateTest, NamesHoldEveryByteButSlashAndNul) {
  for (int byte = 1; byte < 256; ++byte) {
    const std::string name = {static_cast<char>(byte), 'x'};
    if (byte == '/') {
      EXPECT_EQ(CodeOf(Make(kRootIno, name, S_IFREG)), EINVAL);
    } else {
      File(kRootIno, name);
      EXPECT_TRUE(IsThere(kRootIno, name)) << byte;
    }
  }
  EXPECT_EQ(CodeOf(Make(kRootIno, std::string_view("a\0b", 3), S_IFREG)), EINVAL);
  EXPECT_EQ(Entries(kRootIno).size(), 254u);
}

TEST_F(CreateTest, SymlinkKeepsItsTarget) {
  const auto made = ns_->Create(kRootIno, "l", S_IFLNK | 0600, 0, "to/here", {});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->mode, uint32_t{S_IFLNK | 0777});
  EXPECT_EQ(made->size, 7u);
  EXPECT_EQ(ns_->ReadLink(made->ino).value_or(""), "to/here");
  EXPECT_EQ(CodeOf(ns_->ReadLink(kRootIno)), EINVAL);
  EXPECT_EQ(CodeOf(ns_->Create(kRootIno, "m", S_IFLNK, 0, std::string(4096, 'x'), {})),
            ENAMETOOLONG);
  EXPECT_TRUE(ns_->Create(kRootIno, "n", S_IFLNK, 0, std::string(4095, 'x'), {}));
  EXPECT_EQ(CodeOf(ns_->Create(kRootIno, "o", S_IFLNK, 0, "", {})), ENOENT);
}

TEST_F(CreateTest, DevicesKeepTheirNumber) {
  EXPECT_EQ(ns_->Create(kRootIno, "c", S_IFCHR, 0x0103, {}, {})->rdev, 0x0103u);
  EXPECT_EQ(ns_->Create(kRootIno, "p", S_IFIFO, 0x0103, {}, {})->rdev, 0u);
}

TEST_F(CreateTest, SetgidDirectoryGivesItsGroup) {
  Caller caller;
  caller.uid = 5;
  caller.gid = 50;
  const Ino dir = Dir(kRootIno, "d");
  AttributeChange change;
  change.gid = 77;
  change.mode = 02777;
  ASSERT_TRUE(ns_->SetAttributes(dir, change, {}));
  const auto sub = Make(dir, "s", S_IFDIR | 0755, caller);
  EXPECT_EQ(sub->gid, 77u);
  EXPECT_EQ(sub->mode & 07777u, 02755u);
  EXPECT_EQ(Make(dir, "f", S_IFREG | 02755, caller)->mode & 07777u, 0755u);
  caller.groups = [] { return std::vector<uint32_t>{1, 77}; };
  EXPECT_EQ(Make(dir, "g", S_IFREG | 02755, caller)->mode & 07777u, 02755u);
}

TEST_F(CreateTest, LookupOfDotWorksOnEveryInode) {
  const Ino dir = Dir(kRootIno, "d");
  const Ino file = File(dir, "f");
  EXPECT_EQ(ns_->Lookup(dir, ".")->ino, dir);
  EXPECT_EQ(ns_->Lookup(dir, "..")->ino, kRootIno);
  EXPECT_EQ(ns_->Lookup(kRootIno, "..")->ino, kRootIno);
  EXPECT_EQ(ns_->Lookup(file, ".")->ino, file);
  EXPECT_EQ(CodeOf(ns_->Lookup(file, "..")), ENOTDIR);
  EXPECT_EQ(CodeOf(ns_->Lookup(123456789, ".")), ESTALE);
  EXPECT_EQ(CodeOf(ns_->Lookup(dir, "nothing")), ENOENT);
}

TEST_F(CreateTest, LinkGivesAnotherName) {
  const Ino file = File(kRootIno, "a");
  const Ino dir = Dir(kRootIno, "d");
  SetOldTimes(file);
  SetOldTimes(dir);
  const auto linked = ns_->Link(file, dir, "b");
  ASSERT_TRUE(linked);
  EXPECT_EQ(linked->nlink, 2u);
  EXPECT_GT(linked->ctime, 1);
  EXPECT_GT(Stat(dir).mtime, 1);
  EXPECT_EQ(ns_->Lookup(dir, "b")->ino, file);
  EXPECT_EQ(CodeOf(ns_->Link(file, dir, "b")), EEXIST);
  EXPECT_EQ(CodeOf(ns_->Link(dir, kRootIno, "x")), EPERM);
}

TEST_F(CreateTest, LinkOfAnOrphanIsEnoent) {
  const Ino file = File(kRootIno, "a");
  ASSERT_TRUE(ns_->Unlink(kRootIno, "a"));
  EXPECT_EQ(CodeOf(ns_->Link(file, kRootIno, "b")), ENOENT);
}

TEST_F(CreateTest, LinkNumber65000IsTheLast) {
  const Ino file = File(kRootIno, "a");
  InodeRecord record = Record(file);
  record.nlink = kMaxLinks - 1;
  PutRecord(file, record);
  EXPECT_EQ(ns_->Link(file, kRootIno, "b")->nlink, kMaxLinks);
  EXPECT_EQ(CodeOf(ns_->Link(file, kRootIno, "c")), EMLINK);
  InodeRecord root = Record(kRootIno);
  root.nlink = kMaxLinks;
  PutRecord(kRootIno, root);
  EXPECT_EQ(CodeOf(Make(kRootIno, "d", S_IFDIR)), EMLINK);
  EXPECT_TRUE(Make(kRootIno, "e", S_IFREG));
}

TEST_F(CreateTest, InodeNumbersAreNotUsedAgainAfterReopen) {
  const Ino first = File(kRootIno, "a");
  ASSERT_TRUE(ns_->Unlink(kRootIno, "a"));
  Batch batch;
  ASSERT_TRUE(ns_->EraseOrphan(first, batch));
  ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
  Reopen();
  EXPECT_GT(File(kRootIno, "a"), first);
  EXPECT_EQ(CodeOf(ns_->Get(first)), ESTALE);
}

TEST_F(CreateTest, InodeCountSurvivesReopen) {
  EXPECT_EQ(ns_->InodeCount(), 1u);
  for (int i = 0; i < 10; ++i) File(kRootIno, std::to_string(i));
  EXPECT_EQ(ns_->InodeCount(), 11u);
  Reopen();
  EXPECT_EQ(ns_->InodeCount(), 11u);
}

TEST_F(CreateTest, PathsAndLibrariesComeFromTheHints) {
  const Ino lib = Dir(kRootIno, "lib");
  const Ino dir = Dir(lib, "d");
  const Ino file = File(dir, "f");
  EXPECT_EQ(ns_->PathOf(file), "/lib/d/f");
  EXPECT_EQ(ns_->PathOf(kRootIno), "/");
  EXPECT_EQ(ns_->PathOf(4711), "inode 4711");
  EXPECT_EQ(ns_->NameOf(file).value_or("-"), "f");
  EXPECT_EQ(ns_->LibraryOf(file).value_or(0), lib);
  EXPECT_EQ(ns_->LibraryOf(lib).value_or(0), lib);
  EXPECT_EQ(ns_->LibraryOf(File(kRootIno, "r")).value_or(0), kRootIno);
  ASSERT_TRUE(ns_->Unlink(dir, "f"));
  EXPECT_EQ(ns_->NameOf(file).value_or("-"), "");
  EXPECT_EQ(ns_->PathOf(file), "inode " + std::to_string(file));
  EXPECT_EQ(CodeOf(ns_->NameOf(4711)), ESTALE);
}

}  // namespace
}  // namespace dedupfs

// A namespace in a new database in a temporary directory.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chunkstore/base/kv.h"
#include "fs/namespace/dentry.h"
#include "fs/namespace/inode_record.h"
#include "fs/namespace/namespace.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {

class NamespaceFixture : public testing::Test {
 protected:
  static constexpr SipKey kKey = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

  void SetUp() override {
    OpenKv(true);
    Batch batch;
    Namespace::Format(batch, 0, 0, Now());
    ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
    OpenNamespace();
  }

  void OpenKv(bool create) {
    KvOptions options;
    options.block_cache_bytes = 8 << 20;
    options.memtable_bytes = 8 << 20;
    options.create = create;
    auto kv = Kv::Open(directory_.path() + "/db", options);
    ASSERT_TRUE(kv) << kv.error().message;
    kv_ = *std::move(kv);
  }
  void OpenNamespace() {
    auto opened = Namespace::Open(*kv_, kKey, false);
    ASSERT_TRUE(opened) << opened.error().message;
    ns_ = *std::move(opened);
  }
  void Reopen() {
    ns_.reset();
    ASSERT_TRUE(kv_->SyncLog());
    kv_.reset();
    OpenKv(false);
    OpenNamespace();
  }

  Result<Attributes> Make(Ino parent, std::string_view name, uint32_t mode,
                          const Caller& caller = {}) {
    return ns_->Create(parent, name, mode, 0, S_ISLNK(mode) ? "target" : "", caller);
  }
  Ino File(Ino parent, std::string_view name) { return Must(Make(parent, name, S_IFREG | 0644)); }
  Ino Dir(Ino parent, std::string_view name) { return Must(Make(parent, name, S_IFDIR | 0755)); }
  static Ino Must(const Result<Attributes>& result) {
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result ? result->ino : 0;
  }
  Attributes Stat(Ino ino) {
    auto found = ns_->Get(ino);
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found.value_or(Attributes());
  }
  // So that any later change of a time shows.
  void SetOldTimes(Ino ino) {
    AttributeChange change;
    change.atime = change.mtime = change.ctime = 1;
    ASSERT_TRUE(ns_->SetAttributes(ino, change, {}));
  }
  bool IsThere(Ino parent, std::string_view name) { return ns_->Lookup(parent, name).has_value(); }

  std::vector<DirectoryEntry> Entries(Ino directory, uint64_t cookie = kDotDotCookie) {
    std::vector<DirectoryEntry> out;
    const Status listed = ns_->List(directory, cookie, [&](const DirectoryEntry& entry) {
      out.push_back(entry);
      return true;
    });
    EXPECT_TRUE(listed);
    return out;
  }
  std::vector<std::string> Problems() {
    std::vector<std::string> out;
    const Status checked = ns_->Check([&](Ino ino, const std::string& problem) {
      out.push_back(std::to_string(ino) + ": " + problem);
    });
    EXPECT_TRUE(checked);
    return out;
  }
  InodeRecord Record(Ino ino) {
    auto value = kv_->Get(Family::kInode, InodeKey(ino));
    EXPECT_TRUE(value && *value);
    return *ParseInode(ino, **value);
  }
  // Rows are changed behind the namespace's back, which remembers records; so it is opened anew.
  void WriteRows(const Batch& batch) {
    const bool opened = ns_ != nullptr;
    ns_.reset();
    ASSERT_TRUE(kv_->Write(batch, Durability::kBuffered));
    if (opened) OpenNamespace();
  }
  void PutRow(Family family, const std::string& key, const std::string& value) {
    Batch batch;
    batch.Put(family, key, value);
    WriteRows(batch);
  }
  void DeleteRow(Family family, const std::string& key) {
    Batch batch;
    batch.Delete(family, key);
    WriteRows(batch);
  }
  void PutRecord(Ino ino, const InodeRecord& record) {
    PutRow(Family::kInode, InodeKey(ino), EncodeInode(record));
  }

  TempDir directory_;
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<Namespace> ns_;
};

template <typename T>
int CodeOf(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

}  // namespace dedupfs

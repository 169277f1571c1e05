#include "tests/fs/model/test_store.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <span>

#include "chunkstore/base/bytes.h"

namespace dedupfs {
namespace {

[[noreturn]] void End(std::string_view what, const Error& error) {
  std::cerr << what << ": errno " << error.code << ": " << error.message << '\n';
  std::abort();
}

}  // namespace

Handle::Handle(Handle&& other) noexcept
    : fs_(std::exchange(other.fs_, nullptr)),
      file_(std::move(other.file_)),
      ino_(std::exchange(other.ino_, 0)),
      remembered_(std::exchange(other.remembered_, 0)) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this == &other) return *this;
  Close();
  fs_ = std::exchange(other.fs_, nullptr);
  file_ = std::move(other.file_);
  ino_ = std::exchange(other.ino_, 0);
  remembered_ = std::exchange(other.remembered_, 0);
  return *this;
}

Handle::~Handle() { Close(); }

void Handle::Close() {
  if (file_ != nullptr) fs_->Release(std::move(file_));
  if (remembered_ != 0) fs_->Forget(ino_, std::exchange(remembered_, 0));
}

void Handle::Write(uint64_t offset, std::string_view data) {
  ASSERT_TRUE(ok());
  // In pieces, as the kernel sends them.
  constexpr size_t kStep = 1 << 20;
  size_t done = 0;
  do {
    const std::string_view piece = data.substr(done, kStep);
    ASSERT_TRUE(IsOk(fs_->Write(*file_, offset + done, AsBytes(piece), false)))
        << "write of " << piece.size() << " at " << offset + done;
    done += piece.size();
  } while (done < data.size());
}

void Handle::Fsync() {
  ASSERT_TRUE(ok());
  EXPECT_TRUE(IsOk(fs_->Fsync(*file_)));
}

void Handle::Truncate(uint64_t size) {
  ASSERT_TRUE(ok());
  AttributeChange change;
  change.size = size;
  const auto after = fs_->SetAttributes(ino_, change, Caller{}, file_.get());
  EXPECT_TRUE(IsOk(after));
  if (after) {
    EXPECT_EQ(after->size, size);
  }
}

std::string Handle::Read(uint64_t offset, size_t size) {
  EXPECT_TRUE(ok());
  if (!ok()) return {};
  // Anything but zeros, so that a byte that Read leaves alone is seen.
  std::string out(size, '\x5a');
  const auto got = fs_->Read(*file_, offset, std::as_writable_bytes(std::span(out)));
  EXPECT_TRUE(IsOk(got)) << "read of " << size << " at " << offset;
  out.resize(got ? *got : 0);
  return out;
}

std::string Handle::ReadAll() {
  const uint64_t size = Size();
  std::string all;
  all.reserve(size);
  constexpr uint64_t kStep = 1 << 20;
  while (all.size() < size) {
    const std::string piece = Read(all.size(), std::min(kStep, size - all.size()));
    EXPECT_FALSE(piece.empty()) << "nothing read at " << all.size() << " of " << size;
    if (piece.empty()) break;
    all += piece;
  }
  return all;
}

uint64_t Handle::Size() {
  EXPECT_TRUE(ok());
  if (!ok()) return 0;
  const auto attributes = fs_->GetAttributes(ino_);
  EXPECT_TRUE(IsOk(attributes));
  return attributes ? attributes->size : 0;
}

TestStore::TestStore(const TestStoreOptions& options) : directory_(temp_.Join("store")) {
  FormatOptions format;
  format.average_chunk_bytes = options.average_chunk_bytes;
  if (const auto made = FileSystem::Format(directory_, format); !made) End("format", made.error());
  std::ofstream(directory_ + "/dedupfs.toml") << options.config;
  Open();
}

TestStore::TestStore(std::string directory) : directory_(std::move(directory)) { Open(); }

TestStore::~TestStore() { Close(); }

void TestStore::Close() {
  if (fs_ == nullptr) return;
  EXPECT_TRUE(IsOk(fs_->Close()));
  fs_.reset();
}

void TestStore::Open(const MountOptions& options) {
  auto opened = FileSystem::Open(directory_, options);
  if (!opened) End("open of " + directory_, opened.error());
  fs_ = std::move(*opened);
}

void TestStore::Reopen() {
  Close();
  Open();
}

Handle TestStore::CreateFile(std::string_view name) {
  Attributes attributes;
  auto file =
      fs_->CreateAndOpen(kRootIno, name, S_IFREG | 0644, O_RDWR | O_CREAT, Caller{}, attributes);
  EXPECT_TRUE(IsOk(file)) << "create " << name;
  if (!file) return {};
  return {fs_.get(), std::move(*file), attributes.ino, 1};
}

Handle TestStore::OpenFile(std::string_view name, int flags) {
  const auto found = fs_->Lookup(kRootIno, name);
  EXPECT_TRUE(IsOk(found)) << "lookup " << name;
  if (!found) return {};
  auto file = fs_->Open(found->ino, flags);
  EXPECT_TRUE(IsOk(file)) << "open " << name;
  return {fs_.get(), file ? std::move(*file) : nullptr, found->ino, 1};
}

void TestStore::PutFile(std::string_view name, std::string_view content) {
  Handle file = Exists(name) ? OpenFile(name, O_RDWR | O_TRUNC) : CreateFile(name);
  if (file.ok() && !content.empty()) file.Write(0, content);
}

std::string TestStore::GetFile(std::string_view name) {
  Handle file = OpenFile(name, O_RDONLY);
  return file.ok() ? file.ReadAll() : std::string();
}

bool TestStore::Exists(std::string_view name) { return Find(name) != 0; }

Ino TestStore::Find(std::string_view name) {
  const auto found = fs_->Lookup(kRootIno, name);
  if (!found) {
    EXPECT_EQ(found.error().code, ENOENT) << found.error().message;
    return 0;
  }
  fs_->Forget(found->ino, 1);
  return found->ino;
}

std::string TestStore::Xattr(std::string_view name, std::string_view xattr) {
  const auto value = fs_->GetXattr(Find(name), xattr);
  EXPECT_TRUE(IsOk(value)) << name << " " << xattr;
  return value ? *value : std::string();
}

uint64_t TestStore::XattrNumber(std::string_view name, std::string_view xattr) {
  const std::string text = Xattr(name, xattr);
  EXPECT_FALSE(text.empty()) << name << " " << xattr;
  EXPECT_EQ(text.find_first_not_of("0123456789"), std::string::npos) << xattr << "=" << text;
  return std::strtoull(text.c_str(), nullptr, 10);
}

void TestStore::Settle() {
  EXPECT_TRUE(IsOk(fs_->SyncAll()));
  EXPECT_TRUE(IsOk(fs_->WaitForBackground()));
}

FileSystemStats TestStore::SettledStats() {
  Settle();
  EXPECT_TRUE(IsOk(fs_->Reclaim()));
  const auto stats = fs_->Stats();
  EXPECT_TRUE(IsOk(stats));
  return stats ? *stats : FileSystemStats{};
}

void TestStore::ExpectCleanCheck() {
  Close();
  const auto check = FileSystem::Check(
      directory_, [](const std::string& line) { ADD_FAILURE() << "check: " << line; },
      [](const ChunkStore::CheckProgress&) {});
  EXPECT_TRUE(IsOk(check));
  if (check) {
    EXPECT_EQ(check->problems, 0u);
  }
  Open();
}

void ExpectEmptyStore(const FileSystemStats& stats, uint64_t empty_inodes) {
  EXPECT_EQ(stats.store.logical_bytes, 0u);
  EXPECT_EQ(stats.store.unique_bytes, 0u);
  EXPECT_EQ(stats.store.stored_bytes, 0u);
  EXPECT_EQ(stats.store.chunks, 0u);
  EXPECT_EQ(stats.dirty_bytes, 0u);
  EXPECT_EQ(stats.orphans, 0u);
  EXPECT_EQ(stats.inodes, empty_inodes);
}

}  // namespace dedupfs

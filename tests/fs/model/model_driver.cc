#include "tests/fs/model/model_driver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <span>

#include "chunkstore/base/bytes.h"
#include "tests/fs/model/seek_checks.h"

namespace dedupfs {
namespace {

constexpr uint64_t kMaxModelFile = 2 << 20;
constexpr uint64_t kPage = 4096;

}  // namespace

ModelDriver::ModelDriver(TestStore& store, Random& random)
    : store_(store), random_(random), pool_(random), directories_{kRootIno} {
  for (const char* name : {"a", "b"}) {
    const auto made = fs().Create(kRootIno, name, S_IFDIR | 0755, 0, "", Caller{});
    EXPECT_TRUE(IsOk(made));
    if (!made) continue;
    directories_.push_back(made->ino);
    fs().Forget(made->ino, 1);
  }
}

ModelDriver::~ModelDriver() {
  for (auto& [place, file] : names_) ReleaseAll(*file);
  ReleaseOrphans();
}

void ModelDriver::Step() {
  struct Weighted {
    Operation operation;
    unsigned weight;
  };
  static constexpr std::array<Weighted, 24> kOperations{{
      {&ModelDriver::Write, 26},      {&ModelDriver::Append, 8},
      {&ModelDriver::Truncate, 5},    {&ModelDriver::Punch, 4},
      {&ModelDriver::ZeroRange, 3},   {&ModelDriver::Allocate, 2},
      {&ModelDriver::Read, 12},       {&ModelDriver::Seek, 5},
      {&ModelDriver::Fsync, 4},       {&ModelDriver::SyncAll, 1},
      {&ModelDriver::CopyRange, 5},   {&ModelDriver::CopyWhole, 2},
      {&ModelDriver::CopyWithin, 2},  {&ModelDriver::SetTime, 2},
      {&ModelDriver::Create, 5},      {&ModelDriver::Rename, 4},
      {&ModelDriver::Exchange, 1},    {&ModelDriver::Link, 2},
      {&ModelDriver::Unlink, 4},      {&ModelDriver::SetXattr, 2},
      {&ModelDriver::RemoveXattr, 1}, {&ModelDriver::OpenMore, 4},
      {&ModelDriver::CloseOne, 6},    {&ModelDriver::OpenTruncating, 1},
  }};
  unsigned total = 0;
  for (const Weighted& one : kOperations) total += one.weight;
  auto draw = static_cast<unsigned>(random_.Below(total));
  for (const Weighted& one : kOperations) {
    if (draw < one.weight) {
      (this->*one.operation)();
      return;
    }
    draw -= one.weight;
  }
}

void ModelDriver::Say(const std::string& what, const ModelFile& file, uint64_t a, uint64_t b,
                      uint64_t c) {
  operation_ = what + " ino=" + std::to_string(file.ino) +
               " size=" + std::to_string(file.content.size()) + " args=" + std::to_string(a) + "," +
               std::to_string(b) + "," + std::to_string(c);
}

ModelDriver::FilePtr ModelDriver::PickFile() {
  if (names_.empty()) Create();
  if (!orphans_.empty() && random_.OneIn(12)) return orphans_[random_.Below(orphans_.size())];
  auto it = names_.begin();
  std::advance(it, static_cast<int64_t>(random_.Below(names_.size())));
  return it->second;
}

OpenFile& ModelDriver::HandleOf(ModelFile& file) {
  if (file.handles.empty()) {
    auto opened = fs().Open(file.ino, O_RDWR);
    // Without a handle nothing that follows makes sense.
    if (!opened) {
      ADD_FAILURE() << operation_ << ": open: " << opened.error().message;
      std::abort();
    }
    file.handles.push_back(std::move(*opened));
  }
  return *file.handles[random_.Below(file.handles.size())];
}

uint64_t ModelDriver::PickOffset(const ModelFile& file) {
  const uint64_t size = file.content.size();
  uint64_t offset = 0;
  switch (random_.Below(8)) {
    case 0:
      break;
    case 1:
      offset = size;
      break;
    case 2:
      offset = size + random_.Below(200 << 10);
      break;
    default:
      offset = random_.Below(size + 1);
  }
  if (random_.OneIn(3)) offset -= offset % kPage;
  return std::min(offset, kMaxModelFile - 1);
}

uint64_t ModelDriver::PickLength() {
  switch (random_.Below(8)) {
    case 0:
    case 1:
      return random_.Between(1, 300);
    case 2:
    case 3:
      return kPage;
    case 4:
    case 5:
      return random_.Between(1, 32 << 10);
    case 6:
      return random_.Between(1, 16) * kPage;
    default:
      return random_.Between(1, 300 << 10);
  }
}

void ModelDriver::Write() {
  const FilePtr file = PickFile();
  const uint64_t offset = PickOffset(*file);
  const std::string data = pool_.Make(random_, std::min(PickLength(), kMaxModelFile - offset));
  Say("write", *file, offset, data.size());
  EXPECT_TRUE(IsOk(fs().Write(HandleOf(*file), offset, AsBytes(data), false)));
  file->content.Write(offset, data);
  Changed(*file);
}

void ModelDriver::Append() {
  const FilePtr file = PickFile();
  const uint64_t offset = file->content.size();
  if (offset >= kMaxModelFile) return;
  const std::string data = pool_.Make(random_, std::min(PickLength(), kMaxModelFile - offset));
  Say("append", *file, offset, data.size());
  EXPECT_TRUE(IsOk(fs().Write(HandleOf(*file), offset, AsBytes(data), false)));
  file->content.Write(offset, data);
  Changed(*file);
}

void ModelDriver::Truncate() {
  const FilePtr file = PickFile();
  const uint64_t longer = file->content.size() + random_.Below(100 << 10);
  const uint64_t size = random_.OneIn(3) ? std::min(longer, kMaxModelFile) : PickOffset(*file);
  Say("truncate", *file, size);
  AttributeChange change;
  change.size = size;
  OpenFile* const handle = random_.OneIn(2) ? &HandleOf(*file) : nullptr;
  const auto after = fs().SetAttributes(file->ino, change, Caller{}, handle);
  EXPECT_TRUE(IsOk(after));
  if (after) {
    EXPECT_EQ(after->size, size);
  }
  file->content.Truncate(size);
  Changed(*file);
}

void ModelDriver::OpenTruncating() {
  const FilePtr file = PickFile();
  Say("open truncating", *file);
  auto opened = fs().Open(file->ino, O_RDWR | O_TRUNC);
  EXPECT_TRUE(IsOk(opened));
  if (opened) file->handles.push_back(std::move(*opened));
  file->content.Truncate(0);
  Changed(*file);
}

void ModelDriver::Punch() {
  const FilePtr file = PickFile();
  const uint64_t offset = PickOffset(*file), length = PickLength();
  Say("punch", *file, offset, length);
  EXPECT_TRUE(IsOk(
      fs().Allocate(HandleOf(*file), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length)));
  file->content.Punch(offset, length);
  Changed(*file);
}

void ModelDriver::ZeroRange() {
  const FilePtr file = PickFile();
  const uint64_t offset = PickOffset(*file);
  const uint64_t length = std::min(PickLength(), kMaxModelFile - offset);
  const bool keep = random_.OneIn(2);
  Say("zero range", *file, offset, length, keep ? 1 : 0);
  EXPECT_TRUE(IsOk(fs().Allocate(
      HandleOf(*file), FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), offset, length)));
  file->content.ZeroRange(offset, length, keep);
  Changed(*file);
}

void ModelDriver::Allocate() {
  const FilePtr file = PickFile();
  const uint64_t offset = PickOffset(*file);
  const uint64_t length = std::min(PickLength(), kMaxModelFile - offset);
  const bool keep = random_.OneIn(2);
  Say("allocate", *file, offset, length, keep ? 1 : 0);
  EXPECT_TRUE(IsOk(fs().Allocate(HandleOf(*file), keep ? FALLOC_FL_KEEP_SIZE : 0, offset, length)));
  file->content.Allocate(offset, length, keep);
  Changed(*file);
}

void ModelDriver::Read() {
  const FilePtr file = PickFile();
  const uint64_t offset = PickOffset(*file), length = PickLength();
  Say("read", *file, offset, length);
  std::string out(length, '\x5a');
  const auto got = fs().Read(HandleOf(*file), offset, std::as_writable_bytes(std::span(out)));
  EXPECT_TRUE(IsOk(got));
  if (!got) return;
  out.resize(*got);
  const std::string_view expected = file->content.Read(offset, length);
  ASSERT_EQ(out.size(), expected.size());
  const auto differ = std::mismatch(out.begin(), out.end(), expected.begin());
  EXPECT_TRUE(differ.first == out.end())
      << "first wrong byte at " << offset + static_cast<uint64_t>(differ.first - out.begin());
}

void ModelDriver::Seek() {
  const FilePtr file = PickFile();
  const uint64_t offset = PickOffset(*file);
  Say("seek", *file, offset);
  ExpectSoundSeek(fs(), HandleOf(*file), file->content.bytes(), offset);
}

void ModelDriver::Fsync() {
  const FilePtr file = PickFile();
  Say("fsync", *file);
  EXPECT_TRUE(IsOk(fs().Fsync(HandleOf(*file))));
}

void ModelDriver::SyncAll() {
  operation_ = "sync all";
  EXPECT_TRUE(IsOk(fs().SyncAll()));
}

void ModelDriver::SetTime() {
  const FilePtr file = PickFile();
  AttributeChange change;
  change.mtime = static_cast<Time>(random_.Below(uint64_t{1} << 60));
  Say("set mtime", *file, static_cast<uint64_t>(*change.mtime));
  EXPECT_TRUE(IsOk(fs().SetAttributes(file->ino, change, Caller{}, nullptr)));
  file->mtime = change.mtime;
}

// As copy_file_range(2) is used: again until nothing more is copied.
void ModelDriver::DoCopy(ModelFile& from, uint64_t from_offset, ModelFile& to, uint64_t to_offset,
                         uint64_t length) {
  const std::string data(from.content.Read(from_offset, length));
  Say("copy from ino " + std::to_string(from.ino) + " to", to, from_offset, to_offset, length);
  OpenFile& source = HandleOf(from);
  OpenFile& target = HandleOf(to);
  uint64_t done = 0;
  while (done < length) {
    const auto copied =
        fs().CopyRange(source, from_offset + done, target, to_offset + done, length - done);
    ASSERT_TRUE(IsOk(copied));
    if (*copied == 0) break;
    done += *copied;
  }
  EXPECT_EQ(done, data.size());
  if (data.empty()) return;
  to.content.Write(to_offset, data);
  Changed(to);
}

void ModelDriver::CopyRange() {
  const FilePtr from = PickFile(), to = PickFile();
  if (from == to) return;
  uint64_t from_offset = PickOffset(*from), to_offset = PickOffset(*to);
  if (random_.OneIn(2)) {
    from_offset -= from_offset % kPage;
    to_offset -= to_offset % kPage;
  }
  const uint64_t length = std::min(PickLength() * random_.Between(1, 4), kMaxModelFile - to_offset);
  DoCopy(*from, from_offset, *to, to_offset, length);
}

void ModelDriver::CopyWhole() {
  const FilePtr from = PickFile(), to = PickFile();
  if (from == to || from->content.size() == 0) return;
  DoCopy(*from, 0, *to, 0, from->content.size());
}

void ModelDriver::CopyWithin() {
  const FilePtr file = PickFile();
  const uint64_t size = file->content.size();
  if (size < 2) return;
  const uint64_t length = random_.Between(1, size / 2);
  const uint64_t from_offset = random_.Below(size - length + 1);
  const uint64_t to_offset = random_.OneIn(2) ? size : random_.Below(size);
  const bool overlap = from_offset < to_offset + length && to_offset < from_offset + length;
  if (!overlap) {
    if (to_offset + length <= kMaxModelFile) {
      DoCopy(*file, from_offset, *file, to_offset, length);
    }
    return;
  }
  Say("overlapping copy", *file, from_offset, to_offset, length);
  OpenFile& handle = HandleOf(*file);
  EXPECT_EQ(CodeOf(fs().CopyRange(handle, from_offset, handle, to_offset, length)), EINVAL);
}

}  // namespace dedupfs

#include "tests/fs/crash_points/recorded_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <utility>
#include <vector>

namespace dedupfs {
namespace {

// Nothing is done in the background but what is asked for.
constexpr std::string_view kConfiguration =
    "commit_interval_ms = 600000\nthreads = 2\nmetadata_cache_bytes = \"16 MiB\"\n"
    "chunk_cache_bytes = \"8 MiB\"\nreserve_bytes = 0\nlog_level = \"error\"\n"
    "recompress_after_quiet_ms = 600000\n";

std::string Describe(const std::vector<DiskCall>& record, uint64_t instant, Loss loss) {
  std::string text = "crash after call " + std::to_string(instant);
  if (instant > 0) {
    const DiskCall& call = record[instant - 1];
    text += std::string(" (") + NameOf(call.kind) + " " + call.path;
    // Files are numbered as they are made.
    uint64_t number = 0;
    for (const DiskCall& made : record) {
      if (call.file == 0) break;
      if (made.kind == DiskCall::Kind::kCreate && ++number == call.file) text += made.path;
    }
    text += ")";
  }
  switch (loss) {
    case Loss::kNothing:
      return text + ", nothing lost";
    case Loss::kUnsynced:
      return text + ", unsynced lost";
    case Loss::kTorn:
      return text + ", torn";
  }
  return text;
}

bool IsSync(const DiskCall& call) {
  return call.kind == DiskCall::Kind::kSync || call.kind == DiskCall::Kind::kSyncDir ||
         call.kind == DiskCall::Kind::kLostSync;
}

}  // namespace

RecordedStore::RecordedStore() {
  std::filesystem::create_directory(temp_.Join("disk"));
  disk_ = std::make_unique<FaultDisk>(temp_.Join("disk"));
  env_ = NewFaultDiskEnv(*disk_);
}

RecordedStore::~RecordedStore() {
  if (fs_ != nullptr) static_cast<void>(Close());
}

void RecordedStore::WriteConfiguration(const std::string& store) const {
  std::ofstream(store + "/dedupfs.toml") << kConfiguration;
}

Status RecordedStore::Format() {
  FormatOptions options;
  options.average_chunk_bytes = 16 << 10;
  options.disk = {.env = env_.get(), .database_files = NewFaultFileSystem(*disk_)};
  DEDUPFS_RETURN_IF_ERROR(FileSystem::Format(disk_->root() + "/store", options));
  formatted_ = true;
  formatted_at_ = disk_->Now();
  return Ok();
}

Status RecordedStore::Open() {
  WriteConfiguration(disk_->root() + "/store");
  MountOptions options;
  options.disk = {.env = env_.get(), .database_files = NewFaultFileSystem(*disk_)};
  DEDUPFS_ASSIGN_OR_RETURN(fs_, FileSystem::Open(disk_->root() + "/store", options));
  history_ = std::make_unique<History>(*disk_, *fs_, ledger_);
  if (!std::exchange(begun_, true)) {
    DEDUPFS_ASSIGN_OR_RETURN(const SeenTree tree, SeeTree(*fs_));
    ledger_.Begin(tree);
  }
  return Ok();
}

Status RecordedStore::Close() {
  Status closed = fs_->Close();
  history_.reset();
  fs_.reset();
  if (closed) ledger_.PromiseAll(disk_->Now());
  return closed;
}

RecordedStore::Points RecordedStore::TryEveryCrash(uint64_t from, uint64_t stride, int torn,
                                                   uint64_t seed) {
  const std::vector<DiskCall> record = disk_->Record();
  Points points;
  DiskModel model;
  for (uint64_t instant = 0; instant <= record.size(); ++instant) {
    if (instant > 0) model.Apply(record[instant - 1]);
    if (instant < from || (instant - from) % stride != 0) continue;
    ++points.instants;
    std::vector<Loss> losses(static_cast<size_t>(torn), Loss::kTorn);
    // What did not change since the call before was tried there, and what the next call does not
    // change is tried after it, when more was promised.
    if (instant == 0 || !IsSync(record[instant - 1])) losses.push_back(Loss::kNothing);
    if (stride > 1 || instant == record.size() || IsSync(record[instant])) {
      losses.push_back(Loss::kUnsynced);
    }
    for (size_t i = 0; i < losses.size(); ++i) {
      SCOPED_TRACE(Describe(record, instant, losses[i]));
      Try(model, instant, losses[i], seed + instant * (losses.size() + 1) + i);
      ++points.states;
      if (::testing::Test::HasFailure()) return points;
    }
  }
  std::cerr << "crash points: " << points.instants << " instants of " << record.size() << " calls, "
            << points.states << " states\n";
  return points;
}

void RecordedStore::TryCrashNow(Loss loss, uint64_t seed) {
  const std::vector<DiskCall> record = disk_->Record();
  DiskModel model;
  for (const DiskCall& call : record) model.Apply(call);
  SCOPED_TRACE(Describe(record, record.size(), loss));
  Try(model, record.size(), loss, seed);
}

void RecordedStore::Try(const DiskModel& model, uint64_t instant, Loss loss, uint64_t seed) {
  Random random(seed);
  const std::string root = temp_.Join("crashed");
  model.WriteTo(root, loss, random);
  const std::string store = root + "/store";
  if (!std::filesystem::exists(store + "/format")) {
    EXPECT_TRUE(!formatted_ || instant < formatted_at_) << "the store is gone";
    return;
  }
  WriteConfiguration(store);
  ExpectPromises(instant);
}

void RecordedStore::ExpectPromises(uint64_t instant) {
  // On real files; only its syncs, which no further crash asks for, are left out.
  FaultDisk plain(temp_.Join("crashed"));
  const auto env = NewFaultDiskEnv(plain);
  const std::string store = plain.root() + "/store";
  MountOptions options;
  options.disk = {.env = env.get(), .database_files = NewFaultFileSystem(plain)};
  auto fs = FileSystem::Open(store, options);
  ASSERT_TRUE(fs) << fs.error().message;
  const auto tree = SeeTree(**fs);
  EXPECT_TRUE(tree) << tree.error().message;
  if (tree && begun_) {
    for (const std::string& fault : ledger_.Faults(*tree, instant)) ADD_FAILURE() << fault;
  }
  // Dirty rows become chunks and orphans go; nobody sees a difference.
  EXPECT_TRUE((*fs)->WaitForBackground());
  const auto settled = SeeTree(**fs);
  EXPECT_TRUE(settled && tree && *settled == *tree) << "changed while nobody changed it";
  EXPECT_TRUE((*fs)->Close());
  fs->reset();
  const auto check = FileSystem::Check(
      store, [](const std::string& line) { ADD_FAILURE() << "check: " << line; },
      [](const ChunkStore::CheckProgress&) {});
  EXPECT_TRUE(check) << check.error().message;
  if (check) {
    EXPECT_EQ(check->problems, 0u);
  }
}

}  // namespace dedupfs

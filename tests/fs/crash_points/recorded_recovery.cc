// RecordedStore: crashes of the mount that follows a crash.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "tests/fs/crash_points/recorded_store.h"

namespace dedupfs {

// The model of `crashed`, and the calls that mounting it and settling it make.
std::vector<DiskCall> RecordedStore::Recover(DiskModel& model) {
  const std::string root = temp_.Join("recovered");
  std::filesystem::remove_all(root);
  std::filesystem::copy(temp_.Join("crashed"), root, std::filesystem::copy_options::recursive);
  model.Import(root);
  FaultDisk disk(root);
  const auto env = NewFaultDiskEnv(disk);
  MountOptions options;
  options.disk = {.env = env.get(), .database_files = NewFaultFileSystem(disk)};
  auto fs = FileSystem::Open(root + "/store", options);
  EXPECT_TRUE(fs) << fs.error().message;
  if (!fs) return {};
  EXPECT_TRUE((*fs)->WaitForBackground());
  EXPECT_TRUE((*fs)->Close());
  return disk.Record();
}

uint64_t RecordedStore::TryEveryCrashOfRecovery(uint64_t instant, Loss loss, uint64_t stride,
                                                uint64_t seed) {
  const std::vector<DiskCall> record = disk_->Record();
  DiskModel before;
  for (uint64_t i = 0; i < instant; ++i) before.Apply(record[i]);
  SCOPED_TRACE("crash after call " + std::to_string(instant));
  Random random(seed);
  before.WriteTo(temp_.Join("crashed"), loss, random);
  WriteConfiguration(temp_.Join("crashed/store"));
  DiskModel model;
  const std::vector<DiskCall> calls = Recover(model);
  // A mount may make fewer calls than the stride has: one of them is always tried.
  uint64_t next = 1 + seed % std::clamp<uint64_t>(calls.size(), 1, stride);
  uint64_t states = 0;
  for (uint64_t call = 1; call <= calls.size(); ++call) {
    model.Apply(calls[call - 1]);
    if (call != next) continue;
    next += stride;
    SCOPED_TRACE("then after call " + std::to_string(call) +
                 " of the mount: " + NameOf(calls[call - 1].kind) + " " + calls[call - 1].path);
    Try(model, instant, random.OneIn(2) ? Loss::kUnsynced : Loss::kTorn, seed + call);
    ++states;
    if (::testing::Test::HasFailure()) return states;
  }
  std::cerr << "the mount after call " << instant << ": " << calls.size() << " calls, " << states
            << " crashes\n";
  return states;
}

void RecordedStore::TryCrashesInARow(uint64_t instant, int times, uint64_t seed) {
  const std::vector<DiskCall> record = disk_->Record();
  DiskModel before;
  for (uint64_t i = 0; i < instant; ++i) before.Apply(record[i]);
  Random random(seed);
  std::string told = "crash after call " + std::to_string(instant);
  before.WriteTo(temp_.Join("crashed"), Loss::kTorn, random);
  for (int i = 0; i < times; ++i) {
    WriteConfiguration(temp_.Join("crashed/store"));
    SCOPED_TRACE(told);
    DiskModel model;
    const std::vector<DiskCall> calls = Recover(model);
    if (::testing::Test::HasFailure()) return;
    const uint64_t until = random.Below(calls.size() + 1);
    for (uint64_t call = 0; call < until; ++call) model.Apply(calls[call]);
    told += ", after call " + std::to_string(until) + " of the mount";
    model.WriteTo(temp_.Join("crashed"), Loss::kTorn, random);
  }
  WriteConfiguration(temp_.Join("crashed/store"));
  SCOPED_TRACE(told);
  ExpectPromises(instant);
}

}  // namespace dedupfs

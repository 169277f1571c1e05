#include "tools/dedupfs/selftest/power_cut.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "chunkstore/base/error.h"
#include "chunkstore/base/seeded_random.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/selftest/child_process.h"
#include "tools/dedupfs/selftest/crash_model.h"
#include "tools/dedupfs/selftest/crash_writer.h"
#include "tools/dedupfs/selftest/interrupt.h"
#include "tools/dedupfs/selftest/loop_disk.h"
#include "tools/dedupfs/selftest/step_counter.h"

namespace dedupfs {
namespace {

constexpr const char* kSelf = "/proc/self/exe";
constexpr uint64_t kImageBytes = 2ull << 30;
constexpr size_t kWriters = 4;
// Of a cut, so that it comes soon and late after a mount.
constexpr uint64_t kMaxSteps[] = {50, 500, 3000};
// Commits in the background also come between the writes of a round, not only by fsync.
constexpr const char* kSettings =
    "commit_interval_ms = 20\n"
    "dirty_budget_bytes = \"16 MiB\"\n"
    "reserve_bytes = \"16 MiB\"\n"
    "recompress_after_quiet_ms = 1000\n";

// Pieces that compress and that do not, of less than a chunk and of many.
std::vector<std::string> MakePieces(SeededRandom& random) {
  std::vector<std::string> pieces;
  for (int i = 0; i < 60; ++i) {
    const uint64_t limit = i % 10 == 0 ? 1'000'000 : i % 3 == 0 ? 100'000 : 8'000;
    std::string piece = random.Bytes(1 + random.Below(limit));
    if (i % 2 == 0) {
      for (char& byte : piece) byte = static_cast<char>('a' + (static_cast<uint8_t>(byte) & 7));
    }
    if (i % 7 == 0) piece.append(random.Below(20'000), '\0');
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

Status EnterOwnMountNamespace() {
  if (::geteuid() != 0) return Fail(EPERM, "needs root: it mounts a disk image");
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Fail(errno, "needs namespaces: of mounts: " + FailErrno("unshare").value().message);
  }
  if (::access("/dev/fuse", R_OK | W_OK) != 0) {
    return Fail(ENODEV, "needs fuse: " + FailErrno("/dev/fuse").value().message);
  }
  return Ok();
}

Result<std::string> MakeWorkDirectory(const std::string& directory) {
  struct statvfs space {};
  if (::statvfs(directory.c_str(), &space) != 0) return FailErrno(directory);
  if (uint64_t{space.f_bavail} * space.f_frsize < kImageBytes) {
    return Fail(ENOSPC, directory + ": less than " + std::to_string(kImageBytes >> 20) +
                            " MiB are free, the size of the disk image");
  }
  std::error_code error;
  const std::string absolute = std::filesystem::canonical(directory, error).string();
  if (error) return Fail(error.value(), directory + ": " + error.message());
  std::string path = absolute + "/dedupfs-powercut-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return FailErrno(path);
  for (const char* const name : {"/disk", "/mnt"}) {
    if (::mkdir((path + name).c_str(), 0700) != 0) return FailErrno(path + name);
  }
  return path;
}

// Every file of a writer but those that were to replace others; a file that cannot be read is a
// fault.
std::map<std::string, Content> ReadAll(const std::string& directory,
                                       std::vector<std::string>& faults) {
  std::map<std::string, Content> found;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::ifstream file(at->path(), std::ios::binary);
    std::string bytes;
    const std::uintmax_t size = std::filesystem::file_size(at->path(), error);
    if (!error) {
      bytes.resize(size);
      file.read(bytes.data(), static_cast<std::streamsize>(size));
    }
    if (error || !file || file.gcount() != static_cast<std::streamsize>(size)) {
      faults.push_back(at->path().string() + ": cannot be read");
      continue;
    }
    if (name.starts_with(kTemporaryPrefix)) continue;
    found[name] = std::make_shared<const std::string>(std::move(bytes));
  }
  if (error) faults.push_back(directory + ": cannot be listed: " + error.message());
  return found;
}

}  // namespace

PowerCut::PowerCut(PowerCutOptions options, std::string work)
    : options_(std::move(options)),
      work_(std::move(work)),
      disk_path_(work_ + "/disk"),
      store_(disk_path_ + "/store"),
      mountpoint_(work_ + "/mnt"),
      log_(work_ + "/daemon.log"),
      random_(options_.seed),
      pieces_(MakePieces(random_)) {}

Result<std::unique_ptr<PowerCut>> PowerCut::Prepare(const PowerCutOptions& options) {
  DEDUPFS_RETURN_IF_ERROR(EnterOwnMountNamespace());
  DEDUPFS_ASSIGN_OR_RETURN(std::string work, MakeWorkDirectory(options.directory));
  std::unique_ptr<PowerCut> made(new PowerCut(options, std::move(work)));
  DEDUPFS_RETURN_IF_ERROR(made->MakeStore());
  DEDUPFS_RETURN_IF_ERROR(made->StartDaemon());
  DEDUPFS_RETURN_IF_ERROR(made->MakeWriters());
  return made;
}

PowerCut::~PowerCut() {
  daemon_.reset();
  ::umount2(mountpoint_.c_str(), MNT_DETACH);
  disk_.reset();
  if (options_.keep_image && found_fault_) return;
  std::error_code error;
  std::filesystem::remove_all(work_, error);
  if (error) std::fprintf(stderr, "dedupfs: %s: %s\n", work_.c_str(), error.message().c_str());
}

Status PowerCut::MakeStore() {
  DEDUPFS_ASSIGN_OR_RETURN(disk_, LoopDisk::Create(work_ + "/image", disk_path_,
                                                   options_.filesystem, kImageBytes, log_));
  DEDUPFS_RETURN_IF_ERROR(disk_->Mount());
  DEDUPFS_ASSIGN_OR_RETURN(const Finished made, RunToEnd(kSelf, {"format", store_}, log_));
  if (made.exit_status != kExitOk) return Fail(EIO, "format failed; see " + log_);
  std::ofstream settings(store_ + "/dedupfs.toml");
  settings << kSettings;
  settings.close();
  if (!settings) return Fail(EIO, store_ + "/dedupfs.toml: cannot be written");
  return Ok();
}

Status PowerCut::MakeWriters() {
  for (size_t i = 0; i < kWriters; ++i) {
    const std::string name = "writer" + std::to_string(i);
    if (::mkdir((mountpoint_ + "/" + name).c_str(), 0755) != 0) return FailErrno(name);
    models_[name];
  }
  const int root = ::open(mountpoint_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return FailErrno(mountpoint_);
  const int synced = ::fsync(root);
  ::close(root);
  // The settings lie on the disk itself, whose own sync makes them durable.
  const int disk = ::open(disk_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (disk < 0) return FailErrno(disk_path_);
  const int flushed = ::syncfs(disk);
  ::close(disk);
  if (synced != 0 || flushed != 0) return FailErrno("sync of the new store");
  return Ok();
}

Status PowerCut::StartDaemon() {
  DEDUPFS_ASSIGN_OR_RETURN(daemon_,
                           ChildProcess::Start(kSelf, {"mount", "-f", store_, mountpoint_}, log_));
  DEDUPFS_ASSIGN_OR_RETURN(const std::string line, daemon_->ReadLine());
  if (line.starts_with("mounted ")) return Ok();
  return Fail(EIO, "the store cannot be mounted");
}

uint64_t PowerCut::acknowledged() const {
  uint64_t sum = 0;
  for (const auto& [name, model] : models_) sum += model.acknowledged();
  return sum;
}

void PowerCut::NoteFault(std::vector<std::string>& faults, const std::string& fault) {
  found_fault_ = true;
  faults.push_back(fault);
}

// Until the power is cut; every writer has ended when it returns.
Status PowerCut::Work(CutReport& report) {
  StepCounter steps(kWriters);
  std::vector<std::unique_ptr<CrashWriter>> writers;
  for (auto& [name, model] : models_) {
    writers.push_back(std::make_unique<CrashWriter>(mountpoint_ + "/" + name, store_, model,
                                                    pieces_, steps, random_.Next()));
  }
  const uint64_t wanted = random_.Below(kMaxSteps[random_.Below(std::size(kMaxSteps))]);
  const bool let_operations_end = random_.OneIn(2);
  const uint64_t before = acknowledged();
  std::vector<std::thread> threads;
  threads.reserve(writers.size());
  for (const auto& writer : writers) threads.emplace_back([&writer] { writer->Run(); });
  Status waited = steps.WaitFor(wanted);
  report.steps = steps.steps();
  steps.BeginCut();
  Status cut = disk_->Cut();
  // The daemon meets a disk that fails now, or is killed at once.
  if (waited && cut && let_operations_end) waited = steps.WaitForEnd();
  daemon_->Kill();
  for (std::thread& thread : threads) thread.join();
  report.acknowledged = acknowledged() - before;
  if (!waited) NoteFault(report.faults, waited.error().message);
  for (const auto& writer : writers) {
    if (!writer->fault().empty()) NoteFault(report.faults, "before the cut: " + writer->fault());
  }
  return cut;
}

Status PowerCut::TakeDown() {
  daemon_.reset();
  if (::umount2(mountpoint_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
    return FailErrno("unmount of " + mountpoint_);
  }
  return disk_->Unmount();
}

Status PowerCut::Check(std::vector<std::string>& faults) {
  DEDUPFS_ASSIGN_OR_RETURN(const Finished checked, RunToEnd(kSelf, {"check", store_}, log_));
  if (checked.exit_status != kExitOk) {
    NoteFault(faults,
              "check (status " + std::to_string(checked.exit_status) + "): " + checked.output);
  }
  return Ok();
}

Status PowerCut::Compare(CutReport& report) {
  for (auto& [name, model] : models_) {
    std::vector<std::string> unreadable;
    const auto found = ReadAll(mountpoint_ + "/" + name, unreadable);
    for (const std::string& fault : unreadable) NoteFault(report.faults, fault);
    for (const std::string& fault : model.Faults(found)) {
      NoteFault(report.faults, std::string(name).append("/").append(fault));
    }
    report.promises += model.expectations();
    report.files += found.size();
    model.Settle(found);
  }
  return Ok();
}

Status PowerCut::RemountAndCompare(CutReport& report) {
  DEDUPFS_RETURN_IF_ERROR(disk_->Mount());
  DEDUPFS_RETURN_IF_ERROR(Check(report.faults));
  Status started = StartDaemon();
  if (!started && started.error().code == EINTR) return started;
  if (!started) {
    NoteFault(report.faults, started.error().message);
    return Ok();
  }
  return Compare(report);
}

Result<CutReport> PowerCut::CutOnce() {
  CutReport report;
  DEDUPFS_RETURN_IF_ERROR(Work(report));
  DEDUPFS_RETURN_IF_ERROR(TakeDown());
  if (Interrupt::Requested()) return Fail(EINTR, "interrupted");
  DEDUPFS_RETURN_IF_ERROR(RemountAndCompare(report));
  return report;
}

Result<std::vector<std::string>> PowerCut::Finish() {
  std::vector<std::string> faults;
  if (::umount2(mountpoint_.c_str(), UMOUNT_NOFOLLOW) != 0) return FailErrno(mountpoint_);
  const int status = daemon_->Wait();
  daemon_.reset();
  if (status != kExitOk) {
    NoteFault(faults, "the daemon ended with status " + std::to_string(status));
  }
  DEDUPFS_RETURN_IF_ERROR(Check(faults));
  return faults;
}

}  // namespace dedupfs

// A store in a directory of its own, opened, mounted and served in this process, for tests through
// real system calls. Skips where FUSE cannot be used.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "fs/file_system.h"
#include "fs/fuse/session.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {

// An open file of the mount; closed at the end.
class Fd {
 public:
  Fd(const std::string& path, int flags, mode_t mode = 0644);
  ~Fd();
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  // Closes now; the result of close(2).
  int Close();

 private:
  int fd_;
};

class MountTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // The path of a name in the mount.
  std::string At(std::string_view name) const { return mountpoint_ + "/" + std::string(name); }
  // Stops the session, closes the store, and mounts it again.
  void Remount(const SessionOptions& options);
  void Remount() { Remount(Options()); }
  void StartSession(const SessionOptions& options);
  // Stops, unless it is stopped already; the result of Run().
  void StopSession();
  SessionOptions Options() const;

  FileSystem& file_system() { return *file_system_; }
  FuseSession& session() { return *session_; }
  const std::string& mountpoint() const { return mountpoint_; }
  const std::string& store() const { return store_; }
  // Waits until Run() has returned by itself.
  void JoinRun();
  Status run_result() const { return run_result_; }

 private:
  std::unique_ptr<TempDir> directory_;
  std::string store_;
  std::string mountpoint_;
  std::unique_ptr<FileSystem> file_system_;
  std::unique_ptr<FuseSession> session_;
  std::thread runner_;
  Status run_result_ = Ok();
};

// Bytes that hardly compress and differ for each seed.
std::string TestBytes(size_t size, uint64_t seed);

// Each adds a test failure and gives what it can where a call fails.
void WriteFile(const std::string& path, std::string_view content);
std::string ReadFile(const std::string& path);
void WriteAt(int fd, std::string_view content, off_t offset);
std::string ReadAt(int fd, size_t size, off_t offset);
struct stat StatOf(const std::string& path);

// Forks a child that runs `body` with this user and group and no supplementary groups, and exits
// with its result, at most 255. It inherits no descriptor but the standard ones.
pid_t StartChild(uid_t uid, gid_t gid, const std::function<int()>& body);

// The same, to its end: the result, or -1 where the child died.
int InChild(uid_t uid, gid_t gid, const std::function<int()>& body);

}  // namespace dedupfs

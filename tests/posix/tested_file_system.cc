#include "tests/posix/tested_file_system.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

#include "fs/file_system.h"
#include "fs/fuse/session.h"

namespace dedupfs {
namespace {

std::string MakeDirectory(const std::string& path) {
  ::mkdir(path.c_str(), 0755);
  return path;
}

class Ext4 : public TestedFileSystem {
 public:
  explicit Ext4(const std::string& directory)
      : TestedFileSystem(MakeDirectory(directory + "/ext4")), image_(directory + "/ext4.img") {}
  ~Ext4() override { static_cast<void>(Ext4::Stop()); }

  Status Start() override {
    // NOLINTNEXTLINE(cert-env33-c): it is looked for where the next command finds it.
    if (std::system("command -v mkfs.ext4 >/dev/null") != 0) {
      return Fail(ENODEV, "needs mkfs.ext4: it is not installed");
    }
    const std::string make = "truncate -s 1G '" + image_ +
                             "' && mkfs.ext4 -q -F -N 1048576 -O ea_inode '" + image_ +
                             "' && mount -o loop '" + image_ + "' '" + root() + "'";
    // NOLINTNEXTLINE(cert-env33-c): mkfs and mount find their own programs.
    if (std::system(make.c_str()) != 0) return Fail(ENODEV, "needs loop: no image can be mounted");
    mounted_ = true;
    return Ok();
  }

  Status Stop() override {
    if (std::exchange(mounted_, false)) ::umount2(root().c_str(), MNT_DETACH);
    return Ok();
  }

  Status Remount(bool read_only) override {
    unsigned long flags = MS_REMOUNT;
    if (read_only) flags |= MS_RDONLY;
    if (::mount(nullptr, root().c_str(), nullptr, flags, nullptr) != 0) {
      return FailErrno("remount of ext4");
    }
    return Ok();
  }

 private:
  std::string image_;
  bool mounted_ = false;
};

class Dedupfs : public TestedFileSystem {
 public:
  explicit Dedupfs(const std::string& directory)
      : TestedFileSystem(MakeDirectory(directory + "/dedupfs")), store_(directory + "/store") {}
  ~Dedupfs() override { static_cast<void>(Dedupfs::Stop()); }

  Status Start() override {
    DEDUPFS_RETURN_IF_ERROR(FileSystem::Format(store_, FormatOptions{}));
    return Mount(false);
  }

  Status Stop() override {
    if (daemon_ <= 0) return Ok();
    ::close(std::exchange(stop_pipe_, -1));
    int status = 0;
    while (::waitpid(daemon_, &status, 0) < 0 && errno == EINTR) {
    }
    daemon_ = -1;
    return status == 0 ? Ok()
                       : Status(Fail(EIO, "the daemon ended with " + std::to_string(status)));
  }

  Status Remount(bool read_only) override {
    DEDUPFS_RETURN_IF_ERROR(Stop());
    return Mount(read_only);
  }

 private:
  Status Mount(bool read_only) {
    std::array<int, 2> stop = {};
    std::array<int, 2> ready = {};
    if (::pipe2(stop.data(), O_CLOEXEC) != 0 || ::pipe2(ready.data(), O_CLOEXEC) != 0) {
      return FailErrno("pipe");
    }
    const std::string stop_text = std::to_string(stop[0]);
    const std::string ready_text = std::to_string(ready[1]);
    daemon_ = ::fork();
    if (daemon_ == 0) {
      // A program of its own: a sanitizer forbids threads in a process that was only forked.
      static_cast<void>(::fcntl(stop[0], F_SETFD, 0));
      static_cast<void>(::fcntl(ready[1], F_SETFD, 0));
      ::execl("/proc/self/exe", "posix_tests", kServeArgument, store_.c_str(), root().c_str(),
              read_only ? "ro" : "rw", stop_text.c_str(), ready_text.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(stop[0]);
    ::close(ready[1]);
    stop_pipe_ = stop[1];
    char word = 0;
    const ssize_t got = ::read(ready[0], &word, 1);
    ::close(ready[0]);
    if (got == 1) return Ok();
    ::close(std::exchange(stop_pipe_, -1));
    ::waitpid(std::exchange(daemon_, -1), nullptr, 0);
    return Fail(EIO, "the daemon did not start");
  }

  std::string store_;
  pid_t daemon_ = -1;
  int stop_pipe_ = -1;
};

int Complain(const Error& error) {
  static_cast<void>(std::fprintf(stderr, "daemon: %s\n", error.message.c_str()));
  return 1;
}

// Until the other end of `stop` is closed.
int Serve(const std::string& store, const std::string& root, bool read_only, int stop, int ready) {
  ::umask(022);
  MountOptions options;
  options.read_only = read_only;
  const auto file_system = FileSystem::Open(store, options);
  if (!file_system) return Complain(file_system.error());
  SessionOptions session_options;
  session_options.mountpoint = root;
  session_options.source = store;
  session_options.read_only = read_only;
  const auto session = FuseSession::Mount(**file_system, session_options);
  if (!session) return Complain(session.error());
  std::thread stopper([&session, stop] {
    char word = 0;
    while (::read(stop, &word, 1) < 0 && errno == EINTR) {
    }
    (*session)->Stop();
  });
  static_cast<void>(!::write(ready, "r", 1));
  ::close(ready);
  const Status ran = (*session)->Run();
  stopper.join();
  if (!ran) return Complain(ran.error());
  const Status closed = (*file_system)->Close();
  return closed ? 0 : Complain(closed.error());
}

}  // namespace

int ServeDedupfs(std::span<char* const> arguments) {
  if (arguments.size() != 5) return 2;
  return Serve(arguments[0], arguments[1], std::string_view(arguments[2]) == "ro",
               std::atoi(arguments[3]), std::atoi(arguments[4]));
}

std::unique_ptr<TestedFileSystem> MakeExt4(const std::string& directory) {
  return std::make_unique<Ext4>(directory);
}

std::unique_ptr<TestedFileSystem> MakeDedupfs(const std::string& directory) {
  return std::make_unique<Dedupfs>(directory);
}

}  // namespace dedupfs

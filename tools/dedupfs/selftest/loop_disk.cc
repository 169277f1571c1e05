#include "tools/dedupfs/selftest/loop_disk.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/selftest/child_process.h"

namespace dedupfs {
namespace {

// XFS_IOC_GOINGDOWN and EXT4_IOC_SHUTDOWN are one number, and so are their flags; no header of the
// kernel has them for programs.
constexpr unsigned long kGoingDown = _IOR('X', 125, uint32_t);
constexpr uint32_t kNoLogFlush = 2;

constexpr int kMaxAttempts = 1000;  // of a call that another process's use of a device may fail
constexpr std::chrono::milliseconds kPause{10};

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Fd& operator=(Fd&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> NeedsLoop(const std::string& what) {
  return Fail(ENODEV, "needs loop: " + FailErrno(what).value().message);
}

struct LoopDevice {
  std::string path;
  Fd fd;  // open until the mount holds the device
};

// A free one that shows `image`, and goes when its last user does.
Result<LoopDevice> Attach(const std::string& image) {
  const Fd file(::open(image.c_str(), O_RDWR | O_CLOEXEC));
  if (file.get() < 0) return FailErrno(image);
  const Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (control.get() < 0) return NeedsLoop("/dev/loop-control");
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return NeedsLoop("a free loop device");
    LoopDevice device{"/dev/loop" + std::to_string(number), Fd(-1)};
    Fd loop(::open(device.path.c_str(), O_RDWR | O_CLOEXEC));
    if (loop.get() < 0) return NeedsLoop(device.path);
    loop_config config{};
    config.fd = static_cast<uint32_t>(file.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (::ioctl(loop.get(), LOOP_CONFIGURE, &config) == 0) {
      return LoopDevice{device.path, std::move(loop)};
    }
    if (errno != EBUSY) return NeedsLoop(device.path);  // EBUSY: another process was faster
  }
  return Fail(EBUSY, "no loop device stayed free");
}

Status MakeFileSystem(const std::string& filesystem, const std::string& image,
                      const std::string& log_path) {
  const std::string program = "mkfs." + filesystem;
  DEDUPFS_ASSIGN_OR_RETURN(
      const Finished made,
      RunToEnd(program, {"-q", filesystem == "xfs" ? "-f" : "-F", image}, log_path));
  if (made.exit_status == 0) return Ok();
  if (made.exit_status == kExitNotRun) {
    return Fail(ENODEV, "needs " + program + ": it is not installed or cannot be run");
  }
  return Fail(EIO, program + " failed with status " + std::to_string(made.exit_status));
}

}  // namespace

Result<std::unique_ptr<LoopDisk>> LoopDisk::Create(const std::string& image,
                                                   const std::string& directory,
                                                   const std::string& filesystem,
                                                   uint64_t size_bytes,
                                                   const std::string& log_path) {
  {
    const Fd file(::open(image.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (file.get() < 0) return FailErrno(image);
    if (::ftruncate(file.get(), static_cast<off_t>(size_bytes)) != 0) return FailErrno(image);
  }
  DEDUPFS_RETURN_IF_ERROR(MakeFileSystem(filesystem, image, log_path));
  return std::unique_ptr<LoopDisk>(new LoopDisk(image, directory, filesystem));
}

LoopDisk::~LoopDisk() {
  // Still in use: it goes with its last user.
  if (mounted_ && !Unmount()) ::umount2(directory_.c_str(), MNT_DETACH);
}

Status LoopDisk::Mount() {
  DEDUPFS_ASSIGN_OR_RETURN(const LoopDevice device, Attach(image_));
  if (::mount(device.path.c_str(), directory_.c_str(), filesystem_.c_str(), 0, nullptr) != 0) {
    if (errno == ENODEV) return Fail(ENODEV, "needs " + filesystem_ + ": the kernel has it not");
    return FailErrno("mount of " + image_);
  }
  mounted_ = true;
  return Ok();
}

Status LoopDisk::Cut() {
  const Fd root(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.get() < 0) return FailErrno(directory_);
  uint32_t flags = kNoLogFlush;
  if (::ioctl(root.get(), kGoingDown, &flags) != 0) return FailErrno("shutdown of " + directory_);
  return Ok();
}

Status LoopDisk::Unmount() {
  // The kernel lets go of a killed process's files a moment after its end.
  for (int attempt = 0; ::umount2(directory_.c_str(), UMOUNT_NOFOLLOW) != 0; ++attempt) {
    if (errno != EBUSY || attempt == kMaxAttempts) return FailErrno("unmount of " + directory_);
    std::this_thread::sleep_for(kPause);
  }
  mounted_ = false;
  return Ok();
}

}  // namespace dedupfs

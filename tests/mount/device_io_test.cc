// The INIT exchange and the flags of requests, over a socket in place of /dev/fuse.
#include "fs/fuse/device_io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fuse.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>

namespace dedupfs {
namespace {

template <typename Arguments>
std::string Request(uint32_t opcode, uint64_t unique, const Arguments& arguments) {
  fuse_in_header header = {};
  header.len = sizeof(header) + sizeof(arguments);
  header.opcode = opcode;
  header.unique = unique;
  std::string out(reinterpret_cast<const char*>(&header), sizeof(header));
  return out.append(reinterpret_cast<const char*>(&arguments), sizeof(arguments));
}

class DeviceIoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_.data()), 0);
  }
  void TearDown() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  void Deliver(const std::string& request) {
    ASSERT_EQ(::write(ends_[1], request.data(), request.size()),
              static_cast<ssize_t>(request.size()));
    std::array<char, 4096> buffer;
    ASSERT_EQ(io_.Read(ends_[0], buffer.data(), buffer.size()),
              static_cast<ssize_t>(request.size()));
  }

  // The flags that arrive at the kernel's end.
  uint32_t AnswerInit(uint64_t unique, uint32_t flags) {
    fuse_out_header header = {};
    header.unique = unique;
    fuse_init_out init = {};
    init.flags = flags;
    header.len = sizeof(header) + sizeof(init);
    std::array<iovec, 2> pieces = {iovec{&header, sizeof(header)}, iovec{&init, sizeof(init)}};
    EXPECT_EQ(io_.Write(ends_[0], pieces.data(), 2), static_cast<ssize_t>(header.len));
    EXPECT_EQ(init.flags, flags);  // libfuse's own copy stays
    std::array<char, 4096> buffer;
    EXPECT_EQ(::read(ends_[1], buffer.data(), buffer.size()), static_cast<ssize_t>(header.len));
    std::memcpy(&init, buffer.data() + sizeof(header), sizeof(init));
    return init.flags;
  }

  DeviceIo io_;
  std::array<int, 2> ends_{};
};

fuse_init_in InitOffering(uint32_t flags) {
  fuse_init_in in = {};
  in.major = 7;
  in.minor = 38;
  in.flags = flags;
  return in;
}

TEST_F(DeviceIoTest, OfferedKillPrivilegesIsAgreedTo) {
  Deliver(Request(FUSE_INIT, 5, InitOffering(FUSE_HANDLE_KILLPRIV_V2 | FUSE_BIG_WRITES)));
  EXPECT_FALSE(io_.kill_privileges_is_ours());
  EXPECT_EQ(AnswerInit(5, FUSE_BIG_WRITES), FUSE_BIG_WRITES | FUSE_HANDLE_KILLPRIV_V2);
  EXPECT_TRUE(io_.kill_privileges_is_ours());
}

TEST_F(DeviceIoTest, KillPrivilegesThatIsNotOfferedIsNotAskedFor) {
  Deliver(Request(FUSE_INIT, 5, InitOffering(FUSE_BIG_WRITES)));
  EXPECT_EQ(AnswerInit(5, FUSE_BIG_WRITES), static_cast<uint32_t>(FUSE_BIG_WRITES));
  EXPECT_FALSE(io_.kill_privileges_is_ours());
}

TEST_F(DeviceIoTest, OtherAnswersAreLeftAlone) {
  Deliver(Request(FUSE_INIT, 5, InitOffering(FUSE_HANDLE_KILLPRIV_V2)));
  EXPECT_EQ(AnswerInit(6, 0), 0U);
  EXPECT_FALSE(io_.kill_privileges_is_ours());
  EXPECT_EQ(AnswerInit(5, 0), static_cast<uint32_t>(FUSE_HANDLE_KILLPRIV_V2));
  EXPECT_EQ(AnswerInit(5, 0), 0U);  // once
}

TEST_F(DeviceIoTest, FlagOfEachRequestIsSeen) {
  fuse_write_in write = {};
  Deliver(Request(FUSE_WRITE, 7, write));
  EXPECT_FALSE(DeviceIo::RequestKillsPrivileges());
  write.write_flags = FUSE_WRITE_KILL_SUIDGID;
  Deliver(Request(FUSE_WRITE, 8, write));
  EXPECT_TRUE(DeviceIo::RequestKillsPrivileges());
  fuse_setattr_in setattr = {};
  setattr.valid = FATTR_SIZE;
  Deliver(Request(FUSE_SETATTR, 9, setattr));
  EXPECT_FALSE(DeviceIo::RequestKillsPrivileges());
  setattr.valid |= FATTR_KILL_SUIDGID;
  Deliver(Request(FUSE_SETATTR, 10, setattr));
  EXPECT_TRUE(DeviceIo::RequestKillsPrivileges());
  fuse_open_in open = {};
  open.open_flags = FUSE_OPEN_KILL_SUIDGID;
  Deliver(Request(FUSE_OPEN, 11, open));
  EXPECT_TRUE(DeviceIo::RequestKillsPrivileges());
}

TEST_F(DeviceIoTest, ShortRequestsAskForNothing) {
  fuse_write_in write = {};
  write.write_flags = FUSE_WRITE_KILL_SUIDGID;
  const std::string request = Request(FUSE_WRITE, 7, write);
  for (size_t size = 0; size < request.size(); ++size) {
    EXPECT_FALSE(DeviceIo::AsksToKillPrivileges(AsBytes(request).first(size))) << size;
  }
  EXPECT_TRUE(DeviceIo::AsksToKillPrivileges(AsBytes(request)));
}

}  // namespace
}  // namespace dedupfs

#include "control/frame.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/error.h"

namespace dedupfs {
namespace {

class FrameTest : public testing::Test {
 protected:
  FrameTest() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()), 0); }
  ~FrameTest() override { CloseRaw(); }

  void CloseRaw() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  void SendRaw(const std::string& bytes) {
    ASSERT_EQ(::send(ends_[1], bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  static std::string Prefix(uint32_t header, uint32_t body) {
    std::string bytes;
    PutU32(bytes, header);
    PutU32(bytes, body);
    return bytes;
  }

  std::array<int, 2> ends_{-1, -1};
};

TEST_F(FrameTest, LargestFrameArrivesWhole) {
  FrameSocket reader(ends_[0]);
  const Frame sent{std::string(kMaxFrameHeaderSize, 'h'), std::string(kMaxFrameBodySize, 'b')};
  Status written = Ok();
  std::thread writing([&] {
    FrameSocket writer(::dup(ends_[1]));
    written = writer.Write(sent);
  });
  const auto received = reader.Read();
  writing.join();
  ASSERT_TRUE(written);
  ASSERT_TRUE(received && *received);
  EXPECT_EQ((*received)->header, sent.header);
  EXPECT_EQ((*received)->body, sent.body);
}

TEST_F(FrameTest, BytesOnTheWireAreAsDocumented) {
  FrameSocket writer(ends_[0]);
  ASSERT_TRUE(writer.Write({"{}", "xyz"}));
  std::array<char, 64> bytes{};
  const ssize_t got = ::recv(ends_[1], bytes.data(), bytes.size(), 0);
  ASSERT_EQ(got, 13);
  EXPECT_EQ(std::string(bytes.data(), 13), std::string("\x02\0\0\0\x03\0\0\0{}xyz", 13));
}

TEST_F(FrameTest, HeaderOverTheLimitIsRefusedBeforeItIsRead) {
  FrameSocket reader(ends_[0]);
  SendRaw(Prefix(kMaxFrameHeaderSize + 1, 0));
  const auto received = reader.Read();
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, EMSGSIZE);
}

TEST_F(FrameTest, BodyOverTheLimitIsRefusedBeforeItIsRead) {
  FrameSocket reader(ends_[0]);
  SendRaw(Prefix(2, UINT32_MAX));
  const auto received = reader.Read();
  ASSERT_FALSE(received);
  EXPECT_EQ(received.error().code, EMSGSIZE);
}

TEST_F(FrameTest, OverlongFrameIsNotSent) {
  FrameSocket writer(ends_[0]);
  const Status written = writer.Write({std::string(kMaxFrameHeaderSize + 1, 'h'), ""});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, EMSGSIZE);
}

TEST_F(FrameTest, EndBetweenFramesIsNoError) {
  FrameSocket reader(ends_[0]);
  CloseRaw();
  const auto received = reader.Read();
  ASSERT_TRUE(received);
  EXPECT_FALSE(received->has_value());
}

TEST_F(FrameTest, EveryTruncationIsAnError) {
  const std::string whole = Prefix(2, 3) + "{}xyz";
  for (size_t size = 1; size < whole.size(); ++size) {
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    FrameSocket reader(pair[0]);
    ASSERT_EQ(::send(pair[1], whole.data(), size, 0), static_cast<ssize_t>(size));
    ::close(pair[1]);
    const auto received = reader.Read();
    ASSERT_FALSE(received) << size;
    EXPECT_EQ(received.error().code, EPIPE) << size;
  }
}

TEST_F(FrameTest, StopEndsAWaitingRead) {
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  FrameSocket reader(ends_[0], stop);
  std::optional<Error> error;
  std::thread reading([&] {
    const auto received = reader.Read();
    if (!received) error = received.error();
  });
  const uint64_t one = 1;
  ASSERT_EQ(::write(stop, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  reading.join();
  ::close(stop);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, ECANCELED);
}

TEST_F(FrameTest, WriteToAnEndedPeerIsAnErrorAndNoSignal) {
  FrameSocket writer(ends_[0]);
  CloseRaw();
  const Status written = writer.Write({"{}", ""});
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, EPIPE);
}

}  // namespace
}  // namespace dedupfs

#include "control/server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "chunkstore/base/error.h"
#include "control/client.h"
#include "control/error_names.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

using nlohmann::json;

Frame Echo(const Frame& request) {
  const json header = json::parse(request.header, nullptr, false);
  return {JsonText({{"result", header}}), ""};
}

class ControlServerTest : public testing::Test {
 protected:
  std::unique_ptr<ControlServer> Start(ControlServer::Handler handler = Echo) {
    auto server = ControlServer::Start(store_, std::move(handler));
    EXPECT_TRUE(server) << (server ? "" : server.error().message);
    return server ? std::move(*server) : nullptr;
  }
  TempDir directory_;
  std::string store_ = directory_.path();
};

TEST_F(ControlServerTest, AnswersSeveralRequestsOfOneConnection) {
  const auto server = Start();
  auto client = ControlClient::Connect(store_);
  ASSERT_TRUE(client);
  for (int i = 0; i < 3; ++i) {
    const auto answer = client->Call("op" + std::to_string(i), {{"i", i}});
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->at("operation"), "op" + std::to_string(i));
    EXPECT_EQ(answer->at("arguments").at("i"), i);
  }
}

TEST_F(ControlServerTest, SocketIsOpenToItsUserOnly) {
  const auto server = Start();
  struct stat info {};
  ASSERT_EQ(::stat((store_ + "/control.sock").c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(ControlServerTest, StopRemovesTheSocket) {
  auto server = Start();
  server->Stop();
  EXPECT_NE(::access((store_ + "/control.sock").c_str(), F_OK), 0);
  const auto client = ControlClient::Connect(store_);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, ENOENT);
}

TEST_F(ControlServerTest, ReplacesTheSocketThatAKilledDaemonLeft) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto started = ControlServer::Start(store_, Echo);
    ::_exit(started ? 0 : 1);
  }
  int wait_status = 0;
  ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  ASSERT_EQ(wait_status, 0);
  const auto refused = ControlClient::Connect(store_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ECONNREFUSED);
  const auto server = Start();
  ASSERT_NE(server, nullptr);
  EXPECT_TRUE(ControlClient::Connect(store_));
}

TEST_F(ControlServerTest, StopEndsIdleConnections) {
  auto server = Start();
  auto client = ControlClient::Connect(store_);
  ASSERT_TRUE(client);
  ASSERT_TRUE(client->Call("x", json::object()));
  server->Stop();
  EXPECT_FALSE(client->Call("x", json::object()));
}

TEST_F(ControlServerTest, ConnectionOverTheCapIsToldSo) {
  const auto server = Start();
  std::vector<ControlClient> clients;
  clients.reserve(ControlServer::kMaxConnections);
  for (size_t i = 0; i < ControlServer::kMaxConnections; ++i) {
    auto client = ControlClient::Connect(store_);
    ASSERT_TRUE(client);
    ASSERT_TRUE(client->Call("x", json::object()));
    clients.push_back(std::move(*client));
  }
  auto one_more = ControlClient::Connect(store_);
  ASSERT_TRUE(one_more);
  const auto answer = one_more->Call("x", json::object());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, EBUSY);
}

TEST_F(ControlServerTest, StorePathMayBeLongerThanASocketAddress) {
  for (int i = 0; i < 3; ++i) {
    store_ += "/" + std::string(100, 'a');
    ASSERT_EQ(::mkdir(store_.c_str(), 0700), 0);
  }
  const auto server = Start();
  ASSERT_NE(server, nullptr);
  EXPECT_TRUE(ControlClient::Connect(store_));
}

TEST_F(ControlServerTest, PeerOfAnotherUserIsTurnedAway) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: it connects as another user";
  const auto server = Start();
  ASSERT_EQ(::chmod(store_.c_str(), 0755), 0);
  ASSERT_EQ(::chmod((store_ + "/control.sock").c_str(), 0666), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr int kNobody = 65534;
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) ::_exit(1);
    auto client = ControlClient::Connect(store_);
    if (!client) ::_exit(2);
    const auto answer = client->Call("x", json::object());
    ::_exit(!answer && answer.error().code == EPERM ? 0 : 3);
  }
  int wait_status = 0;
  ASSERT_EQ(::waitpid(child, &wait_status, 0), child);
  EXPECT_EQ(WEXITSTATUS(wait_status), 0);
}

TEST_F(ControlServerTest, ErrorsKeepTheirCodeAndMessage) {
  const auto server = Start([](const Frame&) {
    return Frame{JsonText(ErrorToJson({ENOSPC, "pack 7: full"})), ""};
  });
  auto client = ControlClient::Connect(store_);
  ASSERT_TRUE(client);
  const auto answer = client->Call("x", json::object());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ENOSPC);
  EXPECT_EQ(answer.error().message, "pack 7: full");
}

TEST_F(ControlServerTest, AnswerWithoutAShapeIsAnError) {
  for (const char* header : {"", "[]", "{}", "nonsense", R"({"error":7})"}) {
    const auto server = Start([header](const Frame&) { return Frame{header, ""}; });
    auto client = ControlClient::Connect(store_);
    ASSERT_TRUE(client);
    const auto answer = client->Call("x", json::object());
    ASSERT_FALSE(answer) << header;
    EXPECT_EQ(answer.error().code, EPROTO) << header;
  }
}

}  // namespace
}  // namespace dedupfs

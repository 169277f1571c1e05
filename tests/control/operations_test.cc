#include "control/operations.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "chunkstore/base/bytes.h"
#include "control/error_names.h"
#include "fs/content/open_file.h"
#include "fs/file_system.h"
#include "tests/support/fault_disk.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

using nlohmann::json;

class OperationsTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string store = directory_.path() + "/store";
    ASSERT_TRUE(FileSystem::Format(store, {}));
    auto opened = FileSystem::Open(store, {});
    ASSERT_TRUE(opened) << opened.error().message;
    file_system_ = std::move(*opened);
    daemon_ = {store, "/mnt", "1.2.3", 42, false};
  }

  json Ask(const std::string& header) {
    const Frame answer = AnswerRequest(*file_system_, daemon_, {header, ""});
    return json::parse(answer.header, nullptr, false);
  }
  void Write(const std::string& name, const std::string& content) {
    Attributes attributes;
    auto file =
        file_system_->CreateAndOpen(kRootIno, name, 0100644, 2 /* O_RDWR */, Caller{}, attributes);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file_system_->Write(**file, 0, AsBytes(content), false));
    file_system_->Release(std::move(*file));
    file_system_->Forget(attributes.ino, 1);
  }

  TempDir directory_;
  DaemonInfo daemon_;
  std::unique_ptr<FaultDisk> disk_;  // where a test puts one below
  std::unique_ptr<Env> env_;
  std::unique_ptr<FileSystem> file_system_;
};

TEST_F(OperationsTest, StatsCountTwoCopiesOnce) {
  std::string content;
  for (int i = 0; i < 50'000; ++i) content += std::to_string(i * 7919) + "\n";
  Write("a", content);
  Write("b", content);
  ASSERT_EQ(Ask(R"({"operation":"sync"})").at("result").at("synced"), true);
  const json stats = Ask(R"({"operation":"stats","arguments":{}})").at("result");
  EXPECT_EQ(stats.at("logical_bytes"), 2 * content.size());
  EXPECT_EQ(stats.at("unique_bytes"), content.size());
  EXPECT_DOUBLE_EQ(stats.at("dedup_ratio").get<double>(), 2.0);
  EXPECT_GT(stats.at("compression_ratio").get<double>(), 1.0);
}

TEST_F(OperationsTest, ReclaimGivesBackTheSpaceOfDeletedFiles) {
  Write("a", std::string(300'000, 'x'));
  ASSERT_TRUE(Ask(R"({"operation":"sync"})").contains("result"));
  ASSERT_TRUE(file_system_->Unlink(kRootIno, "a"));
  EXPECT_TRUE(Ask(R"({"operation":"reclaim"})").at("result").contains("reclaimed_bytes"));
  EXPECT_EQ(Ask(R"({"operation":"recompress"})").at("result").at("packs"), 0);
  EXPECT_EQ(Ask(R"({"operation":"stats"})").at("result").at("logical_bytes"), 0);
}

TEST_F(OperationsTest, StatusTellsWhyTheStoreHasTurnedReadOnly) {
  file_system_.reset();
  disk_ = std::make_unique<FaultDisk>(directory_.path());
  env_ = NewFaultDiskEnv(*disk_);
  MountOptions options;
  options.disk = {.env = env_.get(), .database_files = NewFaultFileSystem(*disk_)};
  auto opened = FileSystem::Open(daemon_.store, options);
  ASSERT_TRUE(opened) << opened.error().message;
  file_system_ = std::move(*opened);
  Write("a", std::string(200'000, 'a'));
  disk_->FailCall({.sticky = true});
  EXPECT_TRUE(Ask(R"({"operation":"sync"})").contains("error"));
  const json status = Ask(R"({"operation":"status"})").at("result");
  EXPECT_EQ(status.at("healthy"), false);
  EXPECT_EQ(status.at("read_only"), true);
  EXPECT_NE(status.at("failure").get<std::string>().find("Input/output error"), std::string::npos);
  // The one step: open it again on a disk that is well.
  disk_->Heal();
  file_system_.reset();
  opened = FileSystem::Open(daemon_.store, options);
  ASSERT_TRUE(opened) << opened.error().message;
  file_system_ = std::move(*opened);
  EXPECT_EQ(Ask(R"({"operation":"status"})").at("result").at("healthy"), true);
  EXPECT_TRUE(Ask(R"({"operation":"sync"})").contains("result"));
}

TEST_F(OperationsTest, ACheckpointWantsAnAbsolutePathThatIsNotThere) {
  Write("a", "content");
  const std::string path = directory_.path() + "/checkpoint";
  const json request = {{"operation", "checkpoint"}, {"arguments", {{"directory", path}}}};
  EXPECT_EQ(Ask(request.dump()).at("result").at("directory"), path);
  EXPECT_TRUE(Ask(request.dump()).contains("error")) << "it is there already";
  for (const char* arguments : {"{}", R"({"directory":"here"})", R"({"directory":7})"}) {
    const json error =
        Ask(std::string(R"({"operation":"checkpoint","arguments":)") + arguments + "}").at("error");
    EXPECT_EQ(error.at("code"), "EINVAL") << arguments;
  }
}

TEST_F(OperationsTest, StatusTellsWhoServes) {
  const json status = Ask(R"({"operation":"status"})").at("result");
  EXPECT_EQ(status.at("store"), daemon_.store);
  EXPECT_EQ(status.at("mountpoint"), "/mnt");
  EXPECT_EQ(status.at("pid"), 42);
  EXPECT_EQ(status.at("version"), "1.2.3");
  EXPECT_EQ(status.at("healthy"), true);
  EXPECT_EQ(status.at("requests"), json::array());
  EXPECT_EQ(status.at("read_only"), false);
}

TEST_F(OperationsTest, AScrubRunsBesideAndItsStatusTellsItsEnd) {
  Write("a", std::string(300'000, 'x'));
  ASSERT_TRUE(Ask(R"({"operation":"sync"})").contains("result"));
  EXPECT_EQ(Ask(R"({"operation":"scrub_status"})").at("result").at("state"), "none");
  json scrub = Ask(R"({"operation":"scrub","arguments":{"restart":true}})").at("result");
  while (scrub.at("state") == "running") {
    scrub = Ask(R"({"operation":"scrub_status","arguments":{"wait_ms":1000}})").at("result");
  }
  EXPECT_EQ(scrub.at("state"), "finished");
  EXPECT_EQ(scrub.at("done_bytes"), scrub.at("total_bytes"));
  EXPECT_EQ(scrub.at("last").at("damaged_chunks"), 0);
  const json status = Ask(R"({"operation":"status"})").at("result");
  EXPECT_EQ(status.at("damaged_chunks"), 0);
  EXPECT_EQ(status.at("scrub").at("last"), scrub.at("last"));
  for (const char* operation : {"damaged_chunks", "damaged_files"}) {
    const json damage = Ask(json{{"operation", operation}}.dump()).at("result");
    EXPECT_TRUE(damage.at("next").is_null());
  }
}

TEST_F(OperationsTest, ACancelledScrubHasEndedWhenItIsAnswered) {
  std::string content;
  for (int i = 0; i < 50'000; ++i) content += std::to_string(i * 7919) + "\n";
  Write("a", content);
  ASSERT_TRUE(Ask(R"({"operation":"sync"})").contains("result"));
  const json scrub = Ask(R"({"operation":"scrub","arguments":{"bytes_per_second":1}})");
  ASSERT_EQ(scrub.at("result").at("state"), "running");
  EXPECT_EQ(Ask(R"({"operation":"scrub_cancel"})").at("result").at("state"), "cancelled");
}

TEST_F(OperationsTest, WrongArgumentsOfAScrubAreNamed) {
  const auto refused = [this](const char* operation, const json& arguments) -> json {
    const json error =
        Ask(json{{"operation", operation}, {"arguments", arguments}}.dump()).at("error");
    EXPECT_EQ(error.at("code"), "EINVAL");
    return error.at("message");
  };
  EXPECT_EQ(refused("scrub", {{"bytes_per_second", -1}}),
            "bytes_per_second: wants a number that is not negative");
  EXPECT_EQ(refused("scrub", {{"restart", 1}}), "restart: wants true or false");
  EXPECT_EQ(refused("scrub", {{"fast", 1}}), "scrub: unknown argument fast");
  EXPECT_EQ(refused("scrub", {{"", 1}}), "scrub: unknown argument ");
  EXPECT_EQ(refused("scrub_status", {{"wait_ms", "1"}}),
            "wait_ms: wants a number that is not negative");
  EXPECT_EQ(refused("damaged_chunks", {{"after", 1.5}}),
            "after: wants a number that is not negative");
  for (const json& next : {json(7), json::array(), json{1, 2}, json{1, -2, 3}, json{1, 2, "3"}}) {
    EXPECT_EQ(refused("damaged_files", {{"next", next}}),
              "next: wants what the answer before said");
  }
}

TEST_F(OperationsTest, UnknownOperationIsNamed) {
  const json error = Ask(R"({"operation":"explode"})").at("error");
  EXPECT_EQ(error.at("code"), "ENOSYS");
  EXPECT_EQ(error.at("errno"), ENOSYS);
  EXPECT_EQ(error.at("message"), "explode: no such operation");
}

TEST_F(OperationsTest, UnknownArgumentIsNamed) {
  const json error = Ask(R"({"operation":"stats","arguments":{"fast":1}})").at("error");
  EXPECT_EQ(error.at("code"), "EINVAL");
  EXPECT_EQ(error.at("message"), "stats: unknown argument fast");
}

TEST_F(OperationsTest, RequestsWithoutAShapeAreRefused) {
  for (const char* header : {"", "7", "[]", "{}", "{\"operation\":7}", "{\"operation\":",
                             "\xff\xfe", "{\"operation\":\"stats\",\"arguments\":[]}"}) {
    EXPECT_EQ(Ask(header).at("error").at("code"), "EINVAL") << header;
  }
}

TEST(StatsToJsonTest, RatiosOfAnEmptyStoreAreNull) {
  const json stats = StatsToJson({});
  EXPECT_TRUE(stats.at("dedup_ratio").is_null());
  EXPECT_TRUE(stats.at("compression_ratio").is_null());
  EXPECT_TRUE(stats.at("savings").is_null());
}

TEST(StatsToJsonTest, SavingsComeFromPhysicalBytes) {
  FileSystemStats stats;
  stats.store.logical_bytes = 1000;
  stats.store.unique_bytes = 500;
  stats.store.stored_bytes = 200;
  stats.store.pack_bytes = 240;
  stats.store.metadata_bytes = 10;
  const json result = StatsToJson(stats);
  EXPECT_DOUBLE_EQ(result.at("dedup_ratio").get<double>(), 2.0);
  EXPECT_DOUBLE_EQ(result.at("compression_ratio").get<double>(), 2.5);
  EXPECT_DOUBLE_EQ(result.at("savings").get<double>(), 0.75);
}

TEST(ErrorToJsonTest, HoldsNameNumberAndMessage) {
  const json error = ErrorToJson({ENOSPC, "full"}).at("error");
  EXPECT_EQ(error.at("code"), "ENOSPC");
  EXPECT_EQ(error.at("errno"), ENOSPC);
  EXPECT_EQ(error.at("message"), "full");
}

TEST(JsonTextTest, BytesThatAreNotUtf8DoNotFail) { EXPECT_NO_THROW(JsonText({{"name", "\xff"}})); }

TEST_F(OperationsTest, ProgressTellsThatNothingIsUnderWay) {
  Write("a", std::string(100'000, 'a'));
  ASSERT_EQ(Ask(R"({"operation":"recompress"})").count("error"), 0u);
  const json progress = Ask(R"({"operation":"progress"})").at("result");
  EXPECT_TRUE(progress.at("work").is_null());
  EXPECT_EQ(progress.at("total"), 0);
}

}  // namespace
}  // namespace dedupfs

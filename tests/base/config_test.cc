#include "chunkstore/base/config.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

class ConfigTest : public testing::Test {
 protected:
  Result<Config> Load(const std::string& content) const {
    std::ofstream(path_) << content;
    return LoadConfig(path_);
  }

  TempDir directory_;
  const std::string path_ = directory_.Join("dedupfs.toml");
};

TEST_F(ConfigTest, AMissingFileGivesTheDefaults) {
  const Result<Config> config = LoadConfig(directory_.Join("none.toml"));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->commit_interval_ms, Config().commit_interval_ms);
  EXPECT_EQ(config->log_level, "info");
}

TEST_F(ConfigTest, EverySettingIsRead) {
  const Result<Config> config = Load(R"(
# comment
metadata_cache_bytes = "512 MiB"
chunk_cache_bytes = 33554432
dirty_budget_bytes = "1GiB"
commit_interval_ms = 250
reserve_bytes = "0"
threads = 3
extra_copy_references = 100
log_level = "debug"
)");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->metadata_cache_bytes, 512ULL << 20);
  EXPECT_EQ(config->chunk_cache_bytes, 32ULL << 20);
  EXPECT_EQ(config->dirty_budget_bytes, 1ULL << 30);
  EXPECT_EQ(config->commit_interval_ms, 250U);
  EXPECT_EQ(config->reserve_bytes, 0U);
  EXPECT_EQ(config->threads, 3U);
  EXPECT_EQ(config->extra_copy_references, 100U);
  EXPECT_EQ(config->log_level, "debug");
}

TEST_F(ConfigTest, BadSettingsNameFileLineAndKey) {
  struct Case {
    std::string line, key;
  };
  const std::vector<Case> cases{
      {"chunk_cache_byts = 5", "chunk_cache_byts"},
      {"threads = \"many\"", "threads"},
      {"threads = -1", "threads"},
      {"threads = 1.5", "threads"},
      {"threads = 100000", "threads"},
      {"commit_interval_ms = 0", "commit_interval_ms"},
      {"commit_interval_ms = \"5 MiB\"", "commit_interval_ms"},
      {"chunk_cache_bytes = \"5 parsecs\"", "chunk_cache_bytes"},
      {"chunk_cache_bytes = \"99999999999 TiB\"", "chunk_cache_bytes"},
      {"chunk_cache_bytes = \"-1\"", "chunk_cache_bytes"},
      {"chunk_cache_bytes = true", "chunk_cache_bytes"},
      {"log_level = \"loud\"", "log_level"},
      {"log_level = 3", "log_level"},
      {"[section]\n", "section"},
  };
  for (const Case& one : cases) {
    const Result<Config> config = Load("reserve_bytes = 0\n\n" + one.line + "\n");
    ASSERT_FALSE(config) << one.line;
    EXPECT_EQ(config.error().code, EINVAL) << one.line;
    EXPECT_EQ(config.error().message.rfind(path_ + ":3: " + one.key + ": ", 0), 0U)
        << config.error().message;
  }
}

TEST_F(ConfigTest, BrokenSyntaxNamesFileAndLine) {
  const Result<Config> config = Load("threads = 1\nlog_level = \n");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, EINVAL);
  EXPECT_EQ(config.error().message.rfind(path_ + ":2: ", 0), 0U) << config.error().message;
}

TEST_F(ConfigTest, AHugeFileIsRefused) {
  const Result<Config> config = Load(std::string(2 << 20, '#'));
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, EFBIG);
}

}  // namespace
}  // namespace dedupfs

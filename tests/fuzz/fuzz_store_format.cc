// The files of a store that people can edit: the format file and dedupfs.toml. Any bytes give an
// error that names the file, or values within their bounds.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "chunkstore/base/config.h"
#include "chunkstore/base/error.h"
#include "chunkstore/chunking/chunker.h"
#include "fs/store_directory.h"

namespace dedupfs {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void FuzzFormat(const std::string& text) {
  const auto format = ParseStoreFormat("STORE/format", text);
  if (!format) {
    Require(format.error().code == EIO || format.error().code == EPROTO);
    Require(format.error().message.find("STORE/format") != std::string::npos);
    return;
  }
  const ChunkPolicy policy{ChunkingKind::kContentDefined, format->average_chunk_bytes};
  Require(ValidatePolicy(policy).has_value() && format->store_id.size() == 32);
  const std::string encoded = EncodeStoreFormat(*format);
  const auto again = ParseStoreFormat("STORE/format", encoded);
  Require(again && EncodeStoreFormat(*again) == encoded);
}

// One file for all inputs, removed when the program ends by itself.
class ConfigFile {
 public:
  ConfigFile() : fd_(::mkstemp(path_.data())) { Require(fd_ >= 0); }
  ~ConfigFile() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  const std::string& Fill(const std::string& text) {
    Require(::ftruncate(fd_, 0) == 0);
    Require(::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    return path_;
  }

 private:
  std::string path_ = "/tmp/fuzz_config_XXXXXX";
  const int fd_;
};

void FuzzConfig(const std::string& text) {
  static ConfigFile file;
  const std::string& path = file.Fill(text);
  const auto config = LoadConfig(path);
  if (!config) {
    Require(config.error().code == EINVAL);
    Require(config.error().message.find(path) != std::string::npos);
    return;
  }
  Require(config->dirty_budget_bytes >= 1 << 20 && config->dirty_budget_bytes <= 1ull << 40);
  Require(config->commit_interval_ms >= 10 && config->commit_interval_ms <= 600'000);
  Require(config->threads <= 1024);
  Require(config->recompress_level <= 19);
}

}  // namespace
}  // namespace dedupfs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  dedupfs::FuzzFormat(text);
  dedupfs::FuzzConfig(text);
  return 0;
}

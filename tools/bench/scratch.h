// What the micro-benchmarks and the guard share: a directory of their own, and an end to the
// program where something fails that a benchmark takes for granted.
//
// Thread safety: a ScratchDirectory is immutable once made; Must may be called concurrently.
// Ownership:     a ScratchDirectory removes what is in it; whoever has files there ends before it.
// Errors:        any ends the program with status 1 and a line to standard error.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "chunkstore/base/error.h"
#include "chunkstore/base/log.h"

namespace dedupfs {

[[noreturn]] inline void EndBadly(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

inline void Must(const Status& status) {
  if (!status) EndBadly(status.error().message);
}

template <typename T>
T Must(Result<T> result) {
  if (!result) EndBadly(result.error().message);
  return *std::move(result);
}

// Under TMPDIR (or /tmp). From the first on the log holds warnings only: other lines would stand
// between those of a benchmark.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    SetLogLevel("warn");
    const char* const base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr && *base != '\0' ? base : "/tmp") + "/dedupfs-bench-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) EndBadly("cannot make " + path_);
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::string Join(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace dedupfs

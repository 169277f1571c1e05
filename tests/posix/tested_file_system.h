// The two file systems that every rule is held against, each mounted once for the program: DedupFS,
// and ext4 in a loop image, which shows whether the rule itself is right.
//
// Thread safety: none; the program has one thread, so that children may be forked anywhere.
// Ownership:     each owns its mount and the process or image behind it, until Stop().
// Errors:        Start() and Remount() give the reason, fit for a skip or a failure.
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>
#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

class TestedFileSystem {
 public:
  virtual ~TestedFileSystem() = default;
  // Mounts; the directory exists.
  virtual Status Start() = 0;
  virtual Status Stop() = 0;  // an error too where the daemon died or lost something
  // Nothing of it may be open.
  virtual Status Remount(bool read_only) = 0;

  const std::string& root() const { return root_; }

 protected:
  explicit TestedFileSystem(std::string root) : root_(std::move(root)) {}

 private:
  std::string root_;
};

// Works below `directory`. ENODEV and "needs THING: why" where something is missing.
std::unique_ptr<TestedFileSystem> MakeExt4(const std::string& directory);
// Served by another process, so that limits, masks and mappings of the tests are not its own.
std::unique_ptr<TestedFileSystem> MakeDedupfs(const std::string& directory);


// The program of that process: main() calls it with what follows kServeArgument.
inline constexpr const char* kServeArgument = "--serve-dedupfs";
int ServeDedupfs(std::span<char* const> arguments);

}  // namespace dedupfs

#include "tools/dedupfs/store_path.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/mount_table.h"

namespace dedupfs {
namespace {

struct FreeDeleter {
  void operator()(char* text) const { std::free(text); }  // NOLINT: realpath(3) allocates so
};

Result<std::string> RealPath(const std::string& path) {
  const std::unique_ptr<char, FreeDeleter> real(::realpath(path.c_str(), nullptr));
  if (real == nullptr) return FailErrno(path);
  return std::string(real.get());
}

// The last component as it is, whatever it is.
Result<std::string> WithRealParent(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  DEDUPFS_ASSIGN_OR_RETURN(std::string real_parent, RealPath(parent));
  if (real_parent != "/") real_parent += '/';
  return real_parent + path.substr(slash == std::string::npos ? 0 : slash + 1);
}

}  // namespace

Result<std::string> AbsolutePath(const std::string& path) {
  if (path.empty()) return Fail(ENOENT, "an empty path names nothing");
  Result<std::string> whole = RealPath(path);
  if (whole || whole.error().code == ENOENT || whole.error().code == ENOTDIR) return whole;
  return WithRealParent(path);
}

Result<std::string> AbsoluteNewPath(const std::string& path) {
  Result<std::string> whole = AbsolutePath(path);
  if (whole || path.empty() || whole.error().code != ENOENT) return whole;
  return WithRealParent(path);
}

Result<std::string> StoreOf(const std::string& target) {
  DEDUPFS_ASSIGN_OR_RETURN(std::string path, AbsolutePath(target));
  DEDUPFS_ASSIGN_OR_RETURN(const std::optional<MountEntry> mount, FindMount(path));
  if (mount && mount->mountpoint == path) path = mount->source;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return FailErrno(path);
  if (!S_ISDIR(info.st_mode)) return Fail(ENOTDIR, path + ": is no directory");
  return path;
}

bool IsInside(const std::string& inner, const std::string& outer) {
  if (inner == outer || outer == "/") return true;
  return inner.size() > outer.size() && inner.starts_with(outer) && inner[outer.size()] == '/';
}

}  // namespace dedupfs

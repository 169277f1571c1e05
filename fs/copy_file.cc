#include "fs/copy_file.h"

#include <array>
#include <cstddef>
#include <memory>

namespace dedupfs {
namespace {

constexpr size_t kCopyBytes = 1 << 20;

}  // namespace

Status CopyFile(Env& env, const std::string& from, const std::string& to,
                const std::function<void(uint64_t bytes)>& copied) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto in, env.OpenForRead(from));
  DEDUPFS_ASSIGN_OR_RETURN(const auto out, env.Create(to));
  Buffer buffer(kCopyBytes);
  for (uint64_t at = 0;;) {
    DEDUPFS_ASSIGN_OR_RETURN(const size_t got, in->ReadAt(at, buffer));
    if (got == 0) break;
    const std::array<Bytes, 1> pieces{Bytes(buffer).first(got)};
    DEDUPFS_RETURN_IF_ERROR(out->Append(pieces));
    at += got;
    if (copied) copied(got);
  }
  return out->Sync();
}

}  // namespace dedupfs

#include "chunkstore/space_guard.h"

#include <cerrno>
#include <utility>

namespace dedupfs {
namespace {

constexpr uint64_t kAskEveryBytes = 32ull << 20;
constexpr std::chrono::milliseconds kAskEvery{100};

}  // namespace

SpaceGuard::SpaceGuard(Env& env, std::string directory, uint64_t reserve_bytes)
    : env_(env), directory_(std::move(directory)), reserve_bytes_(reserve_bytes) {}

Status SpaceGuard::Check(uint64_t bytes) {
  MutexLock lock(mutex_);
  const bool stale = !known_ || granted_ + bytes > kAskEveryBytes ||
                     std::chrono::steady_clock::now() - asked_at_ >= kAskEvery;
  if (stale || !Fits(bytes)) DEDUPFS_RETURN_IF_ERROR(Refresh());
  if (!Fits(bytes)) {
    return Fail(ENOSPC, "only " + std::to_string(available_) + " bytes are available in " +
                            directory_ + ", of which " + std::to_string(reserve_bytes_) +
                            " are kept in reserve");
  }
  granted_ += bytes;
  return Ok();
}

Status SpaceGuard::Refresh() {
  DEDUPFS_ASSIGN_OR_RETURN(const SpaceInfo space, env_.Space(directory_));
  available_ = space.available;
  granted_ = 0;
  asked_at_ = std::chrono::steady_clock::now();
  known_ = true;
  return Ok();
}

bool SpaceGuard::Fits(uint64_t bytes) const {
  const uint64_t left = available_ > granted_ ? available_ - granted_ : 0;
  return left >= reserve_bytes_ && left - reserve_bytes_ >= bytes;
}

}  // namespace dedupfs

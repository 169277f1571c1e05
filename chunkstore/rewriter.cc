#include "chunkstore/rewriter.h"

#include <algorithm>
#include <exception>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/log.h"
#include "chunkstore/chunk_table.h"

namespace dedupfs {
namespace {

using std::chrono::milliseconds;

constexpr double kIdleShare = 0.5;
// Over so long the cores must have been idle, and so long the thread rests after each pack.
constexpr milliseconds kPause{1000};
constexpr milliseconds kShortestQuiet{1};

}  // namespace

Rewriter::Rewriter(RewriteParts parts, Reclaimer& reclaim, milliseconds quiet,
                   std::function<double()> idle_share)
    : parts_(std::move(parts)),
      reclaim_(reclaim),
      quiet_(std::max(quiet, kShortestQuiet)),
      idle_share_(std::move(idle_share)) {}

void Rewriter::Start(bool rewrites, OtherWork other_work) {
  rewrites_ = rewrites;
  other_work_ = std::move(other_work);
  thread_ = std::thread([this] {
    try {
      Work();
    } catch (const std::exception& error) {
      LogError("rewrite_thread_ended", error.what());
    }
  });
}

void Rewriter::Stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Rewriter::NoteUse() {
  last_use_.store(Clock::now());
  uses_.fetch_add(1);
}

bool Rewriter::Stopping() {
  MutexLock lock(mutex_);
  return stopping_;
}

bool Rewriter::Rest(milliseconds time) {
  const auto until = Clock::now() + time;
  MutexLock lock(mutex_);
  while (!stopping_ && changed_.WaitUntil(lock, until)) {
  }
  return !stopping_;
}

void Rewriter::Work() {
  NameThisThread("rewrite");
  uint64_t settled = 0;  // nothing is to be done as long as nobody has used the store since
  while (Rest(quiet_)) {
    const uint64_t uses = uses_.load();
    if (uses == settled || Clock::now() - last_use_.load() < quiet_) continue;
    while (uses_.load() == uses) {
      idle_share_();  // the share of the pause alone: what we did before it does not count
      if (!Rest(std::min(quiet_, kPause))) return;
      if (uses_.load() != uses || idle_share_() < kIdleShare) break;
      if (!(rewrites_ && RewriteNext(uses)) && !DoOtherWork(uses)) {
        settled = uses;
        break;
      }
    }
  }
}

bool Rewriter::RewriteNext(uint64_t uses) {
  const auto candidates = Candidates();
  if (!candidates) {
    LogOnce(candidates.error());
    return false;
  }
  std::map<PackId, PackRow> left;
  for (const auto& [pack, row] : *candidates) {
    const auto known = left_.find(pack);
    if (known != left_.end() && known->second == row) left.emplace(pack, row);
  }
  left_ = std::move(left);
  const auto next = std::find_if(candidates->begin(), candidates->end(),
                                 [this](const auto& one) { return left_.count(one.first) == 0; });
  if (next == candidates->end()) return false;
  const PackId pack = next->first;
  const auto interrupted = [&] { return Stopping() || uses_.load() != uses; };
  const auto moved = Rewrite(pack, interrupted);
  if (!moved) {
    LogOnce(moved.error());
    return false;
  }
  last_error_.clear();
  if (interrupted()) return true;
  const auto rows = LoadPackRows(parts_.kv, {&pack, 1});
  if (rows && (*rows)[0].row) left_[pack] = *(*rows)[0].row;
  return true;
}

bool Rewriter::DoOtherWork(uint64_t uses) {
  if (!other_work_) return false;
  const auto more = other_work_([&] { return Stopping() || uses_.load() != uses; });
  if (more) return *more;
  LogOnce(more.error());
  return false;
}

Result<std::vector<std::pair<PackId, PackRow>>> Rewriter::Candidates() {
  std::vector<std::pair<PackId, PackRow>> candidates;
  const auto rows = parts_.kv.Iterate(Family::kPack, "", "");
  for (; rows->Valid(); rows->Next()) {
    if (rows->key().size() != sizeof(PackId)) continue;  // for check to tell
    const PackId pack = ParseBigU64(rows->key());
    const auto row = ParsePackRow(rows->value(), pack);
    if (!row || !IsWorthRewriting(*row) || parts_.packs.IsOpen(pack)) continue;
    candidates.emplace_back(pack, *row);
  }
  DEDUPFS_RETURN_IF_ERROR(rows->status());
  return candidates;
}

Result<MoveOutcome> Rewriter::Rewrite(PackId pack, const std::function<bool()>& cancelled) {
  MoveOutcome moved;
  {
    const Reclaimer::Turn turn(reclaim_);
    DEDUPFS_ASSIGN_OR_RETURN(moved, PackRewrite(parts_, pack).Run(cancelled));
  }
  if (moved.chunks == 0) return moved;
  LogInfo("pack_rewritten", "pack=" + std::to_string(pack) +
                                " chunks=" + std::to_string(moved.chunks) +
                                " bytes_before=" + std::to_string(moved.bytes_before) +
                                " bytes_after=" + std::to_string(moved.bytes_after));
  // Now and not after all: rewriting a store then takes the room of a pack, not of a store.
  const auto dropped = reclaim_.DropIfDead(pack);
  if (!dropped) LogWarn("reclaim_failed", dropped.error().message);
  return moved;
}

Result<RewriteReport> Rewriter::Everything(const std::function<bool()>& cancelled,
                                           const WorkProgress& progress) {
  const Status sealed = parts_.packs.SealOpen();
  if (!sealed) parts_.failure.SetUnlessFull(sealed.error());
  DEDUPFS_RETURN_IF_ERROR(sealed);
  DEDUPFS_ASSIGN_OR_RETURN(const auto candidates, Candidates());
  RewriteReport report;
  uint64_t done = 0;
  uint64_t total = 0;
  for (const auto& [pack, row] : candidates) total += row.live_bytes;
  for (const auto& [pack, row] : candidates) {
    if (cancelled && cancelled()) break;
    if (progress) progress(done, total);
    done += row.live_bytes;
    DEDUPFS_ASSIGN_OR_RETURN(const MoveOutcome moved, Rewrite(pack, cancelled));
    if (moved.chunks > 0) ++report.packs;
    report.bytes_before += moved.bytes_before;
    report.bytes_after += moved.bytes_after;
  }
  if (!cancelled || !cancelled()) DEDUPFS_RETURN_IF_ERROR(reclaim_.Everything());
  return report;
}

void Rewriter::LogOnce(const Error& error) {
  if (error.message == last_error_) return;
  last_error_ = error.message;
  LogWarn("rewrite_failed", error.message);
}

}  // namespace dedupfs

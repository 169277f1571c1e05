// Finds the packs that are worth rewriting, and has them rewritten: all at once when asked, or one
// after another by a thread, while the store is quiet and the cores idle. Where none is left, the
// thread makes extra copies, by the same rules.
//
// Thread safety: every method may be called concurrently. A pack is rewritten in the turn of the
//                reclaimer; between two packs others get theirs.
// Ownership:     borrows everything in its parts; owns its thread.
// Durability:    as PackRewrite; a pack is removed only once the moves out of it are durable.
// Errors:        the thread logs an error once, and rests until the store has been used again.
// Units:         bytes.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "chunkstore/base/mutex.h"
#include "chunkstore/chunk_store.h"
#include "chunkstore/pack_rewrite.h"
#include "chunkstore/reclaim.h"

namespace dedupfs {

class Rewriter {
 public:
  // Other work for the thread, when there is nothing to rewrite: a piece of it, false if there was
  // none. Asks the argument whether to end early.
  using OtherWork = std::function<Result<bool>(const std::function<bool()>& cancelled)>;

  // `idle_share` gives the idle share of the cores since it was last asked, from 0 to 1.
  Rewriter(RewriteParts parts, Reclaimer& reclaim, std::chrono::milliseconds quiet,
           std::function<double()> idle_share);
  ~Rewriter() { Stop(); }

  // Without `rewrites` the thread does the other work alone.
  void Start(bool rewrites, OtherWork other_work);
  // Joins the thread; of the pack at hand, what is compressed is moved.
  void Stop() EXCLUDES(mutex_);
  // Somebody uses the store: the thread lets go of the pack at hand, and waits for quiet.
  void NoteUse();

  // Rewrites every pack that is worth it now, the open one too, and drops what is dead then.
  // `progress`, if there is one, gets stored bytes, after each pack.
  Result<RewriteReport> Everything(const std::function<bool()>& cancelled,
                                   const WorkProgress& progress);

 private:
  using Clock = std::chrono::steady_clock;

  void Work();
  // False once the thread is to end.
  bool Rest(std::chrono::milliseconds time) EXCLUDES(mutex_);
  bool Stopping() EXCLUDES(mutex_);
  // False if there is nothing that is worth it, or an error came in the way.
  bool RewriteNext(uint64_t uses);
  bool DoOtherWork(uint64_t uses);
  Result<std::vector<std::pair<PackId, PackRow>>> Candidates();
  Result<MoveOutcome> Rewrite(PackId pack, const std::function<bool()>& cancelled);
  void LogOnce(const Error& error);

  const RewriteParts parts_;
  Reclaimer& reclaim_;
  const std::chrono::milliseconds quiet_;
  const std::function<double()> idle_share_;
  bool rewrites_ = true;
  OtherWork other_work_;  // may be empty
  std::atomic<uint64_t> uses_{1};
  std::atomic<Clock::time_point> last_use_{Clock::now()};

  // The thread's own: packs that could not be emptied, as they were left. One that has not changed
  // since is not tried again.
  std::map<PackId, PackRow> left_;
  std::string last_error_;

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace dedupfs

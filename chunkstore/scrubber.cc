#include "chunkstore/scrubber.h"

#include <cerrno>
#include <exception>
#include <string>
#include <utility>

#include "chunkstore/base/log.h"
#include "chunkstore/base/thread_pool.h"

namespace dedupfs {
namespace {

std::string Sums(const ScrubRecord& record) {
  return "packs=" + std::to_string(record.packs_done) +
         " of=" + std::to_string(record.packs_total) + " chunks=" + std::to_string(record.chunks) +
         " damaged=" + std::to_string(record.damaged);
}

}  // namespace

Status Scrubber::Start(const ScrubOptions& options) {
  MutexLock lock(mutex_);
  if (stopping_) return Fail(EINTR, "the store is being closed");
  if (status_.state == ScrubStatus::State::kRunning) {
    if (options.restart) return Fail(EBUSY, "a scrub is running: cancel it first");
    pace_.Set(options.bytes_per_second, Clock::now());
    changed_.NotifyAll();
    return Ok();
  }
  // Its last deed under the lock was to say that it has ended.
  if (thread_.joinable()) thread_.join();
  DEDUPFS_ASSIGN_OR_RETURN(const ScrubRecord record, LoadScrubRecord(parts_.kv));
  status_ = ScrubStatus{};
  status_.record = options.restart || !record.under_way ? NewPass(record) : record;
  cancelled_ = false;
  started_ = Clock::now();
  pace_.Set(options.bytes_per_second, started_);
  thread_ = std::thread([this, restart = options.restart] { Work(restart); });
  status_.state = ScrubStatus::State::kRunning;  // only where there is a thread to end it
  return Ok();
}

void Scrubber::Cancel() {
  MutexLock lock(mutex_);
  cancelled_ = true;
  changed_.NotifyAll();
}

Result<ScrubStatus> Scrubber::Wait(std::chrono::milliseconds time) {
  const auto until = Clock::now() + time;
  MutexLock lock(mutex_);
  while (status_.state == ScrubStatus::State::kRunning && changed_.WaitUntil(lock, until)) {
  }
  ScrubStatus status = status_;
  if (status.state == ScrubStatus::State::kNone) {
    DEDUPFS_ASSIGN_OR_RETURN(status.record, LoadScrubRecord(parts_.kv));
  } else if (status.state == ScrubStatus::State::kRunning) {
    status.seconds_left = SecondsLeft(status.run_bytes, Clock::now() - started_,
                                      status.record.bytes_total - status.record.bytes_done);
  }
  return status;
}

void Scrubber::Stop() {
  std::thread ended;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
    ended = std::move(thread_);
  }
  if (ended.joinable()) ended.join();
}

void Scrubber::NoteCopies(uint64_t healed, uint64_t damaged_copies) {
  MutexLock lock(mutex_);
  status_.run_healed += healed;
  status_.run_damaged_copies += damaged_copies;
}

bool Scrubber::GoOn(const ScrubRecord& record, uint64_t bytes) {
  MutexLock lock(mutex_);
  status_.record = record;
  status_.run_bytes += bytes;
  pace_.Add(bytes, Clock::now());
  while (!cancelled_ && !stopping_ && pace_.Due() > Clock::now()) {
    changed_.WaitUntil(lock, pace_.Due());
  }
  return !cancelled_ && !stopping_;
}

void Scrubber::Work(bool restart) {
  NameThisThread("scrub");
  Result<bool> ended = false;
  try {
    ended = ScrubPass(parts_, [this](const ScrubRecord& record, uint64_t bytes) {
              return GoOn(record, bytes);
            }).Run(restart);
  } catch (const std::exception& error) {
    ended = Fail(EIO, error.what());
  }
  const auto saved = LoadScrubRecord(parts_.kv);
  MutexLock lock(mutex_);
  if (saved) status_.record = *saved;  // without what a cancelled run had begun
  if (!ended) {
    status_.state = ScrubStatus::State::kFailed;
    status_.error = ended.error().message;
    LogError("scrub_failed", Sums(status_.record) + " error=\"" + status_.error + "\"");
  } else {
    status_.state = *ended ? ScrubStatus::State::kFinished : ScrubStatus::State::kCancelled;
    LogInfo(*ended ? "scrub_finished" : "scrub_cancelled",
            Sums(status_.record) + " healed=" + std::to_string(status_.run_healed));
  }
  changed_.NotifyAll();
}

}  // namespace dedupfs

// Commits the changes of files: chunks, recipes, counts, sizes and times together or not at all.
//
// Thread safety: every method may be called concurrently for different files; the caller holds
//                flush_mutex of each file given.
// Ownership:     borrows everything given to the constructor.
// Durability:    Commit and Log write one atomic batch through ChunkStore::Commit, so it never
//                names bytes that are not durable; kSynced makes it durable before the return.
// Errors:        Commit returns the first error that concerns the store (ENOSPC, EROFS). An error of
//                one file alone is kept in its FileState; the others are committed. Where a chunk
//                beside an edit is damaged (EIO), the changes are logged instead. Changes that were
//                not committed stay dirty.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "chunkstore/base/kv.h"
#include "chunkstore/chunk_store.h"
#include "fs/content/choose_policy.h"
#include "fs/content/file_state.h"

namespace dedupfs {

// What decides about the policy of a file: its name and its library's rule.
struct PolicyHints {
  std::string name;
  std::string library_rule;
};

class Committer {
 public:
  using HintsOf = std::function<PolicyHints(Ino)>;

  using PathOf = std::function<std::string(Ino)>;

  // `path_of` names a file in messages.
  Committer(Kv& kv, ChunkStore& chunks, uint32_t average, HintsOf hints_of, PathOf path_of)
      : kv_(kv),
        chunks_(chunks),
        average_(average),
        hints_of_(std::move(hints_of)),
        path_of_(std::move(path_of)) {}

  Status Commit(std::span<const FilePtr> files, Durability durability);

  // Writes the changes as dirty extents, to be chunked later. EIO where a copied range is among them.
  Status Log(FileState& file, Durability durability);
  // True if what is not logged yet is small and the file has not gathered much in the log.
  static bool MayLog(FileState& file);

  // Keeps `error` for the handles of the file, and logs it with the file's path.
  void KeepError(FileState& file, const Error& error) const;

 private:
  struct Plan;

  // Snapshots and rechunks one file into `plan`; new chunks go to the sink.
  Status Prepare(Plan& plan, class ChunkSink& sink);
  Status ChooseFor(Plan& plan, class ContentView& view);
  // Adds the plan's rows and counts.
  Status AddRows(Plan& plan, Batch& batch, std::vector<CountChange>& changes);
  static void Finish(Plan& plan);

  Kv& kv_;
  ChunkStore& chunks_;
  const uint32_t average_;
  const HintsOf hints_of_;
  const PathOf path_of_;
};

}  // namespace dedupfs

// Renaming, replacing and exchanging names.
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "chunkstore/base/mutex.h"
#include "fs/namespace/inode_flags.h"
#include "fs/namespace/namespace.h"
#include "fs/namespace/namespace_core.h"

namespace dedupfs {
namespace {

constexpr int kMaxDepth = 1 << 20;  // a longer way up is a loop, which only corruption makes

struct Request {
  Ino parent;
  std::string_view name;
  Ino new_parent;
  std::string_view new_name;
  unsigned flags;
};

// What the two names were when nothing was locked yet.
struct Plan {
  DentrySlot from;
  std::optional<DentrySlot> to;
  Ino to_ino() const { return to ? to->entry->ino : 0; }
  bool exchange_moves_directory(unsigned flags) const {
    return (flags & RENAME_EXCHANGE) != 0 && to && S_ISDIR(to->entry->type);
  }
};

struct Outcome {
  bool done = false;  // false: the names have changed meanwhile, plan again
  std::optional<Unlinked> unlinked;
};

std::string DirectoryText(Ino ino) { return "directory inode " + std::to_string(ino); }

Result<Plan> MakePlan(NamespaceCore& core, const Request& request) {
  Plan plan;
  DEDUPFS_ASSIGN_OR_RETURN(auto from, core.dentries.Find(request.parent, request.name));
  if (!from) return Fail(ENOENT, "no such name in " + DirectoryText(request.parent));
  plan.from = *std::move(from);
  DEDUPFS_ASSIGN_OR_RETURN(plan.to, core.dentries.Find(request.new_parent, request.new_name));
  if (plan.to && (request.flags & RENAME_NOREPLACE) != 0) {
    return Fail(EEXIST, "name taken in " + DirectoryText(request.new_parent));
  }
  if (!plan.to && (request.flags & RENAME_EXCHANGE) != 0) {
    return Fail(ENOENT, "nothing to exchange with in " + DirectoryText(request.new_parent));
  }
  return plan;
}

Result<bool> IsStill(NamespaceCore& core, const Request& request, const Plan& plan) {
  DEDUPFS_ASSIGN_OR_RETURN(const auto from, core.dentries.Find(request.parent, request.name));
  if (!from || from->cookie != plan.from.cookie || from->entry->ino != plan.from.entry->ino) {
    return false;
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto to, core.dentries.Find(request.new_parent, request.new_name));
  if (to.has_value() != plan.to.has_value()) return false;
  return !to || (to->cookie == plan.to->cookie && to->entry->ino == plan.to->entry->ino);
}

// EINVAL if `moved` is `directory` or above it. Requires that no directory moves meanwhile.
Status CheckNotAbove(NamespaceCore& core, Ino moved, Ino directory) {
  Ino at = directory;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    if (at == moved) return Fail(EINVAL, DirectoryText(moved) + " into itself");
    if (at == kRootIno) return Ok();
    DEDUPFS_ASSIGN_OR_RETURN(const auto record, core.Load(at));
    at = record.parent;
  }
  return Corrupt(DirectoryText(directory) + " is not below the root");
}

Status CheckReplace(const InodeRecord& moved, const InodeRecord& replaced, Ino ino) {
  if (!IsDirectory(replaced)) {
    return IsDirectory(moved) ? Fail(ENOTDIR, "inode " + std::to_string(ino)) : Ok();
  }
  if (!IsDirectory(moved)) return Fail(EISDIR, DirectoryText(ino));
  return replaced.entries == 0 ? Ok() : Fail(ENOTEMPTY, DirectoryText(ino));
}

void SetPlace(InodeRecord& record, Ino parent, uint64_t cookie, Time now) {
  record.parent = parent;
  record.cookie = cookie;
  record.ctime = now;
}

// All records of one rename; parent and new_parent may be the same object.
struct Records {
  InodeRecord* parent = nullptr;
  InodeRecord* new_parent = nullptr;
  InodeRecord* moved = nullptr;
  InodeRecord* other = nullptr;  // what the new name meant, or null
};

Result<Records> LoadAll(NameChange& change, const Request& request, const Plan& plan) {
  Records out;
  DEDUPFS_ASSIGN_OR_RETURN(out.parent, change.LoadParent(request.parent));
  DEDUPFS_ASSIGN_OR_RETURN(out.new_parent, change.LoadParent(request.new_parent));
  DEDUPFS_ASSIGN_OR_RETURN(out.moved, change.Load(plan.from.entry->ino));
  if (plan.to) {
    DEDUPFS_ASSIGN_OR_RETURN(out.other, change.Load(plan.to_ino()));
  }
  return out;
}

Status CheckFlags(const Request& request, const Plan& plan, const Records& records) {
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(*records.parent, request.parent));
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(*records.moved, plan.from.entry->ino));
  if (records.other == nullptr) return CheckTakesEntries(*records.new_parent, request.new_parent);
  DEDUPFS_RETURN_IF_ERROR(CheckNotProtected(*records.new_parent, request.new_parent));
  return CheckNotProtected(*records.other, plan.to_ino());
}

void CountMovedDirectory(InodeRecord& from, InodeRecord& to) {
  if (from.nlink > 2) --from.nlink;
  ++to.nlink;
}

Status CheckRoomForDirectory(const InodeRecord& from, const InodeRecord& to, Ino ino) {
  if (&from == &to || to.nlink < kMaxLinks) return Ok();
  return Fail(EMLINK, DirectoryText(ino) + ": too many directories");
}

Status Exchange(NameChange& change, const Request& request, const Plan& plan, Records& records) {
  const bool first = IsDirectory(*records.moved), second = IsDirectory(*records.other);
  if (first && !second) {
    DEDUPFS_RETURN_IF_ERROR(
        CheckRoomForDirectory(*records.parent, *records.new_parent, request.new_parent));
    CountMovedDirectory(*records.parent, *records.new_parent);
  } else if (second && !first) {
    DEDUPFS_RETURN_IF_ERROR(
        CheckRoomForDirectory(*records.new_parent, *records.parent, request.parent));
    CountMovedDirectory(*records.new_parent, *records.parent);
  }
  Dentry here = *plan.to->entry;
  Dentry there = *plan.from.entry;
  here.name = request.name;
  there.name = request.new_name;
  change.PutEntry(request.parent, plan.from.cookie, here);
  change.PutEntry(request.new_parent, plan.to->cookie, there);
  SetPlace(*records.moved, request.new_parent, plan.to->cookie, change.now());
  SetPlace(*records.other, request.parent, plan.from.cookie, change.now());
  return Ok();
}

Result<std::optional<Unlinked>> Move(NamespaceCore& core, NameChange& change,
                                     const Request& request, const Plan& plan, Records& records) {
  std::optional<Unlinked> unlinked;
  uint64_t cookie = 0;
  const bool directory = IsDirectory(*records.moved);
  if (plan.to) {
    // The new name keeps its entry, so whoever lists the directory meanwhile does not miss it.
    cookie = plan.to->cookie;
    DEDUPFS_RETURN_IF_ERROR(CheckReplace(*records.moved, *records.other, plan.to_ino()));
    if (IsDirectory(*records.other) && records.new_parent->nlink > 2) --records.new_parent->nlink;
    unlinked = change.DropName(plan.to_ino(), *records.other, request.new_parent, cookie);
  } else {
    DEDUPFS_ASSIGN_OR_RETURN(const auto slot,
                             core.dentries.Probe(request.new_parent, request.new_name));
    cookie = slot.cookie;
    ++records.new_parent->entries;
  }
  if (directory) {
    DEDUPFS_RETURN_IF_ERROR(
        CheckRoomForDirectory(*records.parent, *records.new_parent, request.new_parent));
    CountMovedDirectory(*records.parent, *records.new_parent);
  }
  if (records.parent->entries > 0) --records.parent->entries;
  change.DeleteEntry(request.parent, plan.from.cookie);
  Dentry entry = *plan.from.entry;
  entry.name = request.new_name;
  change.PutEntry(request.new_parent, cookie, entry);
  SetPlace(*records.moved, request.new_parent, cookie, change.now());
  return unlinked;
}

Result<Outcome> Try(NamespaceCore& core, const Request& request, const Plan& plan) {
  const Ino moved = plan.from.entry->ino;
  const InodeLocks::Guard guard(core.locks,
                                {request.parent, request.new_parent, moved, plan.to_ino()});
  DEDUPFS_ASSIGN_OR_RETURN(const bool still, IsStill(core, request, plan));
  if (!still) return Outcome{};
  if (moved == plan.to_ino()) return Outcome{true, std::nullopt};
  NameChange change(core);
  DEDUPFS_ASSIGN_OR_RETURN(Records records, LoadAll(change, request, plan));
  DEDUPFS_RETURN_IF_ERROR(CheckFlags(request, plan, records));
  Outcome outcome{true, std::nullopt};
  if ((request.flags & RENAME_EXCHANGE) != 0) {
    DEDUPFS_RETURN_IF_ERROR(Exchange(change, request, plan, records));
  } else {
    DEDUPFS_ASSIGN_OR_RETURN(outcome.unlinked, Move(core, change, request, plan, records));
  }
  ChangedEntries(*records.parent, change.now());
  ChangedEntries(*records.new_parent, change.now());
  DEDUPFS_RETURN_IF_ERROR(change.Commit());
  return outcome;
}

Result<Outcome> TryMovingDirectory(NamespaceCore& core, const Request& request, const Plan& plan) {
  const MutexLock lock(core.directory_renames);
  if (S_ISDIR(plan.from.entry->type)) {
    DEDUPFS_RETURN_IF_ERROR(CheckNotAbove(core, plan.from.entry->ino, request.new_parent));
  }
  if (plan.exchange_moves_directory(request.flags)) {
    DEDUPFS_RETURN_IF_ERROR(CheckNotAbove(core, plan.to_ino(), request.parent));
  }
  return Try(core, request, plan);
}

Status CheckRequest(NamespaceCore& core, const Request& request) {
  if (request.flags != 0 && request.flags != RENAME_NOREPLACE && request.flags != RENAME_EXCHANGE) {
    return Fail(EINVAL, "unknown rename flags");
  }
  DEDUPFS_RETURN_IF_ERROR(CheckName(request.name));
  DEDUPFS_RETURN_IF_ERROR(CheckName(request.new_name));
  if (IsDotName(request.name) || IsDotName(request.new_name)) {
    return Fail(EINVAL, "the name . or ..");
  }
  for (const Ino ino : {request.parent, request.new_parent}) {
    DEDUPFS_ASSIGN_OR_RETURN(const auto record, core.Load(ino));
    if (!IsDirectory(record)) return Fail(ENOTDIR, "inode " + std::to_string(ino));
  }
  return Ok();
}

}  // namespace

Result<std::optional<Unlinked>> Namespace::Rename(Ino parent, std::string_view name, Ino new_parent,
                                                  std::string_view new_name, unsigned flags) {
  const Request request{parent, name, new_parent, new_name, flags};
  DEDUPFS_RETURN_IF_ERROR(CheckRequest(*parts_, request));
  for (;;) {
    DEDUPFS_ASSIGN_OR_RETURN(const Plan plan, MakePlan(*parts_, request));
    const bool moves_directory = parent != new_parent && (S_ISDIR(plan.from.entry->type) ||
                                                          plan.exchange_moves_directory(flags));
    DEDUPFS_ASSIGN_OR_RETURN(const Outcome outcome, moves_directory
                                                        ? TryMovingDirectory(*parts_, request, plan)
                                                        : Try(*parts_, request, plan));
    if (outcome.done) return outcome.unlinked;
  }
}

}  // namespace dedupfs

// What a crash may leave of one writer's files, by what was done to them and what was synced
// (docs/crash-consistency.md lists the promises).
//
// Every change is told before it is made, and what a sync secured after it returned. So the model
// is right at whatever instant the crash comes.
//
// Thread safety: one thread at a time for each model.
// Ownership:     shares the contents that it is told.
// Units:         sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace dedupfs {

using Content = std::shared_ptr<const std::string>;  // null: no such file

// One name's content after a crash: one of several, or a beginning, or each byte of either.
struct Expectation {
  enum class Kind { kOneOf, kBeginsWith, kEachByteOfEither };
  Kind kind = Kind::kOneOf;
  std::vector<Content> contents;  // kBeginsWith: one, not null; kEachByteOfEither: two of one size

  bool Holds(const Content& found) const;
  std::string Describe() const;
  // The one content that must be there, or null where that is not known or no file.
  Content Certain() const;
};

class CrashModel {
 public:
  // What was last written, whether it was synced or not.
  const std::map<std::string, Content>& current() const { return current_; }
  Content CurrentOf(const std::string& name) const;

  // Created or emptied, then written: until a sync the name may be anything that can be read.
  void WillRewrite(const std::string& name, const Content& content);
  void WillAppend(const std::string& name, const Content& whole);
  // Bytes change in place, the size does not.
  void WillOverwrite(const std::string& name, const Content& whole);
  // Cut off or extended with zeros, by one call.
  void WillResize(const std::string& name, const Content& whole);
  // A file is renamed to `name`; `moved_is_synced`: what is moved there was synced.
  void WillReplace(const std::string& name, const Content& content, bool moved_is_synced);
  void WillDelete(const std::string& name);
  // The call that was told by WillReplace or WillDelete has returned.
  void NameChanged(const std::string& name);

  // A sync of the file returned: its content, and every earlier change of a name.
  void FileSynced(const std::string& name);
  // A sync of a directory returned.
  void NamesSynced();

  // After the crash: what is wrong, a line for each name.
  std::vector<std::string> Faults(const std::map<std::string, Content>& found) const;
  // What was found is durable from now on.
  void Settle(const std::map<std::string, Content>& found);

  size_t expectations() const { return expected_.size(); }
  uint64_t acknowledged() const { return acknowledged_; }  // syncs that returned, ever

 private:
  const Expectation* Find(const std::string& name) const;
  void Change(const std::string& name, const Content& content);
  void Expect(const std::string& name, Expectation expectation);

  std::map<std::string, Expectation> expected_;
  std::map<std::string, Content> current_;
  // Names that a call changed which has returned, and what the next sync makes certain of them.
  std::map<std::string, Content> changed_names_;
  std::set<std::string> known_after_change_;  // WillReplace or WillDelete, until NameChanged
  uint64_t acknowledged_ = 0;
};

}  // namespace dedupfs

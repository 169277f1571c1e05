#include "tools/dedupfs/selftest/crash_model.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dedupfs {
namespace {

bool Same(const Content& a, const Content& b) {
  return a == nullptr || b == nullptr ? a == b : *a == *b;
}

bool IsMixture(const std::string& found, const std::string& before, const std::string& after) {
  if (found.size() != before.size()) return false;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] != before[i] && found[i] != after[i]) return false;
  }
  return true;
}

std::string SizeOf(const Content& content) {
  return content == nullptr ? "no file" : std::to_string(content->size()) + " bytes";
}

std::string DescribeFound(const Content& found, const Expectation& expectation) {
  if (found == nullptr) return "missing";
  std::string text = std::to_string(found->size()) + " bytes";
  const Content wanted = expectation.contents.back();
  if (wanted != nullptr) {
    const size_t common = std::min(found->size(), wanted->size());
    const auto difference = std::mismatch(
        found->begin(), found->begin() + static_cast<std::ptrdiff_t>(common), wanted->begin());
    text += ", equal to byte " + std::to_string(difference.first - found->begin());
  }
  return text;
}

}  // namespace

bool Expectation::Holds(const Content& found) const {
  switch (kind) {
    case Kind::kOneOf:
      return std::any_of(contents.begin(), contents.end(),
                         [&found](const Content& content) { return Same(content, found); });
    case Kind::kBeginsWith:
      return found != nullptr && found->starts_with(*contents[0]);
    case Kind::kEachByteOfEither:
      return found != nullptr && IsMixture(*found, *contents[0], *contents[1]);
  }
  return false;
}

std::string Expectation::Describe() const {
  switch (kind) {
    case Kind::kBeginsWith:
      return "a file that begins with " + SizeOf(contents[0]) + " that were synced";
    case Kind::kEachByteOfEither:
      return SizeOf(contents[0]) + ", each as before the overwrite or after it";
    case Kind::kOneOf:
      break;
  }
  std::string text;
  for (const Content& content : contents) text += (text.empty() ? "" : " or ") + SizeOf(content);
  return text;
}

Content Expectation::Certain() const {
  return kind == Kind::kOneOf && contents.size() == 1 ? contents[0] : nullptr;
}

Content CrashModel::CurrentOf(const std::string& name) const {
  const auto found = current_.find(name);
  return found == current_.end() ? nullptr : found->second;
}

const Expectation* CrashModel::Find(const std::string& name) const {
  const auto found = expected_.find(name);
  return found == expected_.end() ? nullptr : &found->second;
}

// The name is another one from here on: what was known of it no longer holds.
void CrashModel::Change(const std::string& name, const Content& content) {
  expected_.erase(name);
  changed_names_.erase(name);
  known_after_change_.erase(name);
  if (content == nullptr) {
    current_.erase(name);
  } else {
    current_[name] = content;
  }
}

void CrashModel::Expect(const std::string& name, Expectation expectation) {
  expected_[name] = std::move(expectation);
}

void CrashModel::WillRewrite(const std::string& name, const Content& content) {
  Change(name, content);
}

void CrashModel::WillAppend(const std::string& name, const Content& whole) {
  const Expectation* const known = Find(name);
  Content beginning = known == nullptr ? nullptr : known->Certain();
  if (known != nullptr && known->kind == Expectation::Kind::kBeginsWith) {
    beginning = known->contents[0];
  }
  Change(name, whole);
  if (beginning != nullptr) Expect(name, {Expectation::Kind::kBeginsWith, {beginning}});
}

void CrashModel::WillOverwrite(const std::string& name, const Content& whole) {
  const Expectation* const known = Find(name);
  const Content before = known == nullptr ? nullptr : known->Certain();
  Change(name, whole);
  if (before == nullptr || before->size() != whole->size()) return;
  Expect(name, {Expectation::Kind::kEachByteOfEither, {before, whole}});
}

void CrashModel::WillResize(const std::string& name, const Content& whole) {
  const Expectation* const known = Find(name);
  const Content before = known == nullptr ? nullptr : known->Certain();
  Change(name, whole);
  if (before != nullptr) Expect(name, {Expectation::Kind::kOneOf, {before, whole}});
}

void CrashModel::WillReplace(const std::string& name, const Content& content,
                             bool moved_is_synced) {
  const Expectation* const known = Find(name);
  std::vector<Content> possible;
  if (known != nullptr && known->kind == Expectation::Kind::kOneOf) possible = known->contents;
  const bool may_be_absent =
      std::any_of(possible.begin(), possible.end(), [](const Content& c) { return c == nullptr; });
  // Only what replaces a file is committed before the rename; a name that was free promises what
  // a plain rename does.
  const bool is_over_file = CurrentOf(name) != nullptr;
  Change(name, content);
  if (!possible.empty() && (moved_is_synced || (is_over_file && !may_be_absent))) {
    possible.push_back(content);
    Expect(name, {Expectation::Kind::kOneOf, std::move(possible)});
  }
  if (moved_is_synced || is_over_file) known_after_change_.insert(name);
}

void CrashModel::WillDelete(const std::string& name) {
  const Expectation* const known = Find(name);
  std::vector<Content> possible;
  if (known != nullptr && known->kind == Expectation::Kind::kOneOf) possible = known->contents;
  Change(name, nullptr);
  known_after_change_.insert(name);
  if (possible.empty()) return;
  possible.push_back(nullptr);
  Expect(name, {Expectation::Kind::kOneOf, std::move(possible)});
}

void CrashModel::NameChanged(const std::string& name) {
  if (known_after_change_.erase(name) > 0) changed_names_[name] = CurrentOf(name);
}

void CrashModel::FileSynced(const std::string& name) {
  NamesSynced();
  Expect(name, {Expectation::Kind::kOneOf, {CurrentOf(name)}});
}

void CrashModel::NamesSynced() {
  ++acknowledged_;
  for (const auto& [name, content] : changed_names_) {
    Expect(name, {Expectation::Kind::kOneOf, {content}});
  }
  changed_names_.clear();
}

std::vector<std::string> CrashModel::Faults(const std::map<std::string, Content>& found) const {
  std::vector<std::string> faults;
  for (const auto& [name, expectation] : expected_) {
    const auto at = found.find(name);
    const Content content = at == found.end() ? nullptr : at->second;
    if (expectation.Holds(content)) continue;
    faults.push_back(name + ": " + DescribeFound(content, expectation) +
                     "; promised: " + expectation.Describe());
  }
  return faults;
}

void CrashModel::Settle(const std::map<std::string, Content>& found) {
  expected_.clear();
  changed_names_.clear();
  known_after_change_.clear();
  current_ = found;
  for (const auto& [name, content] : found) {
    Expect(name, {Expectation::Kind::kOneOf, {content}});
  }
}

}  // namespace dedupfs

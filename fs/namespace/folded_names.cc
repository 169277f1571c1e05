#include "fs/namespace/folded_names.h"

#include <algorithm>

#include "fs/namespace/case_fold.h"

namespace dedupfs {

std::optional<std::vector<uint64_t>> FoldedNames::Find(Ino directory, std::string_view folded) {
  const uint64_t hash = hash_(folded);
  const MutexLock lock(mutex_);
  const auto known = directories_.find(directory);
  if (known == directories_.end() || known->second.scan != 0) return std::nullopt;
  known->second.asked = ++clock_;
  std::vector<uint64_t> cookies;
  const auto [begin, end] = known->second.cookies.equal_range(hash);
  for (auto at = begin; at != end; ++at) cookies.push_back(at->second);
  std::sort(cookies.begin(), cookies.end());
  return cookies;
}

bool FoldedNames::Scan::Add(std::string_view folded, uint64_t cookie) {
  too_many_ = too_many_ || entries_.size() >= names_->most_entries_;
  if (!too_many_) entries_.emplace_back(names_->hash_(folded), cookie);
  return !too_many_;
}

std::optional<FoldedNames::Scan> FoldedNames::Begin(Ino directory) {
  const MutexLock lock(mutex_);
  const auto [at, is_new] = directories_.try_emplace(directory);
  if (!is_new) return std::nullopt;
  // Before the scan looks: whoever adds an entry after that finds the directory here.
  remembered_.store(directories_.size());
  at->second.scan = ++clock_;
  at->second.asked = at->second.scan;
  Scan scan;
  scan.names_ = this;
  scan.directory_ = directory;
  scan.number_ = at->second.scan;
  return scan;
}

void FoldedNames::End(const Scan& scan, bool whole) {
  const MutexLock lock(mutex_);
  const auto at = directories_.find(scan.directory_);
  if (at == directories_.end() || at->second.scan != scan.number_) return;
  if (!whole || scan.too_many_) {
    Forget(at);
    return;
  }
  at->second.scan = 0;
  at->second.cookies.reserve(at->second.cookies.size() + scan.entries_.size());
  for (const auto& [hash, cookie] : scan.entries_) Insert(at->second, hash, cookie);
  ForgetTheOldest();
}

void FoldedNames::Added(Ino directory, std::string_view name, uint64_t cookie) {
  if (remembered_.load() == 0) return;
  const MutexLock lock(mutex_);
  const auto known = directories_.find(directory);
  if (known == directories_.end()) return;
  Insert(known->second, hash_(FoldCase(name)), cookie);
  ForgetTheOldest();
}

void FoldedNames::Insert(Directory& directory, uint64_t hash, uint64_t cookie) {
  const auto [begin, end] = directory.cookies.equal_range(hash);
  const bool known =
      std::any_of(begin, end, [cookie](const auto& at) { return at.second == cookie; });
  if (known) return;
  directory.cookies.emplace(hash, cookie);
  ++entries_;
}

void FoldedNames::Forget(Directories::iterator directory) {
  entries_ -= directory->second.cookies.size();
  directories_.erase(directory);
  remembered_.store(directories_.size());
}

void FoldedNames::ForgetTheOldest() {
  while (entries_ > most_entries_ || directories_.size() > kMostDirectories) {
    Forget(std::min_element(
        directories_.begin(), directories_.end(),
        [](const auto& a, const auto& b) { return a.second.asked < b.second.asked; }));
  }
}

}  // namespace dedupfs

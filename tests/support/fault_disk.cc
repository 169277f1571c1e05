#include "tests/support/fault_disk.h"

#include <string_view>

namespace dedupfs {

FaultDisk::FaultDisk(std::string root) : root_(std::move(root)) { model_.Import(root_); }

uint64_t FaultDisk::Now() const {
  MutexLock lock(mutex_);
  return record_.size();
}

std::vector<DiskCall> FaultDisk::Record() const {
  MutexLock lock(mutex_);
  return record_;
}

void FaultDisk::FailCall(const Fault& fault) {
  MutexLock lock(mutex_);
  fault_ = fault;
  victim_.reset();
}

void FaultDisk::Heal() {
  MutexLock lock(mutex_);
  fault_.reset();
}

std::optional<FaultDisk::Victim> FaultDisk::victim() const {
  MutexLock lock(mutex_);
  return victim_;
}

std::optional<std::string> FaultDisk::Relative(const std::string& path) const {
  if (!path.starts_with(root_)) return std::nullopt;
  std::string rest = path.substr(root_.size());
  if (!rest.empty() && rest.front() != '/') return std::nullopt;
  while (rest.starts_with('/')) rest.erase(0, 1);
  while (rest.ends_with('/')) rest.pop_back();
  for (size_t at = 0; (at = rest.find("//", at)) != std::string::npos;) rest.erase(at, 1);
  if (!IsSimulated(rest)) return std::nullopt;
  return rest;
}

int FaultDisk::Look(const std::string& call, const std::string& path) {
  MutexLock lock(mutex_);
  return Hit(call, path);
}

uint64_t FaultDisk::FileAt(const std::string& path) const {
  MutexLock lock(mutex_);
  return model_.FileAt(path);
}

uint64_t FaultDisk::SizeOf(uint64_t file) const {
  MutexLock lock(mutex_);
  return model_.SizeOf(file);
}

bool FaultDisk::Has(const std::string& path) const {
  const auto relative = Relative(path);
  MutexLock lock(mutex_);
  return relative.has_value() && model_.Exists(*relative);
}

int FaultDisk::Hit(const std::string& call, const std::string& path) {
  if (!fault_) return 0;
  if (fault_->nth > 1) {
    --fault_->nth;
    return 0;
  }
  if (!victim_) victim_ = Victim{call, path};
  const int code = fault_->code;
  if (!fault_->sticky) fault_.reset();
  return code;
}

void FaultDisk::Note(DiskCall call) {
  model_.Apply(call);
  if (call.kind == DiskCall::Kind::kCreate) {
    const uint64_t number = model_.FileAt(call.path);
    if (paths_.size() < number) paths_.resize(number);
    paths_[number - 1] = call.path;
  }
  record_.push_back(std::move(call));
}

std::string FaultDisk::PathOf(const DiskCall& call) const {
  if (!call.path.empty() || call.file == 0 || call.file > paths_.size()) return call.path;
  return paths_[call.file - 1];
}

}  // namespace dedupfs

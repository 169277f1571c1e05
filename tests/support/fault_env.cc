#include "tests/support/fault_env.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "chunkstore/base/bytes.h"
#include "chunkstore/base/error.h"
#include "chunkstore/base/mutex.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

constexpr uint64_t kTornStep = 512;

tl::unexpected<Error> FailPath(int code, const std::string& path) {
  return Fail(code, path + ": " + std::generic_category().message(code));
}

std::string WithoutTrailingSlashes(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

std::string LastName(const std::string& path) {
  const std::string clean = WithoutTrailingSlashes(path);
  return clean.substr(clean.rfind('/') + 1);
}

}  // namespace

// A file or a directory, as it is now and as the disk has it.
struct FaultEnv::Node {
  explicit Node(bool directory) : is_directory(directory) {}

  const bool is_directory;
  std::string content, synced;
  Names names, synced_names;
};

class FaultEnv::OpenFile : public File {
 public:
  OpenFile(FaultEnv& env, std::shared_ptr<Node> node, std::string path, bool may_append,
           uint64_t power_cuts)
      : env_(env),
        node_(std::move(node)),
        path_(std::move(path)),
        may_append_(may_append),
        power_cuts_(power_cuts) {}

  Result<size_t> ReadAt(uint64_t offset, MutableBytes out) override {
    MutexLock lock(env_.mutex_);
    DEDUPFS_RETURN_IF_ERROR(env_.Enter(Op::kReadAt, path_));
    DEDUPFS_RETURN_IF_ERROR(CheckPower(env_.power_cuts_));
    if (offset >= node_->content.size()) return size_t{0};
    const size_t size = std::min<size_t>(out.size(), node_->content.size() - offset);
    if (size > 0) std::memcpy(out.data(), node_->content.data() + offset, size);
    return size;
  }

  Status Append(std::span<const Bytes> pieces) override {
    MutexLock lock(env_.mutex_);
    const std::optional<Fault> fault = env_.Hit(Op::kAppend);
    DEDUPFS_RETURN_IF_ERROR(CheckPower(env_.power_cuts_));
    if (!may_append_) return FailPath(EBADF, path_);
    std::string bytes;
    for (const Bytes piece : pieces) bytes.append(AsText(piece));
    if (fault && fault->short_append) bytes.resize(bytes.size() / 2);
    if (!fault || fault->short_append) node_->content.append(bytes);
    if (fault) return FailPath(fault->code, path_);
    return Ok();
  }

  Status Sync() override {
    MutexLock lock(env_.mutex_);
    Status entered = env_.Enter(Op::kSync, path_);
    DEDUPFS_RETURN_IF_ERROR(CheckPower(env_.power_cuts_));
    if (sync_errno_ == 0 && !entered) sync_errno_ = entered.error().code;
    if (sync_errno_ != 0) return FailPath(sync_errno_, path_);
    node_->synced = node_->content;
    return Ok();
  }

  Result<uint64_t> Size() override {
    MutexLock lock(env_.mutex_);
    DEDUPFS_RETURN_IF_ERROR(env_.Enter(Op::kSize, path_));
    DEDUPFS_RETURN_IF_ERROR(CheckPower(env_.power_cuts_));
    return uint64_t{node_->content.size()};
  }

 private:
  Status CheckPower(uint64_t power_cuts) const {
    if (power_cuts == power_cuts_) return Ok();
    return Fail(EIO, path_ + ": opened before a power cut");
  }

  FaultEnv& env_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
  const bool may_append_;
  const uint64_t power_cuts_;
  int sync_errno_ = 0;  // under env_.mutex_
};

FaultEnv::FaultEnv(const std::string& root)
    : root_(WithoutTrailingSlashes(root)), root_node_(std::make_shared<Node>(true)) {
  constexpr uint64_t kDisk = uint64_t{1} << 40;
  space_ = {.total = kDisk,
            .free = kDisk / 2,
            .available = kDisk / 2,
            .files = 1'000'000,
            .files_free = 500'000};
}

FaultEnv::~FaultEnv() = default;

void FaultEnv::Inject(const Fault& fault) {
  MutexLock lock(mutex_);
  faults_.push_back(fault);
}

void FaultEnv::ClearFaults() {
  MutexLock lock(mutex_);
  faults_.clear();
}

uint64_t FaultEnv::Calls(Op op) const {
  MutexLock lock(mutex_);
  return calls_[static_cast<size_t>(op)];
}

uint64_t FaultEnv::Calls() const {
  MutexLock lock(mutex_);
  uint64_t total = 0;
  for (const uint64_t calls : calls_) total += calls;
  return total;
}

std::optional<FaultEnv::Fault> FaultEnv::Hit(Op op) {
  ++calls_[static_cast<size_t>(op)];
  std::optional<Fault> hit;
  for (auto fault = faults_.begin(); fault != faults_.end();) {
    if (fault->op && *fault->op != op) {
      ++fault;
      continue;
    }
    if (fault->nth > 1) {
      --fault->nth;
      ++fault;
      continue;
    }
    if (!hit) hit = *fault;
    fault = fault->sticky ? fault + 1 : faults_.erase(fault);
  }
  return hit;
}

Status FaultEnv::Enter(Op op, const std::string& path) {
  if (const std::optional<Fault> fault = Hit(op)) return FailPath(fault->code, path);
  return Ok();
}

Result<std::shared_ptr<FaultEnv::Node>> FaultEnv::Find(const std::string& path) const {
  if (!path.starts_with(root_)) return FailPath(ENOENT, path);
  std::string_view rest = std::string_view(path).substr(root_.size());
  if (!rest.empty() && rest.front() != '/') return FailPath(ENOENT, path);
  std::shared_ptr<Node> node = root_node_;
  while (true) {
    while (rest.starts_with('/')) rest.remove_prefix(1);
    if (rest.empty()) return node;
    const std::string name(rest.substr(0, rest.find('/')));
    rest.remove_prefix(name.size());
    if (!node->is_directory) return FailPath(ENOTDIR, path);
    const auto found = node->names.find(name);
    if (found == node->names.end()) return FailPath(ENOENT, path);
    node = found->second;
  }
}

Result<std::shared_ptr<FaultEnv::Node>> FaultEnv::FindParent(const std::string& path) const {
  const std::string clean = WithoutTrailingSlashes(path);
  if (clean == root_) return FailPath(EBUSY, path);
  DEDUPFS_ASSIGN_OR_RETURN(std::shared_ptr<Node> parent,
                           Find(clean.substr(0, clean.rfind('/') + 1)));
  if (!parent->is_directory) return FailPath(ENOTDIR, path);
  return parent;
}

Result<std::shared_ptr<FaultEnv::Node>> FaultEnv::FindFile(const std::string& path) const {
  DEDUPFS_ASSIGN_OR_RETURN(std::shared_ptr<Node> node, Find(path));
  if (node->is_directory) return FailPath(EISDIR, path);
  return node;
}

void FaultEnv::Cut(Node& node, Random* torn) {
  if (node.is_directory) {
    if (torn != nullptr && torn->OneIn(2)) node.synced_names = node.names;
    node.names = node.synced_names;
    for (auto& [name, child] : node.names) Cut(*child, torn);
    return;
  }
  // Content only grows, but for Truncate(), which changes both at once.
  const uint64_t unsynced = node.content.size() - node.synced.size();
  uint64_t kept = 0;
  if (torn != nullptr && unsynced > 0) {
    kept = std::min(unsynced, torn->Below(unsynced / kTornStep + 2) * kTornStep);
  }
  node.content.resize(node.synced.size() + kept);
  node.synced = node.content;
}

void FaultEnv::PowerCut(Random* torn) {
  MutexLock lock(mutex_);
  ++power_cuts_;
  faults_.clear();
  Cut(*root_node_, torn);
}

Status FaultEnv::FlipBit(const std::string& path, uint64_t offset, unsigned bit) {
  MutexLock lock(mutex_);
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, FindFile(path));
  if (offset >= node->content.size() || bit >= 8) return FailPath(EINVAL, path);
  const auto mask = static_cast<char>(static_cast<uint8_t>(1U << bit));
  node->content[offset] = static_cast<char>(node->content[offset] ^ mask);
  if (offset < node->synced.size()) node->synced[offset] = node->content[offset];
  return Ok();
}

Status FaultEnv::Truncate(const std::string& path, uint64_t size) {
  MutexLock lock(mutex_);
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, FindFile(path));
  if (size > node->content.size()) return FailPath(EINVAL, path);
  node->content.resize(size);
  if (size < node->synced.size()) node->synced.resize(size);
  return Ok();
}

void FaultEnv::SetSpace(const SpaceInfo& space) {
  MutexLock lock(mutex_);
  space_ = space;
}

Result<std::unique_ptr<File>> FaultEnv::Create(const std::string& path) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kCreate, path));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> parent, FindParent(path));
  const auto [entry, added] = parent->names.emplace(LastName(path), nullptr);
  if (!added) return FailPath(EEXIST, path);
  entry->second = std::make_shared<Node>(false);
  return std::make_unique<OpenFile>(*this, entry->second, path, true, power_cuts_);
}

Result<std::unique_ptr<File>> FaultEnv::OpenForRead(const std::string& path) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kOpen, path));
  DEDUPFS_ASSIGN_OR_RETURN(std::shared_ptr<Node> node, FindFile(path));
  return std::make_unique<OpenFile>(*this, std::move(node), path, false, power_cuts_);
}

Status FaultEnv::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kRename, from));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(from));
  if (node->is_directory) return FailPath(ENOTSUP, from);
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> old_parent, FindParent(from));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> new_parent, FindParent(to));
  std::shared_ptr<Node>& target = new_parent->names[LastName(to)];
  if (target == node) return Ok();
  if (target != nullptr && target->is_directory) return FailPath(EISDIR, to);
  target = node;
  old_parent->names.erase(LastName(from));
  return Ok();
}

Status FaultEnv::Remove(const std::string& path) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kRemove, path));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(path));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> parent, FindParent(path));
  if (!node->names.empty()) return FailPath(ENOTEMPTY, path);
  parent->names.erase(LastName(path));
  return Ok();
}

Status FaultEnv::MakeDir(const std::string& path) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kMakeDir, path));
  if (WithoutTrailingSlashes(path) == root_) return FailPath(EEXIST, path);
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> parent, FindParent(path));
  const auto [entry, added] = parent->names.emplace(LastName(path), nullptr);
  if (!added) return FailPath(EEXIST, path);
  entry->second = std::make_shared<Node>(true);
  return Ok();
}

Status FaultEnv::SyncDir(const std::string& path) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kSyncDir, path));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(path));
  if (!node->is_directory) return FailPath(ENOTDIR, path);
  node->synced_names = node->names;
  return Ok();
}

Result<std::vector<std::string>> FaultEnv::List(const std::string& path) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kList, path));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(path));
  if (!node->is_directory) return FailPath(ENOTDIR, path);
  std::vector<std::string> names;
  names.reserve(node->names.size());
  for (const auto& [name, child] : node->names) names.push_back(name);
  return names;
}

Result<SpaceInfo> FaultEnv::Space(const std::string& path) {
  MutexLock lock(mutex_);
  DEDUPFS_RETURN_IF_ERROR(Enter(Op::kSpace, path));
  DEDUPFS_ASSIGN_OR_RETURN(const std::shared_ptr<Node> node, Find(path));
  return space_;
}

}  // namespace dedupfs

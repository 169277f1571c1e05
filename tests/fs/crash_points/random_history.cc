#include "tests/fs/crash_points/random_history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace dedupfs {
namespace {

constexpr size_t kPoolBytes = 400'000;
constexpr const char* kDirectories[] = {"", "one/", "two/"};

}  // namespace

RandomHistory::RandomHistory(RecordedStore& store, Random& random)
    : store_(store), random_(random), pool_(random.Bytes(kPoolBytes)) {}

// Duplicates, zeros, text or fresh bytes.
std::string RandomHistory::Content(size_t limit) {
  const size_t size = random_.Between(1, limit);
  switch (random_.Below(4)) {
    case 0:
      return pool_.substr(random_.Below(kPoolBytes - size), size);
    case 1:
      return std::string(size, '\0');
    case 2: {
      std::string text;
      while (text.size() < size) text += "line " + std::to_string(random_.Below(1000)) + "\n";
      return text.substr(0, size);
    }
    default:
      return random_.Bytes(size);
  }
}

std::string RandomHistory::PickFile() {
  std::vector<std::string> files;
  for (const auto& [path, ino] : store_.history().names()) {
    if (path != "one" && path != "two") files.push_back(path);
  }
  return files.empty() ? "" : files[random_.Below(files.size())];
}

std::string RandomHistory::FreePath() {
  const auto& names = store_.history().names();
  std::string directory = kDirectories[random_.Below(3)];
  if (!directory.empty() && !names.contains(directory.substr(0, directory.size() - 1))) {
    directory.clear();
  }
  return directory + "file" + std::to_string(next_name_++);
}

Status RandomHistory::Step() {
  History& h = store_.history();
  const std::string path = PickFile();
  constexpr size_t kFiles = 12;
  if (path.empty() || (h.names().size() < kFiles && random_.OneIn(4))) {
    for (const char* const directory : {"one", "two"}) {
      if (!h.names().contains(directory) && random_.OneIn(2)) return h.MakeDirectory(directory);
    }
    const std::string fresh = FreePath();
    DEDUPFS_RETURN_IF_ERROR(h.MakeFile(fresh));
    return h.Write(fresh, 0, Content(60'000));
  }
  const uint64_t kind = random_.Below(10);
  if (kind < 4) return ChangeContent(path);
  if (kind < 7) return ChangeNames(path);
  return SyncOrTidy(path);
}

Status RandomHistory::ChangeContent(const std::string& path) {
  History& h = store_.history();
  const uint64_t size = h.ContentOf(path).size();
  switch (random_.Below(5)) {
    case 0:
      DEDUPFS_RETURN_IF_ERROR(h.Truncate(path, 0, true));
      return h.Write(path, 0, Content(80'000));
    case 1:
      return h.Truncate(path, random_.Below(size + 10'000) + 1);
    case 2: {
      const std::string from = PickFile();
      const uint64_t length = h.ContentOf(from).size();
      if (from == path || h.names().at(from) == h.names().at(path) || length == 0) return Ok();
      return h.Copy(from, 0, path, random_.Below(3) * 4096, length);
    }
    case 3:
      return h.Write(path, random_.Below(size + 5000), Content(1000));
    default:
      return h.Write(path, random_.Below(size + 5000), Content(150'000));
  }
}

Status RandomHistory::ChangeNames(const std::string& path) {
  History& h = store_.history();
  const std::string other = PickFile();
  switch (random_.Below(4)) {
    case 0:
      return h.Link(path, FreePath());
    case 1:
      return h.Rename(path, FreePath());
    case 2:
      // Two names of one inode: rename does nothing.
      if (h.names().at(other) == h.names().at(path)) return Ok();
      return h.Rename(path, other);
    default:
      return h.Unlink(path);
  }
}

Status RandomHistory::SyncOrTidy(const std::string& path) {
  History& h = store_.history();
  switch (random_.Below(8)) {
    case 0:
      return h.SyncAll();
    case 1:
      return h.FsyncDirectory("");
    case 2:
      return h.Reclaim();
    case 3:
      if (random_.OneIn(3)) return h.Recompress();
      return h.Reclaim();
    case 4:
      if (!random_.OneIn(3)) return h.Fsync(path);
      DEDUPFS_RETURN_IF_ERROR(store_.Close());
      return store_.Open();
    default:
      return h.Fsync(path);
  }
}

void TryRandomHistory(uint64_t seed, int steps, uint64_t points) {
  Random random(seed);
  RecordedStore store;
  ASSERT_TRUE(store.Format());
  ASSERT_TRUE(store.Open());
  RandomHistory history(store, random);
  for (int step = 0; step < steps; ++step) {
    const Status done = history.Step();
    ASSERT_TRUE(done) << "step " << step << ": " << done.error().message;
  }
  ASSERT_TRUE(store.Close());
  const uint64_t stride = std::max<uint64_t>(1, store.disk().Now() / points);
  store.TryEveryCrash(random.Below(stride), stride, 1, random.Next());
}

}  // namespace dedupfs

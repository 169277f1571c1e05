// Many threads changing the same names: no deadlock, and a whole tree after.
#include <atomic>
#include <cstdio>
#include <thread>

#include "tests/fs/namespace/namespace_fixture.h"
#include "tests/support/random.h"

namespace dedupfs {
namespace {

class NamespaceConcurrencyTest : public NamespaceFixture {
 protected:
  static constexpr int kThreads = 6;
  static bool IsExpected(int code) {
    return code == 0 || code == ENOENT || code == EEXIST || code == ENOTEMPTY || code == EINVAL ||
           code == EISDIR || code == ENOTDIR || code == ESTALE;
  }
  // Runs `body` on some threads, each with its own random numbers.
  template <typename Body>
  void OnThreads(uint64_t seed, const Body& body) {
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&body, i, seed] {
        Random random(seed + static_cast<uint64_t>(i));
        body(random);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

TEST_F(NamespaceConcurrencyTest, RenamesBetweenDirectoriesKeepTheTree) {
  std::vector<Ino> dirs = {kRootIno};
  for (int i = 0; i < 6; ++i) dirs.push_back(Dir(kRootIno, "d" + std::to_string(i)));
  for (const Ino dir : dirs) {
    for (int i = 0; i < 4; ++i) File(dir, "f" + std::to_string(i));
  }
  std::atomic<int> unexpected{0}, renamed{0};
  OnThreads(TestSeed(), [&](Random& random) {
    for (int i = 0; i < 400; ++i) {
      const Ino from = dirs[random.Below(dirs.size())], to = dirs[random.Below(dirs.size())];
      const char* const kinds[] = {"f", "d"};
      const std::string kind = kinds[random.Below(2)];
      const std::string name = kind + std::to_string(random.Below(6));
      const std::string new_name = kind + std::to_string(random.Below(6));
      const unsigned flags = random.OneIn(4) ? RENAME_EXCHANGE : RENAME_NOREPLACE;
      const int code = CodeOf(ns_->Rename(from, name, to, new_name, flags));
      if (!IsExpected(code)) ++unexpected;
      if (code == 0) ++renamed;
    }
  });
  EXPECT_EQ(unexpected, 0);
  EXPECT_GT(renamed, 0);
  EXPECT_TRUE(Problems().empty()) << Problems().front();
  for (const Ino dir : dirs) EXPECT_NE(ns_->PathOf(dir).front(), 'i') << "not below the root";
}

TEST_F(NamespaceConcurrencyTest, MixedChangesKeepTheTreeAlsoWhileItIsChecked) {
  std::atomic<int> unexpected{0};
  std::atomic<bool> running{true};
  const Ino dirs[] = {kRootIno, Dir(kRootIno, "x"), Dir(kRootIno, "y")};
  std::vector<std::string> seen;
  std::thread checker([&] {
    while (running) {
      const Status checked = ns_->Check([&](Ino ino, const std::string& problem) {
        seen.push_back(std::to_string(ino) + ": " + problem);
      });
      if (!checked) seen.push_back(checked.error().message);
    }
  });
  OnThreads(TestSeed(), [&](Random& random) {
    for (int i = 0; i < 400; ++i) {
      const Ino dir = dirs[random.Below(3)], other = dirs[random.Below(3)];
      const std::string name = std::to_string(random.Below(8));
      const std::string new_name = std::to_string(random.Below(8));
      int code = 0;
      switch (random.Below(6)) {
        case 0:
          code = CodeOf(Make(dir, name, S_IFREG | 0644));
          break;
        case 1:
          code = CodeOf(Make(dir, name, S_IFDIR | 0755));
          break;
        case 2:
          code = CodeOf(ns_->Unlink(dir, name));
          break;
        case 3:
          code = CodeOf(ns_->RemoveDirectory(dir, name));
          break;
        case 4:
          code = CodeOf(ns_->Rename(dir, name, other, new_name, 0));
          break;
        default:
          code = CodeOf(ns_->Lookup(dir, name));
          break;
      }
      if (!IsExpected(code)) ++unexpected;
    }
  });
  running = false;
  checker.join();
  EXPECT_EQ(unexpected, 0);
  EXPECT_TRUE(seen.empty()) << seen.front();
  EXPECT_TRUE(Problems().empty()) << Problems().front();
}

TEST_F(NamespaceConcurrencyTest, OneOfManyCreatorsWins) {
  for (int round = 0; round < 50; ++round) {
    const std::string name = "n" + std::to_string(round);
    std::atomic<int> won{0};
    OnThreads(0, [&](Random&) {
      if (Make(kRootIno, name, S_IFREG | 0644)) ++won;
    });
    EXPECT_EQ(won, 1);
  }
  EXPECT_EQ(Entries(kRootIno).size(), 50u);
}

}  // namespace
}  // namespace dedupfs

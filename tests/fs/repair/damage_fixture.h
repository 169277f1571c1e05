// A store whose files are damaged, and put back as they were, again and again.
//
// Thread safety: one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/fs/repair/repair_fixture.h"

namespace dedupfs {

class DamageTest : public RepairTest {
 protected:
  DamageTest();
  ~DamageTest() override;

  // What a file of the store is, by its name.
  static std::string KindOf(const std::string& file);
  void Restore();
  // What a repair names may differ, and nothing else; a second one finds nothing to mend.
  void ExpectRepairWorks();

  struct ReadResult {
    Tree tree;  // what can be looked up; what cannot be read of it is not `readable`
    uint64_t failures = 0;
  };
  // Reads the store as it is; none: it does not open.
  std::optional<ReadResult> ReadDamaged();
  // Or fails.
  bool CheckFindsSomething();

  const std::string saved_;
  std::vector<std::string> files_;  // those with bytes in them, by their paths from the store
};

}  // namespace dedupfs

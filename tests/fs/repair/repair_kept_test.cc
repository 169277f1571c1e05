// How the databases change places, and which of those that were kept counts.
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "chunkstore/base/env.h"
#include "fs/repair_exchange.h"
#include "tests/fs/repair/repair_fixture.h"

namespace dedupfs {
namespace {

namespace files = std::filesystem;

class RepairKeptTest : public RepairTest {
 protected:
  std::string Path(const std::string& name) const { return directory() + "/" + name; }
};

TEST_F(RepairKeptTest, ANumberIsNotGivenAgainThoughItsDatabaseWasRemoved) {
  files::create_directory(Path("db.damaged-2"));
  DeleteFamily(Family::kPack);
  EXPECT_EQ(Repair().kept, Path("db.damaged-3"));
  ExpectAsBefore();
}

TEST_F(RepairKeptTest, TheLatestThatWasKeptCountsWhereThereIsNoDatabase) {
  files::copy(Database(), Path("db.damaged-2"), files::copy_options::recursive);
  store_->Open();
  store_->PutFile("later", "content of a later time");
  store_->Close();
  files::rename(Database(), Path("db.damaged-4"));  // a kill, and the owner removed two
  Repair();
  store_->Open();
  EXPECT_EQ(store_->GetFile("later"), "content of a later time");
  store_->Close();
  EXPECT_EQ(CheckLines(), std::vector<std::string>());
}

TEST_F(RepairKeptTest, AnExchangeThatFailsLeavesBothDatabasesUnderTheirNames) {
  const auto store = StoreDirectory::Open(PosixEnv(), directory());
  ASSERT_TRUE(IsOk(store));
  const std::string made = Path("db.repair"), hidden = Path("hidden");
  files::create_directory(made);
  std::ofstream(made + "/new") << "new";
  const auto kept = ExchangeDatabases(PosixEnv(), **store, made, [&]() -> Status {
    files::rename(Database(), hidden);  // so that it fails
    return Ok();
  });
  EXPECT_EQ(CodeOf(kept), ENOENT);
  EXPECT_TRUE(files::exists(made + "/new"));
  EXPECT_FALSE(files::exists(Path("db.damaged-1")));
  files::rename(hidden, Database());
  files::remove_all(made);
}

TEST_F(RepairKeptTest, AStoreThatIsOpenIsRefused) {
  DeleteFamily(Family::kFingerprint);
  store_->Open();
  for (const bool apply : {false, true}) {
    EXPECT_EQ(CodeOf(RepairStore(directory(), apply, RepairHooks())), EBUSY);
  }
  EXPECT_FALSE(files::exists(Path("db.repair")));
  store_->Close();
}

}  // namespace
}  // namespace dedupfs

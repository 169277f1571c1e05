#include "fs/request_table.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fs/request_watchdog.h"

namespace dedupfs {
namespace {

TEST(RequestTableTest, ARequestIsListedFromItsBeginToItsEnd) {
  RequestTable table;
  EXPECT_TRUE(table.List().empty());
  {
    const RequestScope scope(table, "fsync", 42);
    const auto requests = table.List();
    ASSERT_EQ(requests.size(), 1U);
    EXPECT_EQ(requests[0].operation, "fsync");
    EXPECT_EQ(requests[0].ino, 42U);
    EXPECT_EQ(requests[0].thread, ::gettid());
  }
  EXPECT_TRUE(table.List().empty());
}

TEST(RequestTableTest, ARequestInsideOfAnotherIsPartOfIt) {
  RequestTable table;
  const RequestScope outer(table, "lseek", 1);
  {
    const RequestScope inner(table, "read", 2);
    ASSERT_EQ(table.List().size(), 1U);
  }
  const auto requests = table.List();
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_EQ(requests[0].operation, "lseek");
}

TEST(RequestTableTest, EachRequestHasAnIdOfItsOwn) {
  RequestTable table;
  uint64_t first = 0;
  {
    const RequestScope scope(table, "read", 1);
    first = table.List().at(0).id;
  }
  const RequestScope scope(table, "read", 1);
  EXPECT_NE(table.List().at(0).id, first);
}

TEST(RequestTableTest, AThreadWorksForTwoTablesInTurn) {
  RequestTable one;
  auto two = std::make_unique<RequestTable>();
  { const RequestScope scope(one, "read", 1); }
  {
    const RequestScope scope(*two, "write", 2);
    EXPECT_TRUE(one.List().empty());
    EXPECT_EQ(two->List().size(), 1U);
  }
  two.reset();  // this thread still has a slot of it
  const RequestScope scope(one, "read", 3);
  EXPECT_EQ(one.List().size(), 1U);
}

TEST(RequestTableTest, ThreadsThatEndedGiveTheirSlotsBack) {
  RequestTable table;
  for (size_t i = 0; i < RequestTable::kMaxThreads + 10; ++i) {
    std::thread([&table] { const RequestScope scope(table, "read", 1); }).join();
  }
  const RequestScope scope(table, "read", 1);
  EXPECT_EQ(table.List().size(), 1U);
}

TEST(RequestTableTest, AListNeverMixesTwoRequests) {
  RequestTable table;
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (int i = 0; i < 3; ++i) {
    workers.emplace_back([&] {
      while (!stop.load()) {
        { const RequestScope scope(table, "read", 1); }
        { const RequestScope scope(table, "write", 2); }
      }
    });
  }
  size_t seen = 0;
  while (seen < 50'000) {
    for (const RequestInFlight& request : table.List()) {
      EXPECT_EQ(request.operation, request.ino == 1 ? "read" : "write");
      EXPECT_LT(request.age_ms, 3'600'000U);
      ++seen;
    }
  }
  stop.store(true);
  for (std::thread& worker : workers) worker.join();
}

TEST(HangReportsTest, ARequestIsToldOnceWhenItIsOldAndOnceWhenItEnds) {
  HangReports reports(100);
  const RequestInFlight young{7, "fsync", 1, 99, 10};
  RequestInFlight old = young;
  old.age_ms = 100;
  EXPECT_TRUE(reports.Look({young}).hanging.empty());
  const auto first = reports.Look({old});
  ASSERT_EQ(first.hanging.size(), 1U);
  EXPECT_EQ(first.hanging[0].id, 7U);
  old.age_ms = 200;
  const auto second = reports.Look({old});
  EXPECT_TRUE(second.hanging.empty());
  EXPECT_TRUE(second.went_on.empty());
  const auto last = reports.Look({});
  ASSERT_EQ(last.went_on.size(), 1U);
  EXPECT_EQ(last.went_on[0].age_ms, 200U);
  EXPECT_TRUE(reports.Look({}).went_on.empty());
}

TEST(HangReportsTest, AnotherRequestOfTheSameThreadIsToldAnew) {
  HangReports reports(100);
  EXPECT_EQ(reports.Look({{7, "fsync", 1, 100, 10}}).hanging.size(), 1U);
  const auto news = reports.Look({{8, "fsync", 1, 100, 10}});
  EXPECT_EQ(news.hanging.size(), 1U);
  EXPECT_EQ(news.went_on.size(), 1U);
}

TEST(RequestWatchdogTest, EndsAtOnceHoweverLongItsPauseIs) {
  const RequestTable table;
  const RequestWatchdog watchdog(table, 86'400'000);
}

}  // namespace
}  // namespace dedupfs

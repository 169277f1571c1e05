#include "tools/dedupfs/background.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

int ExitStatusOf(pid_t pid) {
  int wait_status = 0;
  EXPECT_EQ(::waitpid(pid, &wait_status, 0), pid);
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

TEST(BackgroundTest, ReportReachesTheParentWhole) {
  const TempDir directory;
  const std::string message(100'000, 'm');
  const auto process = RunInBackground(directory.path() + "/log",
                                       [&](const ReportStart& report, const ReportProgress&) {
                                         report({kExitStoreInUse, {EBUSY, message}});
                                         return kExitStoreInUse;
                                       });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->report.exit_code, kExitStoreInUse);
  EXPECT_EQ(process->report.error.code, EBUSY);
  EXPECT_EQ(process->report.error.message, message);
  EXPECT_EQ(ExitStatusOf(process->pid), kExitStoreInUse);
}

TEST(BackgroundTest, ParentReturnsWhileTheChildGoesOn) {
  const TempDir directory;
  const auto process = RunInBackground(directory.path() + "/log",
                                       [](const ReportStart& report, const ReportProgress&) {
                                         report({kExitOk, {}});
                                         ::pause();
                                         return kExitFailure;
                                       });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->report.exit_code, kExitOk);
  EXPECT_EQ(::kill(process->pid, 0), 0);
  EXPECT_EQ(::getsid(process->pid), process->pid);
  ::kill(process->pid, SIGKILL);
  EXPECT_EQ(ExitStatusOf(process->pid), -1);
}

TEST(BackgroundTest, ProgressReachesTheParentInOrderBeforeTheReport) {
  const TempDir directory;
  static constexpr uint64_t kTold = 5000;  // more than fits into the pipe
  uint64_t next = 0;
  const auto process = RunInBackground(
      directory.path() + "/log",
      [](const ReportStart& report, const ReportProgress& progress) {
        for (uint64_t i = 0; i < kTold; ++i) progress(i, kTold);
        report({kExitNoStore, {ENOENT, "gone"}});
        progress(1, 2);  // nobody listens any more
        return kExitNoStore;
      },
      [&next](uint64_t done, uint64_t total) {
        EXPECT_EQ(done, next++);
        EXPECT_EQ(total, kTold);
      });
  ASSERT_TRUE(process);
  EXPECT_EQ(next, kTold);
  EXPECT_EQ(process->report.exit_code, kExitNoStore);
  EXPECT_EQ(process->report.error.message, "gone");
  EXPECT_EQ(ExitStatusOf(process->pid), kExitNoStore);
}

TEST(BackgroundTest, ChildThatDiesAfterItsProgressIsAFailureToo) {
  const TempDir directory;
  const std::string log = directory.path() + "/log";
  const auto process =
      RunInBackground(log, [](const ReportStart&, const ReportProgress& progress) -> ExitCode {
        progress(1, 2);
        ::kill(::getpid(), SIGKILL);
        return kExitOk;
      });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->report.exit_code, kExitFailure);
  EXPECT_NE(process->report.error.message.find(log), std::string::npos);
  ExitStatusOf(process->pid);
}

TEST(BackgroundTest, ChildThatDiesBeforeItsReportIsAFailureThatNamesTheLog) {
  const TempDir directory;
  const std::string log = directory.path() + "/log";
  const auto process =
      RunInBackground(log, [](const ReportStart&, const ReportProgress&) -> ExitCode {
        ::kill(::getpid(), SIGKILL);
        return kExitOk;
      });
  ASSERT_TRUE(process);
  EXPECT_EQ(process->report.exit_code, kExitFailure);
  EXPECT_NE(process->report.error.message.find(log), std::string::npos);
  ExitStatusOf(process->pid);
}

TEST(BackgroundTest, OutputOfTheChildGoesToTheLog) {
  const TempDir directory;
  const std::string log = directory.path() + "/log";
  const auto process = RunInBackground(log, [](const ReportStart& report, const ReportProgress&) {
    std::cerr << "a library's last words" << std::flush;
    report({kExitOk, {}});
    return kExitOk;
  });
  ASSERT_TRUE(process);
  EXPECT_EQ(ExitStatusOf(process->pid), 0);
  std::ostringstream content;
  content << std::ifstream(log).rdbuf();
  EXPECT_EQ(content.str(), "a library's last words");
}

}  // namespace
}  // namespace dedupfs

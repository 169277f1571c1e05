#include "tools/dedupfs/background.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
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
  const auto process = RunInBackground(directory.path() + "/log", [&](const ReportStart& report) {
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
  const auto process = RunInBackground(directory.path() + "/log", [](const ReportStart& report) {
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

TEST(BackgroundTest, ChildThatDiesBeforeItsReportIsAFailureThatNamesTheLog) {
  const TempDir directory;
  const std::string log = directory.path() + "/log";
  const auto process = RunInBackground(log, [](const ReportStart&) -> ExitCode {
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
  const auto process = RunInBackground(log, [](const ReportStart& report) {
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

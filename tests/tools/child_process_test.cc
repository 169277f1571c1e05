#include "tools/dedupfs/selftest/child_process.h"

#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

TEST(ChildProcessTest, OutputStatusAndLogAreThoseOfTheProgram) {
  const TempDir directory;
  const std::string log = directory.path() + "/log";
  const auto done = RunToEnd("sh", {"-c", "echo one; echo; echo two; echo bad >&2; exit 3"}, log);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->exit_status, 3);
  EXPECT_EQ(done->output, "one\n\ntwo\n");
  std::ifstream file(log);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "bad\n");
}

TEST(ChildProcessTest, AProgramThatIsMissingHasAStatusOfItsOwn) {
  const TempDir directory;
  const auto done = RunToEnd("no-such-program-anywhere", {}, directory.path() + "/log");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->exit_status, kExitNotRun);
}

TEST(ChildProcessTest, AKilledChildIsReapedAndItsOutputEnds) {
  const TempDir directory;
  auto child = ChildProcess::Start("sh", {"-c", "echo ready; exec cat /dev/zero >/dev/null"},
                                   directory.path() + "/log");
  ASSERT_TRUE(child);
  const auto line = (*child)->ReadLine();
  ASSERT_TRUE(line);
  EXPECT_EQ(*line, "ready");
  (*child)->Kill();
  EXPECT_EQ((*child)->Wait(), 128 + SIGKILL);
  const auto end = (*child)->ReadLine();
  ASSERT_TRUE(end);
  EXPECT_EQ(*end, "");
}

}  // namespace
}  // namespace dedupfs

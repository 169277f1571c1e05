#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "chunkstore/base/error.h"
#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"
#include "tools/dedupfs/selftest/interrupt.h"
#include "tools/dedupfs/selftest/power_cut.h"

namespace dedupfs {
namespace {

constexpr size_t kMaxToldFaults = 20;

uint64_t FreshSeed() {
  std::random_device device;
  return device();
}

struct Outcome {
  uint32_t survived = 0;
  uint64_t acknowledged = 0;
  std::vector<std::string> faults;
};

// All of them are in the answer of --json.
void TellFaults(const std::vector<std::string>& faults) {
  for (size_t i = 0; i < faults.size() && i < kMaxToldFaults; ++i) PrintLine("  " + faults[i]);
  if (faults.size() > kMaxToldFaults) {
    PrintLine("  and " + std::to_string(faults.size() - kMaxToldFaults) + " more");
  }
}

void TellCut(const SelftestCommand& command, uint32_t number, const CutReport& report) {
  if (command.json) return;
  PrintLine(
      "cut " + std::to_string(number) + " of " + std::to_string(command.cuts) + ": after " +
      std::to_string(report.steps) + " steps, " + std::to_string(report.acknowledged) +
      " syncs acknowledged; " + std::to_string(report.files) + " files found, " +
      std::to_string(report.promises) + " promises, " +
      (report.faults.empty() ? "all kept" : std::to_string(report.faults.size()) + " BROKEN"));
  TellFaults(report.faults);
}

Status RunCuts(const SelftestCommand& command, uint64_t seed, Outcome& outcome) {
  DEDUPFS_ASSIGN_OR_RETURN(
      const std::unique_ptr<PowerCut> power,
      PowerCut::Prepare({command.directory, command.filesystem, seed, command.keep}));
  for (uint32_t number = 1; number <= command.cuts; ++number) {
    DEDUPFS_ASSIGN_OR_RETURN(const CutReport report, power->CutOnce());
    TellCut(command, number, report);
    outcome.acknowledged += report.acknowledged;
    if (!report.faults.empty()) {
      outcome.faults = report.faults;
      if (command.keep)
        PrintMessage("the disk image and the log are kept in " + power->directory());
      return Ok();
    }
    ++outcome.survived;
  }
  DEDUPFS_ASSIGN_OR_RETURN(outcome.faults, power->Finish());
  if (!command.json && !outcome.faults.empty()) {
    PrintLine("after the last cut and a regular unmount:");
    TellFaults(outcome.faults);
  }
  return Ok();
}

void TellOutcome(const SelftestCommand& command, uint64_t seed, const Outcome& outcome) {
  if (command.json) {
    PrintJson({{"filesystem", command.filesystem},
               {"seed", seed},
               {"cuts", command.cuts},
               {"survived", outcome.survived},
               {"acknowledged", outcome.acknowledged},
               {"faults", outcome.faults}});
    return;
  }
  PrintLine(std::to_string(outcome.survived) + " of " + std::to_string(command.cuts) +
            " cuts survived, " +
            (outcome.faults.empty() ? "nothing acknowledged lost" : "PROMISES WERE BROKEN") + " (" +
            std::to_string(outcome.acknowledged) + " syncs acknowledged, " + command.filesystem +
            ", seed " + std::to_string(seed) + ")");
}

}  // namespace

ExitCode Run(const SelftestCommand& command) {
  const uint64_t seed = command.seed.value_or(FreshSeed());
  const Interrupt interrupt;
  Outcome outcome;
  if (const Status ran = RunCuts(command, seed, outcome); !ran) {
    std::string message = ran.error().message;
    if (Interrupt::Requested()) {
      message = "interrupted after " + std::to_string(outcome.survived) + " cuts";
    }
    return Explain({ran.error().code, "selftest: " + message}, kExitFailure, command.json);
  }
  TellOutcome(command, seed, outcome);
  return outcome.faults.empty() ? kExitOk : kExitDamage;
}

}  // namespace dedupfs

#include "tools/dedupfs/arguments.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <set>
#include <string>

#include "tools/dedupfs/commands.h"
#include "tools/dedupfs/exit_codes.h"
#include "tools/dedupfs/output.h"

namespace dedupfs {
namespace {

constexpr const char* kStoreHelp = "the store's directory";
constexpr const char* kTargetHelp = "the store's directory or its mount point";

template <typename Command>
CLI::App* Add(CLI::App& app, Command& command, ExitCode& exit_code, const std::string& name,
              const std::string& help) {
  CLI::App* const sub = app.add_subcommand(name, help);
  sub->add_flag("--json", command.json, "Print JSON");
  sub->final_callback([&command, &exit_code] { exit_code = Run(command); });
  return sub;
}

struct Commands {
  FormatCommand format;
  MountCommand mount;
  UmountCommand umount;
  StatsCommand stats;
  CheckCommand check;
  StatusCommand status;
  SyncCommand sync;
  ReclaimCommand reclaim;
  RecompressCommand recompress;
  CopiesCommand copies;
  SelftestCommand selftest;
  ExportCommand export_tree;
  BackupMetadataCommand backup;
  RestoreCommand restore;
  ScrubCommand scrub;
  VersionCommand version;
};

void AddFormatAndMount(CLI::App& app, Commands& commands, ExitCode& exit_code) {
  CLI::App* sub = Add(app, commands.format, exit_code, "format", "Make a new, empty store");
  sub->add_option("STORE", commands.format.store, "a directory that is missing or empty")
      ->required();
  sub->add_option("--chunk-kib", commands.format.chunk_kib, "average size of a chunk in KiB")
      ->check(CLI::IsMember(std::set<uint32_t>{16, 32, 64, 128, 256}))
      ->capture_default_str();
  sub->add_option("--uid", commands.format.uid, "owner of the root directory (yours)");
  sub->add_option("--gid", commands.format.gid, "group of the root directory (yours)");

  sub = Add(app, commands.mount, exit_code, "mount", "Mount a store");
  sub->add_option("STORE", commands.mount.store, kStoreHelp)->required();
  sub->add_option("DIR", commands.mount.mountpoint, "the directory to mount it on")->required();
  sub->add_option("-o,--options", commands.mount.options, "mount options, with commas");
  sub->add_flag("-f,--foreground", commands.mount.foreground, "Stay in the foreground");
  sub->add_flag("-d,--debug", commands.mount.debug, "Log every request (with -f)");

  sub = Add(app, commands.umount, exit_code, "umount",
            "Unmount, and wait until everything is on disk");
  sub->add_option("TARGET", commands.umount.target, "the mount point or the store")->required();
  sub->add_option("--timeout", commands.umount.timeout_s, "seconds to wait for the daemon's end")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  sub->add_flag("--force", commands.umount.force, "also where changes cannot be made durable");
}

void AddQuestions(CLI::App& app, Commands& commands, ExitCode& exit_code) {
  CLI::App* sub = Add(app, commands.stats, exit_code, "stats", "What is saved");
  sub->add_option("TARGET", commands.stats.target, kTargetHelp)->required();
  sub = Add(app, commands.check, exit_code, "check",
            "Verify every byte of an unmounted store (changes nothing without --repair --yes)");
  sub->add_option("STORE", commands.check.store, kStoreHelp)->required();
  CLI::Option* const repair = sub->add_flag(
      "--repair", commands.check.repair, "Tell what a repair would mend (without --yes: no more)");
  sub->add_flag("--yes", commands.check.yes, "With --repair: mend it")->needs(repair);
  sub = Add(app, commands.status, exit_code, "status", "Whether a store is mounted and healthy");
  sub->add_option("TARGET", commands.status.target, kTargetHelp)->required();
  sub = Add(app, commands.sync, exit_code, "sync", "Make everything written durable now");
  sub->add_option("TARGET", commands.sync.target, kTargetHelp)->required();
  sub =
      Add(app, commands.reclaim, exit_code, "reclaim", "Give the space of deleted files back now");
  sub->add_option("TARGET", commands.reclaim.target, kTargetHelp)->required();
  sub = Add(app, commands.recompress, exit_code, "recompress",
            "Compress what is stored more, now (takes long)");
  sub->add_option("TARGET", commands.recompress.target, kTargetHelp)->required();
  sub = Add(app, commands.copies, exit_code, "copies",
            "Make the extra copies of chunks that many files use, now");
  sub->add_option("TARGET", commands.copies.target, kTargetHelp)->required();
  sub->add_flag("--drop", commands.copies.drop, "Give the space of all extra copies back");
  sub = Add(app, commands.scrub, exit_code, "scrub",
            "Verify every chunk while the store is in use, and name the files that damage touches");
  sub->add_option("TARGET", commands.scrub.target, kTargetHelp)->required();
  sub->add_option("--rate", commands.scrub.rate_mb, "read at most so many MB a second")
      ->check(CLI::PositiveNumber);
  sub->add_flag("--restart", commands.scrub.restart, "Begin anew where one could go on");
  Add(app, commands.version, exit_code, "version", "Print the version");
}

void AddSelftest(CLI::App& app, Commands& commands, ExitCode& exit_code) {
  CLI::App* const sub = Add(app, commands.selftest, exit_code, "selftest",
                            "Cut the power below a store of its own, and see what is left (root)");
  sub->add_option("--powercut", commands.selftest.directory,
                  "a directory on the disk to try, with 2 GiB free; it is left as it was")
      ->type_name("DIR")
      ->required();
  sub->add_option("--cuts", commands.selftest.cuts, "how often")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  sub->add_option("--filesystem", commands.selftest.filesystem, "below the store")
      ->check(CLI::IsMember(std::set<std::string>{"ext4", "xfs"}))
      ->capture_default_str();
  sub->add_option("--seed", commands.selftest.seed, "of the workload (a fresh one, printed)");
  sub->add_flag("--keep", commands.selftest.keep,
                "Leave the disk image and the daemon's log where a promise was broken");
}

void AddWaysOut(CLI::App& app, Commands& commands, ExitCode& exit_code) {
  CLI::App* sub = Add(app, commands.export_tree, exit_code, "export",
                      "Write the files of an unmounted store into a directory");
  sub->add_option("STORE", commands.export_tree.store, kStoreHelp)->required();
  sub->add_option("DIR", commands.export_tree.directory, "a directory that is missing or empty")
      ->required();
  sub->add_option("PATH", commands.export_tree.path, "only this, as a path in the store");

  sub = Add(app, commands.backup, exit_code, "backup-metadata",
            "Copy the metadata (names, recipes, index; no content) into a new directory");
  sub->add_option("TARGET", commands.backup.target, kTargetHelp)->required();
  sub->add_option("DIR", commands.backup.directory, "a directory that does not exist")->required();

  sub = Add(app, commands.restore, exit_code, "restore",
            "Put the metadata of a backup in the place of a lost or damaged database; where only "
            "the format file is lost, put back that");
  sub->add_option("STORE", commands.restore.store, kStoreHelp)->required();
  sub->add_option("BACKUP", commands.restore.backup, "what backup-metadata made")->required();
  sub->add_flag("--from-dump", commands.restore.from_dump,
                "Read metadata.dump instead of the checkpoint");
  sub->add_flag("--force", commands.restore.force, "Although the database can be read");
}

}  // namespace

ExitCode ParseAndRun(int argc, char** argv) {
  CLI::App app{"A deduplicating file system.", "dedupfs"};
  app.require_subcommand(0, 1);  // a minimum would hide the name of an unknown one
  app.set_version_flag("--version", std::string(DedupfsVersion()));
  ExitCode exit_code = kExitFailure;
  Commands commands;
  AddFormatAndMount(app, commands, exit_code);
  AddQuestions(app, commands, exit_code);
  AddSelftest(app, commands, exit_code);
  AddWaysOut(app, commands, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (app.get_subcommands().empty()) {
    PrintMessage("a subcommand is required; see dedupfs --help");
    return kExitUsage;
  }
  return exit_code;
}

}  // namespace dedupfs

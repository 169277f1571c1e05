// dedupfs-unpack: reads pack files without the store's database.

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "tools/unpack/unpack.h"

namespace {

int Run(int argc, char** argv) {
  CLI::App app("Reads DedupFS packs, sealed, unsealed or damaged, without the store's database.");
  app.footer(
      "Exit codes: 0 ok, 1 damage found, 2 wrong usage, 3 a file cannot be read or written.");
  app.require_subcommand(1);

  std::vector<std::string> packs;
  std::string pack;
  std::string directory;
  std::string chunk;
  bool json = false;

  CLI::App* list = app.add_subcommand(
      "list", "Print id, fingerprint, offset, stored bytes, raw bytes and codec of each chunk");
  list->add_flag("--json", json, "Print one JSON document");
  list->add_option("PACK", packs, "Pack files")->required();
  CLI::App* verify = app.add_subcommand("verify", "Check checksum and SHA-256 of each chunk");
  verify->add_option("PACK", packs, "Pack files")->required();
  CLI::App* cat = app.add_subcommand("cat", "Write the content of one chunk to standard output");
  cat->add_option("PACK", pack, "Pack file")->required();
  cat->add_option("CHUNK", chunk, "Chunk id, or fingerprint in hexadecimal")->required();
  CLI::App* extract = app.add_subcommand("extract", "Write each chunk to DIR/<sha256>");
  extract->add_option("DIR", directory, "Directory, made where missing")->required();
  extract->add_option("PACK", packs, "Pack files")->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? dedupfs::kExitOk : dedupfs::kExitUsage;
  }
  if (*list) return dedupfs::ListPacks(packs, json);
  if (*verify) return dedupfs::VerifyPacks(packs);
  if (*cat) return dedupfs::CatChunk(pack, chunk);
  return dedupfs::ExtractPacks(directory, packs);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "dedupfs-unpack: " << error.what() << '\n';
    return dedupfs::kExitCannotRead;
  }
}

#include "tools/unpack/unpack.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <system_error>

#include "chunkstore/base/env.h"
#include "tools/unpack/pack_input.h"

namespace dedupfs {
namespace {

const char* CodecName(Codec codec) {
  switch (codec) {
    case Codec::kRaw:
      return "raw";
    case Codec::kLz4:
      return "lz4";
    case Codec::kZstd:
      return "zstd";
  }
  return "unknown";
}

int CannotRead(const Error& error) {
  std::cerr << "dedupfs-unpack: " << error.message << '\n';
  return kExitCannotRead;
}

int CannotWrite() {
  std::cerr << "dedupfs-unpack: cannot write to standard output\n";
  return kExitCannotRead;
}

void Tell(const std::string& path, const PackReader::Damage& damage) {
  std::cerr << path << ": damage at offset " << damage.offset;
  if (damage.id) std::cerr << ", chunk " << *damage.id;
  std::cerr << ": " << damage.what << '\n';
}

// Walks one pack, telling all damage and every jump over it, and returns the exit code so far.
// `sealed` (if given) tells whether the pack is.
int WalkPack(const std::string& path, const std::function<bool(const PackEntry&, Bytes)>& record,
             bool* sealed = nullptr) {
  auto input = PackInput::Open(path);
  if (!input) return CannotRead(input.error());
  int code = kExitOk;
  std::optional<uint64_t> skipping;
  PackReader::Visitor visitor;
  visitor.damage = [&](const PackReader::Damage& damage) {
    Tell(path, damage);
    if (!skipping) skipping = damage.offset;
    code = kExitDamage;
  };
  visitor.record = [&](const PackEntry& entry, Bytes stored) {
    if (skipping && *skipping != 0 && *skipping < entry.offset) {
      std::cerr << path << ": skipped from offset " << *skipping << " to the next record at "
                << entry.offset << '\n';
    }
    skipping.reset();
    return record(entry, stored);
  };
  const auto walked = input->Walk(visitor);
  if (!walked) return CannotRead(walked.error());
  if (sealed != nullptr) *sealed = *walked;
  return code;
}

// The content of a record into `raw`; false, and told, where it is damaged.
bool Decode(const std::string& path, const PackEntry& entry, Bytes stored, Buffer& raw) {
  const Status status = DecodeChunk(entry.header, stored, raw);
  if (!status) Tell(path, {entry.offset, entry.header.id, status.error().message});
  return status.has_value();
}

// By a rename, so that an interrupted run leaves no half of a chunk under its name.
Status WriteChunk(const std::string& directory, const std::string& name, Bytes content) {
  const std::string path = directory + "/" + name;
  std::error_code error;
  if (std::filesystem::exists(path, error)) return Ok();
  const std::string part = path + ".part";
  std::filesystem::remove(part, error);
  DEDUPFS_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, PosixEnv().Create(part));
  DEDUPFS_RETURN_IF_ERROR(file->Append(std::span(&content, 1)));
  return PosixEnv().Rename(part, path);
}

}  // namespace

int ListPacks(const std::vector<std::string>& packs, bool json) {
  int code = kExitOk;
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& path : packs) {
    nlohmann::json chunks = nlohmann::json::array();
    bool sealed = false;
    const int pack_code = WalkPack(
        path,
        [&](const PackEntry& entry, Bytes) {
          const RecordHeader& header = entry.header;
          if (json) {
            chunks.push_back({{"id", header.id},
                              {"fingerprint", header.fingerprint.Hex()},
                              {"offset", entry.offset},
                              {"stored_bytes", header.stored},
                              {"raw_bytes", header.raw},
                              {"codec", CodecName(header.codec)}});
          } else {
            std::cout << header.id << ' ' << header.fingerprint.Hex() << ' ' << entry.offset << ' '
                      << header.stored << ' ' << header.raw << ' ' << CodecName(header.codec)
                      << '\n';
          }
          return true;
        },
        &sealed);
    code = std::max(code, pack_code);
    if (json && pack_code != kExitCannotRead) {
      // A path may hold any bytes; JSON only UTF-8.
      all.push_back({{"pack", path},
                     {"sealed", sealed},
                     {"damaged", pack_code == kExitDamage},
                     {"chunks", std::move(chunks)}});
    }
  }
  if (json) {
    std::cout << all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  }
  return std::cout.flush() ? code : CannotWrite();
}

int VerifyPacks(const std::vector<std::string>& packs) {
  int code = kExitOk;
  Buffer raw;
  for (const std::string& path : packs) {
    uint64_t chunks = 0;
    bool sealed = false;
    bool right = true;
    int pack_code = WalkPack(
        path,
        [&](const PackEntry& entry, Bytes stored) {
          ++chunks;
          right = Decode(path, entry, stored, raw) && right;
          return true;
        },
        &sealed);
    if (!right) pack_code = std::max(pack_code, kExitDamage);
    code = std::max(code, pack_code);
    if (pack_code == kExitCannotRead) continue;
    std::cout << path << ": " << chunks << " chunks, " << (sealed ? "sealed" : "not sealed") << ", "
              << (pack_code == kExitOk ? "ok" : "DAMAGED") << '\n';
  }
  return std::cout.flush() ? code : CannotWrite();
}

int CatChunk(const std::string& pack, const std::string& name) {
  std::optional<ChunkId> id;
  if (name.size() != 2 * sizeof(Fingerprint::bytes)) {
    ChunkId number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size() || number == 0) {
      std::cerr << "dedupfs-unpack: " << name << " is neither a chunk id nor a fingerprint\n";
      return kExitUsage;
    }
    id = number;
  }
  std::string hex = name;
  std::transform(hex.begin(), hex.end(), hex.begin(), [](char c) {
    return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  bool found = false;
  bool seen_damaged = false;
  Buffer raw;
  const int code = WalkPack(pack, [&](const PackEntry& entry, Bytes stored) {
    const bool wanted = id ? entry.header.id == *id : entry.header.fingerprint.Hex() == hex;
    if (!wanted) return true;
    found = Decode(pack, entry, stored, raw);
    seen_damaged = seen_damaged || !found;
    return !found;
  });
  if (found) {
    std::cout.write(AsText(raw).data(), static_cast<std::streamsize>(raw.size()));
    return std::cout.flush() ? kExitOk : CannotWrite();
  }
  if (code != kExitOk) return code;
  if (seen_damaged) return kExitDamage;
  std::cerr << "dedupfs-unpack: " << pack << ": no chunk " << name << '\n';
  return kExitCannotRead;
}

int ExtractPacks(const std::string& directory, const std::vector<std::string>& packs) {
  const Status made = PosixEnv().MakeDir(directory);
  if (!made && made.error().code != EEXIST) return CannotRead(made.error());
  int code = kExitOk;
  Buffer raw;
  for (const std::string& path : packs) {
    int record_code = kExitOk;
    const int pack_code = WalkPack(path, [&](const PackEntry& entry, Bytes stored) {
      if (!Decode(path, entry, stored, raw)) {
        record_code = kExitDamage;
        return true;
      }
      const Status written = WriteChunk(directory, entry.header.fingerprint.Hex(), raw);
      if (!written) record_code = CannotRead(written.error());
      return written.has_value();
    });
    code = std::max({code, pack_code, record_code});
    if (record_code == kExitCannotRead) break;
  }
  return code;
}

}  // namespace dedupfs

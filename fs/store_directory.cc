#include "fs/store_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "chunkstore/base/coding.h"
#include "chunkstore/base/env.h"
#include "chunkstore/base/toml.h"
#include "chunkstore/chunking/chunker.h"

namespace dedupfs {
namespace {

constexpr size_t kFormatLimit = 64 << 10;
constexpr const char* kHexDigits = "0123456789abcdef";

std::string Hex(const uint8_t* bytes, size_t size) {
  std::string out;
  out.reserve(2 * size);
  for (size_t i = 0; i < size; ++i) {
    out += kHexDigits[bytes[i] >> 4];
    out += kHexDigits[bytes[i] & 15];
  }
  return out;
}

bool ParseHex(const std::string& text, uint8_t* bytes, size_t size) {
  if (text.size() != 2 * size) return false;
  const std::string digits = kHexDigits;
  for (size_t i = 0; i < size; ++i) {
    const size_t high = digits.find(text[2 * i]);
    const size_t low = digits.find(text[2 * i + 1]);
    if (high == std::string::npos || low == std::string::npos) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

std::string ParentOf(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

constexpr size_t kFeatureDigits = 16;

std::string FeatureLine(const char* key, uint64_t bits) {
  if (bits == 0) return {};  // as every store of before these keys
  std::string big_endian;
  PutBigU64(big_endian, bits);
  return std::string(key) + " = \"" + Hex(AsU8(AsBytes(big_endian)), big_endian.size()) + "\"\n";
}

// A missing key means none.
bool ParseFeatures(const toml::table& table, const char* key, uint64_t& bits) {
  bits = 0;
  if (!table.contains(key)) return true;
  const auto text = table[key].value<std::string>();
  std::array<uint8_t, kFeatureDigits / 2> bytes{};
  if (!text || !ParseHex(*text, bytes.data(), bytes.size())) return false;
  for (const uint8_t byte : bytes) bits = bits << 8 | byte;
  return true;
}

std::string BitNames(uint64_t bits) {
  std::string names;
  for (int bit = 0; bit < 64; ++bit) {
    if ((bits >> bit & 1) == 0) continue;
    names.append(names.empty() ? "" : ", ").append(std::to_string(bit));
  }
  return names;
}

Result<StoreFormat> NewFormat(uint32_t average_chunk_bytes) {
  StoreFormat format;
  format.average_chunk_bytes = average_chunk_bytes;
  std::array<uint8_t, 16> id{};
  if (getrandom(format.name_key.data(), format.name_key.size(), 0) !=
          static_cast<ssize_t>(format.name_key.size()) ||
      getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return FailErrno("getrandom");
  }
  format.store_id = Hex(id.data(), id.size());
  return format;
}

}  // namespace

std::string EncodeStoreFormat(const StoreFormat& format) {
  std::string text = "# DedupFS store. Written by dedupfs format; do not change.\n";
  text += "version = " + std::to_string(format.version) + "\n";
  text += "average_chunk_bytes = " + std::to_string(format.average_chunk_bytes) + "\n";
  text += "name_key = \"" + Hex(format.name_key.data(), format.name_key.size()) + "\"\n";
  text += "store_id = \"" + format.store_id + "\"\n";
  text += FeatureLine("compatible_features", format.compatible_features);
  text += FeatureLine("read_only_compatible_features", format.read_only_compatible_features);
  text += FeatureLine("incompatible_features", format.incompatible_features);
  return text;
}

Result<StoreFormat> ParseStoreFormat(const std::string& path, const std::string& text) {
  const auto fail = [&](const std::string& what) { return Corrupt(path + ": " + what); };
  StoreFormat format;
  const toml::parse_result parsed = ParseToml(text, path);
  if (!parsed) return fail(std::string(parsed.error().description()));
  const toml::table& table = parsed.table();
  const auto version = table["version"].value<int64_t>();
  if (!version || *version < 1 || *version > UINT32_MAX) return fail("no version");
  format.version = static_cast<uint32_t>(*version);
  if (format.version != StoreFormat::kVersion) {
    return Fail(EPROTO, path + ": the store has format version " + std::to_string(format.version) +
                            ", and this program reads version " +
                            std::to_string(StoreFormat::kVersion));
  }
  if (!ParseFeatures(table, "compatible_features", format.compatible_features) ||
      !ParseFeatures(table, "read_only_compatible_features",
                     format.read_only_compatible_features) ||
      !ParseFeatures(table, "incompatible_features", format.incompatible_features)) {
    return fail("features: wants 16 hexadecimal digits");
  }
  if (const uint64_t unknown = format.incompatible_features & ~kKnownIncompatibleFeatures;
      unknown != 0) {
    return Fail(EPROTO, path + ": the store has incompatible features that this program does not " +
                            "know: bit " + BitNames(unknown));
  }
  const auto average = table["average_chunk_bytes"].value<int64_t>();
  if (!average || *average < 0 || *average > UINT32_MAX) return fail("no average_chunk_bytes");
  format.average_chunk_bytes = static_cast<uint32_t>(*average);
  if (const Status valid =
          ValidatePolicy({ChunkingKind::kContentDefined, format.average_chunk_bytes});
      !valid) {
    return fail(valid.error().message);
  }
  const auto key = table["name_key"].value<std::string>();
  if (!key || !ParseHex(*key, format.name_key.data(), format.name_key.size())) {
    return fail("no name_key");
  }
  const auto id = table["store_id"].value<std::string>();
  std::array<uint8_t, 16> bytes{};
  if (!id || !ParseHex(*id, bytes.data(), bytes.size())) return fail("no store_id");
  format.store_id = *id;
  return format;
}

Status CheckMayWrite(const std::string& path, const StoreFormat& format) {
  const uint64_t unknown = format.read_only_compatible_features & ~kKnownReadOnlyCompatibleFeatures;
  if (unknown == 0) return Ok();
  return Fail(EPROTO, path + ": the store has features that this program does not know and must " +
                          "not write beside: bit " + BitNames(unknown) +
                          " (it can be mounted with -o ro, checked and exported)");
}

Result<int> StoreDirectory::TakeLock(const std::string& path) {
  const std::string name = path + "/lock";
  const int fd = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return FailErrno(name);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    std::array<char, 32> pid{};
    const ssize_t size = pread(fd, pid.data(), pid.size() - 1, 0);
    close(fd);
    if (code != EWOULDBLOCK) return Fail(code, name + ": cannot be locked");
    std::string holder(pid.data(), size > 0 ? static_cast<size_t>(size) : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return Fail(EBUSY, path + " is in use" + (holder.empty() ? "" : " by process " + holder));
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    // The pid is for messages only: a full or read-only disk must not keep a store from opening.
  }
  return fd;
}

Error StoreDirectory::NoStore(Env& env, const std::string& path) {
  const auto packs = env.List(path + "/packs");
  if ((packs && !packs->empty()) || env.ReadAll(path + "/db/CURRENT", kFormatLimit)) {
    return {ENOENT,
            path +
                "/format is missing, and without it the store cannot be opened: copy it back "
                "from a backup of the metadata, or run dedupfs restore " +
                path + " BACKUP, which puts back only that where the database is whole"};
  }
  return {ENOENT, path + ": no DedupFS store there (make one with dedupfs format)"};
}

Result<std::unique_ptr<StoreDirectory>> StoreDirectory::Open(Env& env, const std::string& path) {
  const std::string name = path + "/format";
  const auto missing = env.ReadAll(name, kFormatLimit);
  if (!missing && (missing.error().code == ENOENT || missing.error().code == ENOTDIR)) {
    return Fail(NoStore(env, path));
  }
  DEDUPFS_RETURN_IF_ERROR(missing);
  DEDUPFS_ASSIGN_OR_RETURN(StoreFormat format, ParseStoreFormat(name, *missing));
  DEDUPFS_ASSIGN_OR_RETURN(const int lock, TakeLock(path));
  std::unique_ptr<StoreDirectory> directory(new StoreDirectory(env, path, lock));
  directory->format_ = std::move(format);
  return directory;
}

Result<std::unique_ptr<StoreDirectory>> StoreDirectory::Create(Env& env, const std::string& path,
                                                               uint32_t average_chunk_bytes) {
  DEDUPFS_RETURN_IF_ERROR(ValidatePolicy({ChunkingKind::kContentDefined, average_chunk_bytes}));
  if (const Status made = env.MakeDir(path); made) {
    // What is synced in the store later must not go with the store's own name.
    DEDUPFS_RETURN_IF_ERROR(env.SyncDir(ParentOf(path)));
  } else if (made.error().code != EEXIST) {
    return Fail(made.error());
  }
  DEDUPFS_ASSIGN_OR_RETURN(const auto names, env.List(path));
  if (std::find(names.begin(), names.end(), "format") != names.end()) {
    return Fail(EEXIST, path + " is a DedupFS store already");
  }
  for (const std::string& name : names) {
    if (name != "lost+found" && name != "dedupfs.toml") {
      std::string message = path;
      message.append(" is not empty (").append(name).append("), and no DedupFS store");
      return Fail(ENOTEMPTY, std::move(message));
    }
  }
  DEDUPFS_ASSIGN_OR_RETURN(const int lock, TakeLock(path));
  std::unique_ptr<StoreDirectory> directory(new StoreDirectory(env, path, lock));
  DEDUPFS_ASSIGN_OR_RETURN(directory->format_, NewFormat(average_chunk_bytes));
  DEDUPFS_RETURN_IF_ERROR(env.MakeDir(directory->packs()));
  return directory;
}

Result<std::unique_ptr<StoreDirectory>> StoreDirectory::OpenToRestore(const std::string& path,
                                                                      const StoreFormat& backup) {
  if (const auto packs = PosixEnv().List(path + "/packs"); !packs) {
    return Fail(packs.error().code,
                path + ": no DedupFS store there (" + packs.error().message + ")");
  }
  DEDUPFS_ASSIGN_OR_RETURN(const int lock, TakeLock(path));
  std::unique_ptr<StoreDirectory> directory(new StoreDirectory(PosixEnv(), path, lock));
  directory->format_ = backup;
  const std::string name = path + "/format";
  const auto text = PosixEnv().ReadAll(name, kFormatLimit);
  directory->format_is_lost_ = true;
  if (!text && text.error().code == ENOENT) return directory;
  const Result<StoreFormat> format =
      text ? ParseStoreFormat(name, *text) : Result<StoreFormat>(Fail(EIO, text.error().message));
  if (!format) {
    if (format.error().code != EIO) return Fail(format.error());
    return directory;
  }
  if (format->store_id != backup.store_id || format->name_key != backup.name_key) {
    return Fail(EINVAL, path + ": the backup is that of another store");
  }
  directory->format_ = *format;
  directory->format_is_lost_ = false;
  return directory;
}

Status StoreDirectory::Finish() {
  if (format_is_lost_) {
    const std::string name = path_ + "/format";
    const Status aside = env_.Rename(name, name + ".before-restore");
    if (!aside && aside.error().code != ENOENT) return Fail(aside.error());
  }
  DEDUPFS_RETURN_IF_ERROR(env_.SyncDir(path_));
  // Only now it is a store: a crash before leaves a directory that Open refuses.
  return env_.ReplaceFile(path_, "format", EncodeStoreFormat(format_));
}

StoreDirectory::~StoreDirectory() { close(lock_); }

}  // namespace dedupfs

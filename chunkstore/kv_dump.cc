#include "chunkstore/kv_dump.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

constexpr std::string_view kMagic = "DFSDUMP\n";
constexpr uint32_t kVersion = 1;
constexpr size_t kFixedSize = 16;    // magic, version, length of the info
constexpr size_t kChecksumSize = 8;  // at the end
constexpr size_t kBufferBytes = 1 << 20;
constexpr size_t kBatchBytes = 1 << 20;
constexpr size_t kMaxKeyBytes = 4096;
constexpr size_t kMaxValueBytes = 64 << 20;
constexpr size_t kMaxVarintBytes = 10;

// XXH3-64 over bytes that come in pieces.
class RunningChecksum {
 public:
  RunningChecksum() : state_(XXH3_createState()) { XXH3_64bits_reset(state_.get()); }
  void Add(std::string_view bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  uint64_t Digest() const { return XXH3_64bits_digest(state_.get()); }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

class DumpWriter {
 public:
  explicit DumpWriter(File& file) : file_(file) {}

  Status Append(std::string_view bytes) {
    buffer_ += bytes;
    return buffer_.size() < kBufferBytes ? Ok() : Flush();
  }
  Status Flush() {
    checksum_.Add(buffer_);
    return Write();
  }
  Status End() {
    DEDUPFS_RETURN_IF_ERROR(Flush());
    PutU64(buffer_, checksum_.Digest());
    return Write();
  }

 private:
  Status Write() {
    const std::array<Bytes, 1> pieces{AsBytes(buffer_)};
    DEDUPFS_RETURN_IF_ERROR(file_.Append(pieces));
    buffer_.clear();
    return Ok();
  }

  File& file_;
  std::string buffer_;
  RunningChecksum checksum_;
};

class DumpReader {
 public:
  DumpReader(File& file, uint64_t end) : file_(file), end_(end) {}

  // The next `size` bytes; a view that holds until the next call.
  Result<std::string_view> Take(size_t size) {
    if (size > buffer_.size() - used_) DEDUPFS_RETURN_IF_ERROR(Fill(size));
    const std::string_view taken = std::string_view(buffer_).substr(used_, size);
    checksum_.Add(taken);
    used_ += size;
    return taken;
  }
  Result<uint64_t> TakeVarint() {
    std::string bytes;
    do {
      DEDUPFS_ASSIGN_OR_RETURN(const std::string_view next, Take(1));
      bytes += next;
    } while ((static_cast<uint8_t>(bytes.back()) & 0x80) != 0 && bytes.size() < kMaxVarintBytes);
    Decoder in(bytes);
    const uint64_t value = in.Varint();
    if (!in.AtEnd()) return Wrong("no number");
    return value;
  }
  uint64_t position() const { return read_to_ - (buffer_.size() - used_); }
  uint64_t Digest() const { return checksum_.Digest(); }
  tl::unexpected<Error> Wrong(const std::string& what) const {
    return Corrupt("metadata dump, offset " + std::to_string(position()) + ": " + what);
  }

 private:
  Status Fill(size_t size) {
    if (size > end_ - position()) return Wrong("it is cut short");
    buffer_.erase(0, used_);
    used_ = 0;
    const size_t have = buffer_.size();
    const uint64_t more = std::min<uint64_t>(std::max(kBufferBytes, size - have), end_ - read_to_);
    buffer_.resize(have + more);
    DEDUPFS_ASSIGN_OR_RETURN(
        const size_t got,
        file_.ReadAt(read_to_, {reinterpret_cast<std::byte*>(buffer_.data()) + have, more}));
    if (got < more) return Wrong("it is cut short");
    read_to_ += got;
    return Ok();
  }

  File& file_;
  const uint64_t end_;  // where the checksum begins
  std::string buffer_;
  size_t used_ = 0;
  uint64_t read_to_ = 0;
  RunningChecksum checksum_;
};

Result<std::string> TakeHeader(DumpReader& in) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::string_view magic, in.Take(kMagic.size()));
  if (magic != kMagic) return in.Wrong("this is no metadata dump");
  DEDUPFS_ASSIGN_OR_RETURN(const std::string_view numbers, in.Take(kFixedSize - kMagic.size()));
  Decoder fields(numbers);
  const uint32_t version = fields.U32();
  const uint32_t info_size = fields.U32();
  if (version != kVersion) {
    return Fail(EPROTO, "the metadata dump has version " + std::to_string(version) +
                            ", and this program reads version " + std::to_string(kVersion));
  }
  if (info_size > kMaxDumpInfoBytes) return in.Wrong("an info that is too long");
  DEDUPFS_ASSIGN_OR_RETURN(const std::string_view info, in.Take(info_size));
  return std::string(info);
}

Result<DumpReader> OpenReader(File& file) {
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  if (size < kFixedSize + kChecksumSize) return Corrupt("metadata dump: it is cut short");
  return DumpReader(file, size - kChecksumSize);
}

struct Row {
  Family family;
  std::string key, value;
};

// nullopt: the end of the rows.
Result<std::optional<Row>> TakeRow(DumpReader& in) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::string_view tag, in.Take(1));
  const auto number = static_cast<uint8_t>(tag.front());
  if (number == 0) return std::optional<Row>();
  if (number > kFamilyCount) return in.Wrong("family " + std::to_string(number) + " is not known");
  Row row;
  row.family = static_cast<Family>(number - 1);
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t key_size, in.TakeVarint());
  if (key_size > kMaxKeyBytes) return in.Wrong("a key that is too long");
  DEDUPFS_ASSIGN_OR_RETURN(row.key, in.Take(key_size));
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t value_size, in.TakeVarint());
  if (value_size > kMaxValueBytes) return in.Wrong("a value that is too long");
  DEDUPFS_ASSIGN_OR_RETURN(row.value, in.Take(value_size));
  return std::optional<Row>(std::move(row));
}

Status CheckEnd(File& file, DumpReader& in, uint64_t rows, uint64_t end) {
  DEDUPFS_ASSIGN_OR_RETURN(const std::string_view tail, in.Take(sizeof(uint64_t)));
  if (Decoder(tail).U64() != rows) return in.Wrong("another number of rows than it tells");
  if (in.position() != end) return in.Wrong("there is more after its end");
  std::array<char, kChecksumSize> stored{};
  const std::span<char> bytes(stored);
  DEDUPFS_ASSIGN_OR_RETURN(const size_t got, file.ReadAt(end, std::as_writable_bytes(bytes)));
  if (got < stored.size()) return in.Wrong("it is cut short");
  if (Decoder({stored.data(), stored.size()}).U64() != in.Digest()) {
    return in.Wrong("the checksum of the whole is wrong");
  }
  return Ok();
}

}  // namespace

Result<uint64_t> CountRows(Kv& kv) {
  uint64_t rows = 0;
  for (size_t family = 0; family < kFamilyCount; ++family) {
    const auto row = kv.Iterate(static_cast<Family>(family), "", "");
    for (; row->Valid(); row->Next()) ++rows;
    DEDUPFS_RETURN_IF_ERROR(row->status());
  }
  return rows;
}

Result<uint64_t> WriteDump(Kv& kv, std::string_view info, File& file,
                           const std::function<void(uint64_t rows)>& progress) {
  if (info.size() > kMaxDumpInfoBytes) return Fail(EINVAL, "the info of a dump is too long");
  DumpWriter out(file);
  std::string head(kMagic);
  PutU32(head, kVersion);
  PutU32(head, static_cast<uint32_t>(info.size()));
  DEDUPFS_RETURN_IF_ERROR(out.Append(head + std::string(info)));
  uint64_t rows = 0;
  for (size_t family = 0; family < kFamilyCount; ++family) {
    const auto row = kv.Iterate(static_cast<Family>(family), "", "");
    for (; row->Valid(); row->Next()) {
      std::string line;
      PutU8(line, static_cast<uint8_t>(family + 1));
      PutString(line, row->key());
      PutString(line, row->value());
      DEDUPFS_RETURN_IF_ERROR(out.Append(line));
      ++rows;
      if (progress && rows % 4096 == 0) progress(rows);
    }
    DEDUPFS_RETURN_IF_ERROR(row->status());
  }
  std::string tail;
  PutU8(tail, 0);
  PutU64(tail, rows);
  DEDUPFS_RETURN_IF_ERROR(out.Append(tail));
  DEDUPFS_RETURN_IF_ERROR(out.End());
  return rows;
}

Result<std::string> ReadDumpInfo(File& file) {
  DEDUPFS_ASSIGN_OR_RETURN(DumpReader in, OpenReader(file));
  return TakeHeader(in);
}

Result<uint64_t> ReadDump(File& file, Kv& kv,
                          const std::function<void(uint64_t done, uint64_t total)>& progress) {
  DEDUPFS_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  DEDUPFS_ASSIGN_OR_RETURN(DumpReader in, OpenReader(file));
  DEDUPFS_RETURN_IF_ERROR(TakeHeader(in));
  uint64_t rows = 0;
  Batch batch;
  while (true) {
    DEDUPFS_ASSIGN_OR_RETURN(const std::optional<Row> row, TakeRow(in));
    if (row) {
      ++rows;
      batch.Put(row->family, row->key, row->value);
    }
    if (batch.size_bytes() >= kBatchBytes || (!row && !batch.empty())) {
      DEDUPFS_RETURN_IF_ERROR(kv.Write(batch, Durability::kBuffered));
      batch = Batch();
      if (progress) progress(in.position(), size);
    }
    if (!row) break;
  }
  DEDUPFS_RETURN_IF_ERROR(CheckEnd(file, in, rows, size - kChecksumSize));
  return rows;
}

}  // namespace dedupfs

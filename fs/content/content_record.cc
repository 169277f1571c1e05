#include "fs/content/content_record.h"

#include "chunkstore/base/coding.h"

namespace dedupfs {
namespace {

constexpr uint8_t kContentVersion = 1;
constexpr uint8_t kHasDirtyRows = 1;
constexpr uint8_t kPolicyChosen = 2;

}  // namespace

std::string ContentKey(Ino ino) { return BigU64(ino); }

std::string EncodeContentRecord(const ContentRecord& record) {
  std::string out;
  PutU8(out, kContentVersion);
  PutU8(out, static_cast<uint8_t>((record.has_dirty_rows ? kHasDirtyRows : 0) |
                                  (record.policy_chosen ? kPolicyChosen : 0)));
  PutU8(out, static_cast<uint8_t>(record.policy.kind));
  PutU8(out, static_cast<uint8_t>(record.reason));
  PutU32(out, record.policy.average);
  PutU64(out, static_cast<uint64_t>(record.mtime));
  PutU64(out, static_cast<uint64_t>(record.ctime));
  PutVarint(out, record.size);
  PutVarint(out, record.recipe_size);
  PutVarint(out, record.data_bytes);
  return out;
}

Result<ContentRecord> ParseContentRecord(Ino ino, std::string_view value) {
  const auto fail = [&](const char* what) {
    return Corrupt("inode " + std::to_string(ino) + ": content record: " + what);
  };
  Decoder in(value);
  ContentRecord record;
  if (in.U8() != kContentVersion) return fail("unknown version");
  const uint8_t flags = in.U8();
  const uint8_t kind = in.U8();
  const uint8_t reason = in.U8();
  record.policy.average = in.U32();
  record.mtime = static_cast<Time>(in.U64());
  record.ctime = static_cast<Time>(in.U64());
  record.size = in.Varint();
  record.recipe_size = in.Varint();
  record.data_bytes = in.Varint();
  if (!in.AtEnd()) return fail("wrong length");
  if ((flags & ~(kHasDirtyRows | kPolicyChosen)) != 0) return fail("unknown flags");
  if (kind > static_cast<uint8_t>(ChunkingKind::kFixed) || reason >= kPolicyReasonCount) {
    return fail("unknown policy");
  }
  if (record.size > kMaxFileSize || record.recipe_size > kMaxFileSize ||
      record.data_bytes > record.recipe_size) {
    return fail("impossible size");
  }
  record.has_dirty_rows = (flags & kHasDirtyRows) != 0;
  record.policy_chosen = (flags & kPolicyChosen) != 0;
  record.policy.kind = static_cast<ChunkingKind>(kind);
  record.reason = static_cast<PolicyReason>(reason);
  if (!ValidatePolicy(record.policy)) return fail("impossible chunk size");
  return record;
}

}  // namespace dedupfs

// What the tests of packs share: chunks with known content, and packs on a FaultEnv.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "chunkstore/base/env.h"
#include "chunkstore/chunking/fingerprint.h"
#include "chunkstore/packs/packs.h"

namespace dedupfs {

inline const std::string kPacksDir = "/packs";

// A chunk stored raw.
struct TestChunk {
  TestChunk(ChunkId id, std::string content_in) : content(std::move(content_in)) {
    header.id = id;
    header.fingerprint = FingerprintOf(AsBytes(content));
    header.raw = header.stored = static_cast<uint32_t>(content.size());
  }
  RecordInput input() const { return {header, AsBytes(content)}; }

  RecordHeader header;
  std::string content;
};

inline TestChunk SmallChunk(ChunkId id) {
  return {id, "content of chunk " + std::to_string(id) + std::string(id % 7, '.')};
}

inline std::vector<RecordInput> Inputs(const std::vector<TestChunk>& chunks) {
  std::vector<RecordInput> inputs;
  inputs.reserve(chunks.size());
  for (const TestChunk& chunk : chunks) inputs.push_back(chunk.input());
  return inputs;
}

// Pack ids from `first` on.
inline Packs::NextId CountFrom(PackId first) {
  auto next = std::make_shared<std::atomic<PackId>>(first);
  return [next]() -> Result<PackId> { return next->fetch_add(1); };
}

inline std::unique_ptr<Packs> MustOpen(Env& env, PackId first = 1) {
  auto packs = Packs::Open(env, kPacksDir, CountFrom(first));
  EXPECT_TRUE(packs) << (packs ? "" : packs.error().message);
  return packs ? std::move(*packs) : nullptr;
}

inline void MakePacksDir(Env& env) {
  ASSERT_TRUE(env.MakeDir(kPacksDir));
  ASSERT_TRUE(env.SyncDir("/"));
}

inline std::string PackPath(PackId id) { return kPacksDir + "/" + PackFileName(id); }

// A pack file with these bytes, durable.
inline void WritePack(Env& env, PackId id, std::string_view bytes) {
  (void)env.Remove(PackPath(id));
  auto file = env.Create(PackPath(id));
  ASSERT_TRUE(file);
  const Bytes piece = AsBytes(bytes);
  if (!bytes.empty()) {
    ASSERT_TRUE((*file)->Append(std::span(&piece, 1)));
  }
  ASSERT_TRUE((*file)->Sync());
  ASSERT_TRUE(env.SyncDir(kPacksDir));
}

inline bool SameHeader(const RecordHeader& a, const RecordHeader& b) {
  return a.id == b.id && a.fingerprint == b.fingerprint && a.codec == b.codec && a.raw == b.raw &&
         a.stored == b.stored;
}

// True if the record of `chunk` is read back right; false if Read gives an error. Anything else
// fails the test.
inline bool ReadsBack(Packs& packs, const Location& location, const TestChunk& chunk) {
  Buffer scratch;
  const auto record = packs.Read(location, chunk.header.id, scratch);
  if (!record) return false;
  EXPECT_TRUE(SameHeader(record->header, chunk.header));
  EXPECT_EQ(AsText(record->stored), chunk.content);
  return true;
}

inline bool Names(const Packs::Contents& contents, const Location& location,
                  const TestChunk& chunk) {
  for (const PackEntry& entry : contents.entries) {
    if (entry.offset == location.offset && SameHeader(entry.header, chunk.header)) return true;
  }
  return false;
}

// The bytes of a pack, and where its records lie in it.
struct PackImage {
  std::vector<TestChunk> chunks;
  std::vector<Location> locations;
  std::string bytes;
};

inline PackImage MakePackImage(PackId id, std::vector<TestChunk> chunks, bool sealed) {
  PackImage image;
  image.chunks = std::move(chunks);
  image.bytes = EncodePackHeader(id);
  std::vector<PackEntry> entries;
  for (const TestChunk& chunk : image.chunks) {
    image.locations.push_back({id, image.bytes.size(), chunk.header.stored});
    entries.push_back({chunk.header, image.bytes.size()});
    image.bytes += EncodeRecordHeader(chunk.header, AsBytes(chunk.content));
    image.bytes += chunk.content;
  }
  if (sealed) image.bytes += EncodeSeal(id, image.bytes.size(), entries);
  return image;
}

}  // namespace dedupfs

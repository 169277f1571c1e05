// dedupfs-unpack, run as a process on files of the real disk.

#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "chunkstore/base/env.h"
#include "chunkstore/chunking/codec.h"
#include "tests/packs/packs_test_util.h"
#include "tests/support/temp_dir.h"

namespace dedupfs {
namespace {

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class UnpackTest : public ::testing::Test {
 protected:
  struct Outcome {
    int code = -1;
    std::string out;
    std::string err;
  };

  // `arguments` are quoted for the shell by the caller.
  Outcome Run(const std::string& arguments) const {
    const std::string command = std::string("'") + DEDUPFS_UNPACK_PATH + "' " + arguments + " > '" +
                                dir_.Join("out") + "' 2> '" + dir_.Join("err") + "'";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Slurp(dir_.Join("out")),
            Slurp(dir_.Join("err"))};
  }

  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(dir_.Join(name), std::ios::binary) << bytes;
    return dir_.Join(name);
  }
  static std::string Quote(const std::string& path) { return "'" + path + "'"; }

  // A pack of three chunks, the second compressed.
  static PackImage Image(bool sealed) {
    TestChunk second(2, std::string(5000, 'a') + "tail");
    Buffer stored;
    EXPECT_TRUE(Compress(Codec::kZstd, 1, AsBytes(second.content), stored));
    second.content = std::string(AsText(stored));
    second.header.codec = Codec::kZstd;
    second.header.stored = static_cast<uint32_t>(stored.size());
    return MakePackImage(42, {SmallChunk(1), second, SmallChunk(3)}, sealed);
  }

  TempDir dir_;
};

TEST_F(UnpackTest, ListsSealedAndUnsealedPacksAlike) {
  const PackImage image = Image(true);
  std::string expected;
  for (size_t i = 0; i < 3; ++i) {
    const RecordHeader& header = image.chunks[i].header;
    expected += std::to_string(header.id) + " " + header.fingerprint.Hex() + " " +
                std::to_string(image.locations[i].offset) + " " + std::to_string(header.stored) +
                " " + std::to_string(header.raw) + (i == 1 ? " zstd\n" : " raw\n");
  }
  for (const bool sealed : {true, false}) {
    const std::string path = Write(PackFileName(42), Image(sealed).bytes);
    const Outcome outcome = Run("list " + Quote(path));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, expected);
    EXPECT_EQ(outcome.err, "");
  }
}

TEST_F(UnpackTest, ListsAsJson) {
  const std::string path = Write(PackFileName(42), Image(true).bytes);
  const Outcome outcome = Run("list --json " + Quote(path));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out.front(), '[');
  EXPECT_NE(outcome.out.find("\"sealed\": true"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("\"raw_bytes\": 5004"), std::string::npos) << outcome.out;
}

TEST_F(UnpackTest, VerifyAcceptsAGoodPackUnderAnyName) {
  for (const bool sealed : {true, false}) {
    const std::string path = Write("saved copy", Image(sealed).bytes);
    const Outcome outcome = Run("verify " + Quote(path));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.out.find("3 chunks"), std::string::npos);
  }
}

TEST_F(UnpackTest, VerifyNamesPackOffsetAndChunkOfDamageAndGoesOn) {
  for (const bool sealed : {true, false}) {
    PackImage image = Image(sealed);
    image.bytes[image.locations[1].offset + kRecordHeaderSize] ^= 1;
    const std::string path = Write(PackFileName(42), image.bytes);
    const Outcome outcome = Run("verify " + Quote(path));
    EXPECT_EQ(outcome.code, 1);
    const std::string where =
        path + ": damage at offset " + std::to_string(image.locations[1].offset) + ", chunk 2: ";
    EXPECT_NE(outcome.err.find(where), std::string::npos) << outcome.err;
    const std::string skipped =
        "to the next record at " + std::to_string(image.locations[2].offset);
    EXPECT_NE(outcome.err.find(skipped), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.out.find("2 chunks"), std::string::npos) << outcome.out;
  }
}

TEST_F(UnpackTest, VerifyFindsContentThatIsNotItsFingerprint) {
  TestChunk wrong = SmallChunk(8);
  wrong.header.fingerprint.bytes[0] ^= 1;
  const std::string path =
      Write(PackFileName(42), MakePackImage(42, {SmallChunk(1), wrong}, true).bytes);
  const Outcome outcome = Run("verify " + Quote(path));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("chunk 8"), std::string::npos) << outcome.err;
}

TEST_F(UnpackTest, FindsRecordsBehindALostPackHeaderAndADamagedTable) {
  PackImage image = Image(true);
  for (size_t i = 0; i < kPackHeaderSize + 10; ++i) image.bytes[i] = '\xff';
  image.bytes[image.bytes.size() - 1] ^= 1;
  const std::string path = Write(PackFileName(42), image.bytes);
  const Outcome outcome = Run("list " + Quote(path));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out.substr(0, 2), "2 ");
  EXPECT_NE(outcome.out.find("\n3 "), std::string::npos) << outcome.out;
}

TEST_F(UnpackTest, CatFindsAChunkByIdAndByFingerprint) {
  const PackImage image = Image(true);
  const std::string path = Write(PackFileName(42), image.bytes);
  const std::string expected = std::string(5000, 'a') + "tail";
  for (const std::string& name : {std::string("2"), image.chunks[1].header.fingerprint.Hex()}) {
    const Outcome outcome = Run("cat " + Quote(path) + " " + name);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, expected);
  }
  EXPECT_EQ(Run("cat " + Quote(path) + " 77").code, 3);
  EXPECT_EQ(Run("cat " + Quote(path) + " two").code, 2);
}

TEST_F(UnpackTest, CatOfADamagedChunkWritesNothing) {
  PackImage image = Image(true);
  image.bytes[image.locations[0].end() - 1] ^= 1;
  const std::string path = Write(PackFileName(42), image.bytes);
  const Outcome outcome = Run("cat " + Quote(path) + " 1");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "");
}

TEST_F(UnpackTest, ExtractWritesEachChunkUnderItsFingerprint) {
  const PackImage image = Image(false);
  const std::string path = Write(PackFileName(42), image.bytes);
  const std::string target = dir_.Join("chunks");
  for (int round = 0; round < 2; ++round) {
    const Outcome outcome = Run("extract " + Quote(target) + " " + Quote(path));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(target)) {
      const std::string content = Slurp(entry.path().string());
      EXPECT_EQ(FingerprintOf(AsBytes(content)).Hex(), entry.path().filename().string());
      ++files;
    }
    EXPECT_EQ(files, 3U);
  }
}

TEST_F(UnpackTest, WrongUsageIsTwoAndUnreadableFilesAreThree) {
  EXPECT_EQ(Run("").code, 2);
  EXPECT_EQ(Run("list").code, 2);
  EXPECT_EQ(Run("list --no-such-option x").code, 2);
  EXPECT_EQ(Run("--help").code, 0);
  const Outcome outcome = Run("verify " + Quote(dir_.Join("missing.pack")));
  EXPECT_EQ(outcome.code, 3);
  EXPECT_NE(outcome.err.find("missing.pack"), std::string::npos) << outcome.err;
}

TEST_F(UnpackTest, NeedsNoDatabaseLibrary) {
  const std::string program = Slurp(DEDUPFS_UNPACK_PATH);
  ASSERT_FALSE(program.empty());
  EXPECT_EQ(program.find("librocksdb.so"), std::string::npos);
}

}  // namespace
}  // namespace dedupfs

#include "chunkstore/chunking/fingerprint.h"

#include <openssl/evp.h>
// The state of XXH3 has a known size, and so fits on the stack, only with this.
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include <cstdlib>
#include <memory>

#include "chunkstore/base/log.h"
#include "chunkstore/chunking/fingerprint_shani.h"

namespace dedupfs {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// OpenSSL without SHA-256 or out of memory for 100 bytes: any answer would name wrong content.
[[noreturn]] void Die(const char* call) {
  LogError("sha256_failed", std::string("call=") + call);
  std::abort();
}

const EVP_MD* Sha256Digest() {
  // Fetched once, since a fetch costs twice what the hash of a small chunk does; never freed, since
  // threads may outlive static objects.
  static const EVP_MD* const digest = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  if (digest == nullptr) Die("EVP_MD_fetch");
  return digest;
}

EVP_MD_CTX* ThreadContext() {
  thread_local const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  if (context == nullptr) Die("EVP_MD_CTX_new");
  return context.get();
}

}  // namespace

std::string Fingerprint::Hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

Fingerprint FingerprintOf(Bytes data) {
  Fingerprint fp;
  EVP_MD_CTX* const context = ThreadContext();
  if (EVP_DigestInit_ex2(context, Sha256Digest(), nullptr) != 1) Die("EVP_DigestInit_ex2");
  if (EVP_DigestUpdate(context, data.data(), data.size()) != 1) Die("EVP_DigestUpdate");
  unsigned size = 0;
  if (EVP_DigestFinal_ex(context, fp.bytes.data(), &size) != 1) Die("EVP_DigestFinal_ex");
  if (size != fp.bytes.size()) Die("EVP_DigestFinal_ex");
  return fp;
}

void FingerprintPair(Bytes first, Bytes second, Fingerprint& first_out, Fingerprint& second_out) {
  static const bool has_sha_ni = CpuHasShaNi();
  if (has_sha_ni) {
    Sha256PairShaNi(AsU8(first), first.size(), AsU8(second), second.size(), first_out.bytes.data(),
                    second_out.bytes.data());
    return;
  }
  first_out = FingerprintOf(first);
  second_out = FingerprintOf(second);
}

uint64_t Checksum(std::span<const Bytes> pieces) {
  if (pieces.size() == 1) return XXH3_64bits(pieces[0].data(), pieces[0].size());
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_64bits_reset(&state);
  for (const Bytes piece : pieces) {
    if (!piece.empty()) XXH3_64bits_update(&state, piece.data(), piece.size());
  }
  return XXH3_64bits_digest(&state);
}

}  // namespace dedupfs

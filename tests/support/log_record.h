// Records as RocksDB writes them into its log, with a checksum that holds.
#pragma once

#include <rocksdb/file_checksum.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "chunkstore/base/coding.h"

namespace dedupfs {

inline std::string LogRecord(std::string_view content, uint8_t type = 1) {
  const auto sum = rocksdb::GetFileChecksumGenCrc32cFactory()->CreateFileChecksumGenerator({});
  const char type_byte = static_cast<char>(type);
  sum->Update(&type_byte, 1);
  sum->Update(content.data(), content.size());
  sum->Finalize();
  uint32_t crc = 0;
  for (const char byte : sum->GetChecksum()) crc = crc << 8 | static_cast<uint8_t>(byte);
  std::string record;
  PutU32(record, ((crc >> 15) | (crc << 17)) + 0xa282ead8U);
  PutU16(record, static_cast<uint16_t>(content.size()));
  record += type_byte;
  return record.append(content);
}

}  // namespace dedupfs

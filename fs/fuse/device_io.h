// Reads requests from and writes replies to /dev/fuse in libfuse's place, for what libfuse 3.14
// cannot say: FUSE_HANDLE_KILLPRIV_V2, and a larger readahead. Internal to fs/fuse/.
//
// Without it, and with the writeback cache, the kernel asks for security.capability before each
// write(2). With it, clearing set-id bits and capabilities is ours, and the kernel says in flags
// that libfuse 3.14 drops when a request asks for that.
//
// Thread safety: every method may be called concurrently.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "chunkstore/base/bytes.h"

namespace dedupfs {

// How far the kernel reads ahead of a sequential reader: two requests of the largest size, so that
// one is answered while the other is read from the disk. Its own 128 KiB are four chunks, too few
// to keep disk and cores busy side by side.
inline constexpr unsigned kReadaheadKib = 2048;

class DeviceIo {
 public:
  ssize_t Read(int fd, void* buffer, size_t size);
  ssize_t Write(int fd, iovec* pieces, int count);

  // Whether the kernel was told that clearing privileges is ours.
  bool kill_privileges_is_ours() const { return agreed_.load(std::memory_order_acquire); }

  // Whether the request that the calling thread read last asks to clear set-id bits. libfuse
  // handles a request on the thread that read it.
  static bool RequestKillsPrivileges();

  // Whether the bytes of a request ask to clear set-id bits.
  static bool AsksToKillPrivileges(Bytes request);

 private:
  void NoteInit(Bytes request);

  std::atomic<uint64_t> init_unique_{0};  // the INIT request that offered the flag; 0: none
  std::atomic<bool> agreed_{false};
};

}  // namespace dedupfs

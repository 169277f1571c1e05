// A disk image on a loop device with a file system of its own, whose power can be cut.
//
// A cut is the file system's own shutdown without a flush of its journal: what it had not yet
// handed to the disk is gone. What it had handed over stays, also where the disk was not told to
// flush: the loss of a disk's volatile cache is not part of it.
//
// Thread safety: one thread at a time.
// Ownership:     the destructor unmounts. The kernel detaches the loop device with the unmount, so
//                also where the process dies, if its mount namespace is its own.
// Errors:        errno of the call; ENODEV with a message that begins "needs THING: " where the
//                machine lacks something. EBUSY: it stayed in use.
// Units:         sizes are bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "chunkstore/base/error.h"

namespace dedupfs {

class LoopDisk {
 public:
  // Makes the sparse file `image` with an empty file system, "ext4" or "xfs", to be mounted at
  // `directory`. What mkfs says goes to `log_path`.
  static Result<std::unique_ptr<LoopDisk>> Create(const std::string& image,
                                                  const std::string& directory,
                                                  const std::string& filesystem,
                                                  uint64_t size_bytes, const std::string& log_path);
  ~LoopDisk();
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;

  // After a cut this is what replays the journal.
  Status Mount();
  // From here on every write and sync on the mounted file system fails.
  Status Cut();
  // Nobody may use the file system any more.
  Status Unmount();

 private:
  LoopDisk(std::string image, std::string directory, std::string filesystem)
      : image_(std::move(image)),
        directory_(std::move(directory)),
        filesystem_(std::move(filesystem)) {}

  const std::string image_, directory_, filesystem_;
  bool mounted_ = false;
};

}  // namespace dedupfs

// One open handle of a regular file.
//
// Thread safety: the fields are set at open; seen_error is guarded by the file's mutex.
// Ownership:     belongs to who opened it; Files::Release ends it.
#pragma once

#include "fs/content/file_state.h"

namespace dedupfs {

class OpenFile {
 public:
  OpenFile(FilePtr state, bool may_write) : file(std::move(state)), writable(may_write) {}

  const FilePtr file;
  const bool writable;
  uint64_t seen_error = 0;  // FileState::error_number that this handle has reported
};

}  // namespace dedupfs

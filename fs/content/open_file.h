// One open handle of a regular file.
//
// Thread safety: the fields are set at open; seen_error is guarded by the file's mutex.
// Ownership:     belongs to who opened it; Files::Release ends it.
#pragma once

#include "fs/content/file_state.h"

namespace dedupfs {

class OpenFile {
 public:
  OpenFile(FilePtr state, bool may_write, bool only_appends)
      : file(std::move(state)), writable(may_write), append_only(only_appends) {}

  const FilePtr file;
  const bool writable;
  const bool append_only;   // refuses every change below the size
  bool had_blocks = false;  // there was data in the file when this was opened
  uint64_t seen_error = 0;  // FileState::error_number that this handle has reported
};

}  // namespace dedupfs

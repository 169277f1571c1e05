// The progress of work that has several phases, one Progress after another.
//
// Thread safety: one thread.
// Ownership:     a value of its caller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tools/dedupfs/progress.h"

namespace dedupfs {

class PhaseProgress {
 public:
  void Show(std::string_view what, ProgressUnit unit, uint64_t done, uint64_t total) {
    if (what != what_) {
      what_ = what;
      progress_.reset();
      progress_.emplace(what_, unit);
    }
    progress_->Show(done, total);
  }
  void Clear() { progress_.reset(); }

 private:
  std::string what_;
  std::optional<Progress> progress_;
};

}  // namespace dedupfs

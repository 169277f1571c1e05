#include "chunkstore/base/event_limiter.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace dedupfs {

EventLimiter::Verdict EventLimiter::Admit(std::string_view event, Time now) {
  auto found = windows_.find(event);
  if (found == windows_.end()) {
    if (windows_.size() >= kMaxEvents) windows_.clear();
    found = windows_.emplace(std::string(event), Window{now, 0}).first;
  }
  Window& window = found->second;
  Verdict verdict;
  if (now - window.start >= kWindow) {
    verdict.held_back = window.seen - std::min(window.seen, kPerWindow);
    window = {now, 0};
  }
  verdict.show = ++window.seen <= kPerWindow;
  return verdict;
}

}  // namespace dedupfs

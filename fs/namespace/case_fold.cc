#include "fs/namespace/case_fold.h"

#include <utf8proc.h>

#include <array>

namespace dedupfs {

std::string FoldCase(std::string_view name) {
  std::string folded;
  folded.reserve(name.size());
  const auto* next = reinterpret_cast<const utf8proc_uint8_t*>(name.data());
  const utf8proc_uint8_t* const end = next + name.size();
  while (next < end) {
    if (*next < 0x80) {  // nearly all there is: ten times as fast
      const bool upper = *next >= 'A' && *next <= 'Z';
      folded += static_cast<char>(upper ? *next + ('a' - 'A') : *next);
      ++next;
      continue;
    }
    utf8proc_int32_t point = 0;
    const utf8proc_ssize_t length = utf8proc_iterate(next, end - next, &point);
    if (length <= 0) {
      folded += static_cast<char>(*next++);
      continue;
    }
    std::array<utf8proc_uint8_t, 4> bytes = {};
    const utf8proc_int32_t lower = utf8proc_tolower(utf8proc_toupper(point));
    const utf8proc_ssize_t written = utf8proc_encode_char(lower, bytes.data());
    folded.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(written));
    next += length;
  }
  return folded;
}

}  // namespace dedupfs

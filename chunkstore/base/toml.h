// The TOML parser, set up in the same way wherever it is included: in one program its modes must
// not meet. To be included by source files only.
//
// Thread safety: that of toml++: parsing is a pure function.
// Errors:        ParseToml takes any bytes, and returns a parse_result that may be an error.
#pragma once

#include <string>
#include <string_view>

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0

// toml++ 3.3 asserts that a key begins as a key must just before it checks so ("[^" ends the
// program), and with NDEBUG lets the compiler assume it. Without either it reports the error.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace dedupfs {

// `path` is for the places that messages name. Nothing in our files but comments may hold other
// characters than ASCII: these are read as '?', since toml++ 3.3 goes astray at some of them
// (U+FE3F outside of a string reaches a __builtin_unreachable).
inline toml::parse_result ParseToml(std::string text, std::string_view path) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return toml::parse(text, path);
}

}  // namespace dedupfs

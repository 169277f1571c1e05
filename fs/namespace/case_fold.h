// Names without their case, as SMB clients compare them.
//
// Each code point is mapped to upper case and then to lower case by Unicode's simple mappings (one
// code point to one), so that "ǅ", "ς" and "K" (the Kelvin sign) are equal to what Windows takes
// them for, and "ß" is not equal to "ss". Names are not normalised: "é" of one and of two code
// points are two names. What is no UTF-8 is kept, byte by byte.
//
// Thread safety: every function may be called concurrently.
// Ownership:     results are the caller's.
// Durability:    does not apply: nothing here is stored.
// Errors:        none.
// Units:         code points.
#pragma once

#include <string>
#include <string_view>

namespace dedupfs {

std::string FoldCase(std::string_view name);

}  // namespace dedupfs

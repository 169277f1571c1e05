// The one error type of the project, and the results that carry it.
//
// Thread safety: values; copies are independent.
// Errors:        `code` is an errno and reaches the caller of a system call as it is;
//                `message` names the thing that failed (a file, a pack, an inode).
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace dedupfs {

struct Error {
  int code = 0;  // an errno; never 0 in an error that is returned
  std::string message;
};

// A value or an Error. Absence of a thing looked for is no error: Result<std::optional<T>>.
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

inline tl::unexpected<Error> Fail(int code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
inline tl::unexpected<Error> Fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// The Error of the errno that a system call just set: "what: strerror".
tl::unexpected<Error> FailErrno(const std::string& what);

// What stored bytes that fail their checks give: EIO, and a message that names the thing.
tl::unexpected<Error> Corrupt(const std::string& what);

inline Status Ok() { return {}; }

}  // namespace dedupfs

#define DEDUPFS_CONCAT_(a, b) a##b
#define DEDUPFS_CONCAT(a, b) DEDUPFS_CONCAT_(a, b)

// Returns the error of `expression`, a Status or Result, to the caller if it has one.
#define DEDUPFS_RETURN_IF_ERROR(expression)                                      \
  do {                                                                           \
    if (auto dedupfs_result = (expression); !dedupfs_result)                     \
      return ::tl::unexpected<::dedupfs::Error>(std::move(dedupfs_result.error())); \
  } while (false)

// Declares or assigns `target` from the value of a Result, or returns its error.
#define DEDUPFS_ASSIGN_OR_RETURN(target, expression) \
  DEDUPFS_ASSIGN_(DEDUPFS_CONCAT(dedupfs_result_, __LINE__), target, expression)
#define DEDUPFS_ASSIGN_(result, target, expression)                        \
  auto result = (expression);                                              \
  if (!(result)) return ::tl::unexpected<::dedupfs::Error>(std::move((result).error())); \
  target = std::move(*(result))

#include "chunkstore/base/error.h"

#include <cerrno>
#include <string>
#include <system_error>

namespace dedupfs {

tl::unexpected<Error> FailErrno(const std::string& what) {
  const int code = errno;
  // Code 0 would make a failure look like success further up.
  if (code == 0) return Fail(EIO, what + ": failed without an errno");
  return Fail(code, what + ": " + std::generic_category().message(code));
}

tl::unexpected<Error> Corrupt(const std::string& what) { return Fail(EIO, what + ": corrupt"); }

}  // namespace dedupfs

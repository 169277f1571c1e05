#include "control/error_names.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "chunkstore/base/error.h"

namespace dedupfs {

std::string ErrnoName(int code) {
  const char* name = ::strerrorname_np(code);
  return name != nullptr ? name : "E" + std::to_string(code);
}

nlohmann::json ErrorToJson(const Error& error) {
  return {{"error",
           {{"code", ErrnoName(error.code)}, {"errno", error.code}, {"message", error.message}}}};
}

bool ErrorFromJson(const nlohmann::json& answer, Error& error) {
  if (!answer.is_object()) return false;
  const auto found = answer.find("error");
  if (found == answer.end()) return false;
  error = Error{EPROTO, "the daemon sent an error without a shape"};
  if (!found->is_object()) return true;
  const auto code = found->find("errno");
  const auto message = found->find("message");
  if (code != found->end() && code->is_number_integer() && code->get<int>() > 0) {
    error.code = code->get<int>();
  }
  if (message != found->end() && message->is_string()) error.message = message->get<std::string>();
  return true;
}

std::string JsonText(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace dedupfs

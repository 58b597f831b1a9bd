// The one place where kinds of errors become HTTP statuses, and errors become replies.
#pragma once

#include <exception>
#include <string_view>

#include "api/http.hpp"
#include "base/error.hpp"

namespace bryo::api {

int status_of(ErrorKind kind);
// {"message": …}
Reply error_reply(int status, std::string_view message);
// Of whatever was thrown; what is not a bryo::Error is a 500.
Reply error_reply(const std::exception_ptr& thrown);
// The text of whatever was thrown.
std::string message_of(const std::exception_ptr& thrown);
// {"errorDetail":{"message": …},"error": …}: how a progress stream says that it failed.
std::string error_line(const std::exception_ptr& thrown);
std::string_view reason_phrase(int status);

}  // namespace bryo::api

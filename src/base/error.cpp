#include "base/error.hpp"

#include <cstring>

namespace bryo {
namespace {

ErrorKind kind_of_errno(int number) {
  switch (number) {
    case ENOENT:
    case ESRCH:
    case ENXIO:
      return ErrorKind::not_found;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::permission;
    case EEXIST:
    case EBUSY:
    case ENOTEMPTY:
    case EADDRINUSE:
      return ErrorKind::conflict;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case ENOTDIR:
    case EISDIR:
      return ErrorKind::invalid_argument;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return ErrorKind::exhausted;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorKind::unsupported;
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNRESET:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return ErrorKind::unavailable;
    case ECANCELED:
      return ErrorKind::cancelled;
    default:
      return ErrorKind::internal;
  }
}

}  // namespace

Error Error::from_errno(int number, std::string_view what) {
  char text[128];
  // GNU strerror_r: thread-safe, returns the text to use.
  const char* reason = strerror_r(number, text, sizeof text);
  Error error(kind_of_errno(number), fmt::format("{}: {}", what, reason));
  error.number_ = number;
  return error;
}

Error Error::within(std::string_view context) const {
  Error outer = *this;
  outer.message_ = fmt::format("{}: {}", context, message_);
  return outer;
}

Error Error::with_exit_code(int code) const {
  Error copy = *this;
  copy.exit_code_ = code;
  return copy;
}

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return "invalid_argument";
    case ErrorKind::unauthorized:
      return "unauthorized";
    case ErrorKind::permission:
      return "permission";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::conflict:
      return "conflict";
    case ErrorKind::gone:
      return "gone";
    case ErrorKind::not_modified:
      return "not_modified";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::unavailable:
      return "unavailable";
    case ErrorKind::exhausted:
      return "exhausted";
    case ErrorKind::cancelled:
      return "cancelled";
    case ErrorKind::internal:
      return "internal";
  }
  return "internal";
}

}  // namespace bryo

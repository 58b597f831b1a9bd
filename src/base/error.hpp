// The one exception type of Bryo. It answers: what kind of failure is this, and what does the user read?
//
// The kind is chosen where the error is born and mapped once at each edge: api/ to an HTTP status, cli/ and the OCI
// commands to an exit code. The message says what was attempted, on what, why it failed and, where a user can do
// something, what to do. Either log an Error or throw it, never both. Nothing throws between clone() and execve().
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace bryo {

enum class ErrorKind {
  invalid_argument,  // the request itself is wrong                        HTTP 400
  unauthorized,      // credentials missing or refused                     HTTP 401
  permission,        // known caller, not allowed                          HTTP 403
  not_found,         //                                                    HTTP 404
  conflict,          // state forbids it: name taken, container running    HTTP 409
  gone,              // existed, and is no more                            HTTP 410
  not_modified,      // already so: starting a started container           HTTP 304
  unsupported,       // this host or build cannot                          HTTP 501
  unavailable,       // a thing we depend on does not answer; try again    HTTP 503
  exhausted,         // no space, no ids, no addresses, too large          HTTP 500
  cancelled,         // the caller went away or asked to stop              HTTP 499
  internal,          // a bug, or the kernel refused what must work        HTTP 500
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  // errno form: "<what>: <strerror>". The kind follows from the number (ENOENT → not_found, EACCES → permission …).
  static Error from_errno(int number, std::string_view what);

  ErrorKind kind() const noexcept { return kind_; }
  // errno of the system call that failed, 0 when there was none.
  int number() const noexcept { return number_; }
  // Exit status that the CLI contract attaches to it (126, 127), 0 when it has none.
  int exit_code() const noexcept { return exit_code_; }
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& message() const noexcept { return message_; }

  // The same error seen from further out: "<context>: <message>".
  Error within(std::string_view context) const;
  Error with_exit_code(int code) const;

 private:
  ErrorKind kind_;
  int number_ = 0;
  int exit_code_ = 0;
  std::string message_;
};

std::string_view to_string(ErrorKind kind);

template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// Throws Error::from_errno(errno, …): call it directly after the failed system call.
template <typename... Args>
[[noreturn]] void fail_errno(fmt::format_string<Args...> format, Args&&... args) {
  const int number = errno;
  throw Error::from_errno(number, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace bryo

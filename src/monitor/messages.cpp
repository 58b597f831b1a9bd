#include "monitor/messages.hpp"

#include "base/error.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {

FailureMessage to_failure(const Error& error) {
  // A packet is bounded; the beginning of a text says what failed.
  return {static_cast<std::uint8_t>(error.kind()), error.number(), error.exit_code(),
          error.message().substr(0, kMaxPayload / 2)};
}

Error to_error(const FailureMessage& failure) {
  const auto last = static_cast<std::uint8_t>(ErrorKind::internal);
  const auto kind = failure.kind <= last ? static_cast<ErrorKind>(failure.kind) : ErrorKind::internal;
  const Error error(kind, failure.text);
  return failure.exit_code != 0 ? error.with_exit_code(failure.exit_code) : error;
}

std::vector<std::string> bounded_warnings(std::vector<std::string> warnings) {
  std::size_t room = kMaxPayload / 2;
  std::vector<std::string> out;
  for (std::string& warning : warnings) {
    warning.resize(std::min<std::size_t>(warning.size(), 512));
    if (warning.size() + 8 > room) break;
    room -= warning.size() + 8;
    out.push_back(std::move(warning));
  }
  return out;
}

ExitInfo to_exit_info(const ExitMessage& message) {
  return {message.code, message.oom_killed, WallTime(std::chrono::nanoseconds(message.finished_at))};
}

ExitMessage to_exit_message(const ExitInfo& info) {
  return {info.code, info.oom_killed, info.finished_at.time_since_epoch().count()};
}

}  // namespace bryo::monitor

#include "runtime/command/log.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "base/strings.hpp"
#include "base/time.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kMaxMessage = 4000;

std::string line_of(const GlobalOptions& options, const char* level, const std::string& message) {
  const std::string time = to_rfc3339_nano(wall_now());
  if (options.log_json) return json::serialize(json::Object{{"level", level}, {"msg", message}, {"time", time}}) + "\n";
  return fmt::format("time=\"{}\" level={} msg={}\n", time, level, json::serialize(json::Value(message)));
}

// False when there is no file.
bool write_to_file(const GlobalOptions& options, const char* level, const std::string& message) {
  if (options.log_file.empty()) return false;
  const UniqueFd fd(::open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd) return false;
  const std::string line = line_of(options, level, message);
  return ::write(fd.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

}  // namespace

void log_error(const GlobalOptions& options, const std::string& message) {
  write_to_file(options, "error", message);
  fmt::print(stderr, "bryo-oci: {}\n", message);
}

void log_warning(const GlobalOptions& options, const std::string& message) {
  const std::string text = printable(message, kMaxMessage);
  write_to_file(options, "warning", text);
  fmt::print(stderr, "warning: {}\n", text);
}

void log_debug(const GlobalOptions& options, const std::string& message) {
  if (!options.debug) return;
  const std::string text = printable(message, kMaxMessage);
  if (!write_to_file(options, "debug", text)) fmt::print(stderr, "{}", line_of(options, "debug", text));
}

void stopping_point(const char* name) {
  static const char* const wanted = std::getenv("BRYO_OCI_STOP_AT");
  if (wanted != nullptr && std::string_view(wanted) == name) ::raise(SIGSTOP);
}

}  // namespace bryo::runtime::command

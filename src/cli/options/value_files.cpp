#include "cli/options/value_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/unique_fd.hpp"

namespace bryo::cli {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

[[noreturn]] void open_failed(const std::string& path, int number) {
  std::string reason = std::strerror(number);
  if (!reason.empty()) reason[0] = to_lower(reason.substr(0, 1))[0];
  throw Error(number == ENOENT ? ErrorKind::not_found : ErrorKind::invalid_argument,
              fmt::format("open {}: {}", path, reason));
}

}  // namespace

std::string read_small_file(const std::string& path, std::size_t limit) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) open_failed(path, errno);
  std::string out;
  std::array<char, 16 << 10> block;
  while (true) {
    const ssize_t got = ::read(fd.get(), block.data(), block.size());
    if (got == 0) return out;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorKind::invalid_argument, "read {}: {}", path, std::strerror(errno));
    out.append(block.data(), static_cast<std::size_t>(got));
    if (out.size() > limit) fail(ErrorKind::exhausted, "read {}: larger than {} bytes", path, limit);
  }
}

std::vector<std::string> read_value_file(const std::string& path, bool environment) {
  const std::string text = read_small_file(path);
  const auto refuse = [&](const std::string& reason) {
    fail(ErrorKind::invalid_argument, "invalid {} file ({}): {}", environment ? "env" : "label", path, reason);
  };
  std::string_view rest = text;
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
  std::vector<std::string> out;
  for (std::string_view line : split(rest, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty() || line[0] == '#') continue;
    const auto parts = split_once(line, '=');
    const std::string name(parts ? parts->first : line);
    if (name.empty()) refuse(fmt::format("no variable name on line '{}'", printable(line)));
    if (name.find_first_of(kBlanks) != std::string::npos)
      refuse(fmt::format("variable '{}' contains whitespaces", printable(name)));
    const char* value = parts || !environment ? nullptr : std::getenv(name.c_str());
    if (parts) out.emplace_back(line);
    if (value != nullptr) out.push_back(name + "=" + value);
  }
  return out;
}

}  // namespace bryo::cli

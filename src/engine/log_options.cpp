#include "engine/log_options.hpp"

#include <regex.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"

namespace bryo::engine {
namespace {

constexpr std::array kKnown = {"compress", "env",      "env-regex", "labels",          "labels-regex",
                               "max-file", "max-size", "mode",      "max-buffer-size", "tag"};
// What Docker's local driver keeps when nothing else is said.
constexpr std::int64_t kLocalSize = 20 << 20;
constexpr int kLocalFiles = 5;

// "10m", "512k", "1g", "-1"; Docker's units are binary.
std::int64_t parse_size(std::string_view text) {
  if (text == "-1") return -1;
  std::string lower = to_lower(text);
  std::int64_t unit = 1;
  std::string_view digits = lower;
  if (digits.ends_with('b')) digits.remove_suffix(1);
  if (!digits.empty()) {
    const auto place = std::string_view("kmgt").find(digits.back());
    if (place != std::string_view::npos) {
      unit = std::int64_t{1} << (10 * (place + 1));
      digits.remove_suffix(1);
    }
  }
  const auto number = parse_integer<std::int64_t>(digits);
  if (!number || *number < 0 || *number > INT64_MAX / unit)
    fail(ErrorKind::invalid_argument, "invalid log option max-size: \"{}\"", printable(text));
  return *number * unit;
}

int parse_files(std::string_view text) {
  const auto number = parse_integer<int>(text);
  if (!number || *number < 1)
    fail(ErrorKind::invalid_argument, "invalid log option max-file: \"{}\": must be 1 or more", printable(text));
  return *number;
}

// A regular expression of the user's, POSIX extended: its matcher needs no stack and no time beyond the text's.
class Pattern {
 public:
  explicit Pattern(const std::string& text) {
    if (::regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
      fail(ErrorKind::invalid_argument, "invalid regular expression in log options: \"{}\"", printable(text));
  }
  ~Pattern() { ::regfree(&compiled_); }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  bool matches(const std::string& text) const { return ::regexec(&compiled_, text.c_str(), 0, nullptr, 0) == 0; }

 private:
  regex_t compiled_{};
};

const std::string* option(const LogConfig& config, const char* name) {
  const auto found = config.config.find(name);
  return found == config.config.end() ? nullptr : &found->second;
}

void check_values(const LogConfig& config) {
  if (const auto* size = option(config, "max-size")) parse_size(*size);
  if (const auto* files = option(config, "max-file")) parse_files(*files);
  if (const auto* compress = option(config, "compress"))
    if (*compress != "true" && *compress != "false" && *compress != "1" && *compress != "0")
      fail(ErrorKind::invalid_argument, "invalid log option compress: \"{}\"", printable(*compress));
  for (const char* name : {"labels-regex", "env-regex"})
    if (const auto* text = option(config, name)) Pattern{*text};
}

// The variables and labels that the options name.
void add_wanted(json::Object& out, const Labels& values, const LogConfig& config, const char* list, const char* regex) {
  if (const auto* names = option(config, list))
    for (const auto name : split(*names, ','))
      if (const auto found = values.find(std::string(name)); found != values.end()) out[found->first] = found->second;
  if (const auto* text = option(config, regex)) {
    const Pattern pattern(*text);
    for (const auto& [name, value] : values)
      if (pattern.matches(name)) out[name] = value;
  }
}

Labels environment_of(const Record& record) {
  Labels out;
  for (const std::string& variable : record.config.env.value_or(std::vector<std::string>{}))
    if (const auto parts = split_once(variable, '=')) out[std::string(parts->first)] = std::string(parts->second);
  return out;
}

// Docker's tag is a template; these are the fields that it may name.
std::string tag_of(const Record& record, std::string text) {
  const std::array fields = {std::pair{"{{.ID}}", record.id.substr(0, 12)},
                             std::pair{"{{.FullID}}", record.id},
                             std::pair{"{{.Name}}", record.name},
                             std::pair{"{{.ImageName}}", record.image_ref},
                             std::pair{"{{.ImageFullID}}", record.image_id},
                             std::pair{"{{.DaemonName}}", std::string("docker")}};
  for (const auto& [name, value] : fields) {
    const std::string_view wanted = name;
    for (auto place = text.find(wanted); place != std::string::npos; place = text.find(wanted, place + value.size()))
      text.replace(place, wanted.size(), value);
  }
  return text;
}

}  // namespace

void check_log(HostConfig& host, const LogConfig& fallback) {
  LogConfig& log = host.log_config;
  if (log.type.empty()) log.type = fallback.type.empty() ? "json-file" : fallback.type;
  // Options of the daemon's driver hold where the container names none of its own.
  if (log.config.empty() && (fallback.type.empty() || fallback.type == log.type)) log.config = fallback.config;
  if (log.type != "json-file" && log.type != "none" && log.type != "local")
    fail(ErrorKind::invalid_argument,
         "logger: no log driver named '{}' is registered: json-file, local and none are supported",
         printable(log.type));
  if (log.type == "none") return;
  for (const auto& [name, value] : log.config)
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end())
      fail(ErrorKind::invalid_argument, "unknown log opt '{}' for {} log driver", printable(name), log.type);
  check_values(log);
}

monitor::LogConfig log_config(const Record& record, const std::string& directory) {
  monitor::LogConfig out;
  const LogConfig& asked = record.host_config.log_config;
  if (asked.type == "none") return out;
  out.driver = monitor::LogDriver::json_file;
  out.path = directory + "/" + record.id + "-json.log";
  if (asked.type == "local") {
    out.max_size = kLocalSize;
    out.max_files = kLocalFiles;
  }
  if (const auto* size = option(asked, "max-size")) out.max_size = parse_size(*size);
  if (const auto* files = option(asked, "max-file")) out.max_files = parse_files(*files);
  json::Object attributes;
  add_wanted(attributes, record.config.labels, asked, "labels", "labels-regex");
  add_wanted(attributes, environment_of(record), asked, "env", "env-regex");
  if (const auto* tag = option(asked, "tag")) attributes["tag"] = tag_of(record, *tag);
  if (!attributes.empty()) out.attributes = json::serialize(attributes);
  return out;
}

}  // namespace bryo::engine

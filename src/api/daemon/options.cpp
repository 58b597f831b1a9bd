#include "api/daemon/options.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/files.hpp"

namespace bryo::daemon {
namespace {

constexpr std::size_t kLargestFile = 1 << 20;

void apply(DaemonOptions& options, const Option& option, const std::string& value, std::string_view shown_name) {
  try {
    option.set(options, value);
  } catch (const Error& error) {
    throw error.within(fmt::format("option {}", shown_name));
  }
}

struct Cursor {
  const std::vector<std::string>& words;
  std::size_t at = 0;

  bool done() const { return at == words.size(); }
  const std::string& next() { return words[at++]; }
  const std::string& value_of(const std::string& flag) {
    if (done()) fail(ErrorKind::invalid_argument, "flag needs an argument: {}", flag);
    return next();
  }
};

GivenFlag parse_long(const std::string& word, Cursor& cursor) {
  const auto pair = split_once(std::string_view(word).substr(2), '=');
  const std::string_view name = pair ? pair->first : std::string_view(word).substr(2);
  const Option* option = find_flag(name);
  if (option == nullptr) fail(ErrorKind::invalid_argument, "unknown flag: --{}", printable(name));
  if (pair) return {option, std::string(pair->second)};
  if (option->kind == OptionKind::boolean) return {option, "true"};
  return {option, cursor.value_of(word)};
}

// "-D", "-H value", "-Hvalue", "-H=value".
GivenFlag parse_short(const std::string& word, Cursor& cursor) {
  const Option* option = find_letter(word[1]);
  if (option == nullptr) fail(ErrorKind::invalid_argument, "unknown shorthand flag: {}", printable(word));
  if (word.size() > 2) return {option, word.substr(word[2] == '=' ? 3 : 2)};
  if (option->kind == OptionKind::boolean) return {option, "true"};
  return {option, cursor.value_of(word)};
}

[[noreturn]] void wrong_type(const Option& option, std::string_view expected) {
  fail(ErrorKind::invalid_argument, "directive \"{}\": expected {}", option.key, expected);
}

std::string text_of(const Option& option, const json::Value& value, std::string_view expected) {
  if (!value.is_string()) wrong_type(option, expected);
  return {value.get_string().data(), value.get_string().size()};
}

std::string number_of(const Option& option, const json::Value& value) {
  if (!value.is_int64() && !value.is_uint64()) wrong_type(option, "a whole number");
  return json::serialize(value);
}

std::vector<std::string> list_of(const Option& option, const json::Value& value) {
  if (!value.is_array()) wrong_type(option, "an array of strings");
  std::vector<std::string> out;
  for (const json::Value& item : value.get_array()) out.push_back(text_of(option, item, "an array of strings"));
  return out;
}

std::vector<std::string> map_of(const Option& option, const json::Value& value) {
  if (!value.is_object()) wrong_type(option, "an object of strings");
  std::vector<std::string> out;
  for (const auto& item : value.get_object())
    out.push_back(fmt::format("{}={}", std::string_view(item.key().data(), item.key().size()),
                              text_of(option, item.value(), "an object of strings")));
  return out;
}

std::vector<std::string> pools_of(const Option& option, const json::Value& value) {
  if (!value.is_array()) wrong_type(option, "an array of {\"base\", \"size\"}");
  std::vector<std::string> out;
  for (const json::Value& item : value.get_array()) {
    const auto* object = item.if_object();
    const json::Value* base = object != nullptr ? json::detail::find(*object, "base") : nullptr;
    const json::Value* size = object != nullptr ? json::detail::find(*object, "size") : nullptr;
    if (base == nullptr || size == nullptr) wrong_type(option, "an array of {\"base\", \"size\"}");
    out.push_back(fmt::format("base={},size={}", text_of(option, *base, "a string as base"), number_of(option, *size)));
  }
  return out;
}

std::vector<std::string> ulimits_of(const Option& option, const json::Value& value) {
  if (!value.is_object()) wrong_type(option, "an object of ulimits");
  std::vector<std::string> out;
  for (const auto& item : value.get_object()) {
    const auto* object = item.value().if_object();
    const json::Value* soft = object != nullptr ? json::detail::find(*object, "Soft") : nullptr;
    const json::Value* hard = object != nullptr ? json::detail::find(*object, "Hard") : nullptr;
    if (soft == nullptr || hard == nullptr) wrong_type(option, "{\"Name\", \"Soft\", \"Hard\"} for each ulimit");
    out.push_back(fmt::format("{}={}:{}", std::string_view(item.key().data(), item.key().size()),
                              number_of(option, *soft), number_of(option, *hard)));
  }
  return out;
}

std::string join_values(const std::vector<std::string>& values) {
  return values.size() == 1 ? values[0] : "[" + join(values, " ") + "]";
}

// Every directive is known, and none came as a flag too.
void check_directives(const json::Object& file, const std::map<const Option*, std::vector<std::string>>& flags) {
  std::vector<std::string> unknown;
  std::vector<std::string> twice;
  for (const auto& item : file) {
    const std::string key(item.key().data(), item.key().size());
    const Option* option = find_key(key);
    if (option == nullptr) {
      unknown.push_back(printable(key));
    } else if (const auto given = flags.find(option); given != flags.end()) {
      twice.push_back(fmt::format("{}: (from flag: {}, from file: {})", key, join_values(given->second),
                                  json::serialize(item.value())));
    }
  }
  if (!unknown.empty())
    fail(ErrorKind::invalid_argument, "the following directives don't match any configuration option: {}",
         join(unknown, ", "));
  if (!twice.empty())
    fail(ErrorKind::invalid_argument,
         "the following directives are specified both as a flag and in the configuration file: {}", join(twice, ", "));
}

void apply_file(DaemonOptions& options, std::string_view text,
                const std::map<const Option*, std::vector<std::string>>& flags) {
  if (trim(text).empty()) return;
  const json::Value file = json::parse(text);
  if (!file.is_object()) fail(ErrorKind::invalid_argument, "expected a JSON object");
  check_directives(file.get_object(), flags);
  for (const auto& item : file.get_object()) {
    const Option& option = *find_key({item.key().data(), item.key().size()});
    for (const std::string& value : directive_values(option, item.value())) apply(options, option, value, option.key);
  }
}

}  // namespace

std::vector<GivenFlag> parse_flags(const std::vector<std::string>& arguments) {
  std::vector<GivenFlag> flags;
  Cursor cursor{arguments};
  while (!cursor.done()) {
    const std::string& word = cursor.next();
    if (word.starts_with("--") && word.size() > 2)
      flags.push_back(parse_long(word, cursor));
    else if (word.starts_with('-') && word.size() > 1 && word[1] != '-')
      flags.push_back(parse_short(word, cursor));
    else
      fail(ErrorKind::invalid_argument, "bryod accepts no arguments, but was given \"{}\"", printable(word));
  }
  return flags;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool blank = c == ' ' || c == '\t' || c == '\n';
    if (quote == '\0' && blank) {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
      continue;
    }
    in_word = true;
    if (c == quote)
      quote = '\0';
    else if (quote == '\0' && (c == '"' || c == '\''))
      quote = c;
    else if (c == '\\' && quote != '\'' && i + 1 < text.size())
      word += text[++i];
    else
      word += c;
  }
  if (quote != '\0') fail(ErrorKind::invalid_argument, "a quote is not closed in \"{}\"", printable(text));
  if (in_word) words.push_back(word);
  return words;
}

std::vector<std::string> directive_values(const Option& option, const json::Value& value) {
  switch (option.kind) {
    case OptionKind::boolean:
      if (!value.is_bool()) wrong_type(option, "true or false");
      return {value.get_bool() ? "true" : "false"};
    case OptionKind::text:
      return {text_of(option, value, "a string")};
    case OptionKind::number:
      return {number_of(option, value)};
    case OptionKind::size:
      return {value.is_string() ? text_of(option, value, "a string") : number_of(option, value)};
    case OptionKind::list:
      return list_of(option, value);
    case OptionKind::map:
    case OptionKind::proxies:
      return map_of(option, value);
    case OptionKind::pools:
      return pools_of(option, value);
    case OptionKind::ulimits:
      return ulimits_of(option, value);
    case OptionKind::anything:
      return {json::serialize(value)};
  }
  return {};
}

DaemonOptions::DaemonOptions(const Places& from) : places(from), pidfile(from.pidfile), config_file(from.config_file) {
  engine.data_root = from.data_root;
  engine.exec_root = from.exec_root;
}

DaemonOptions merge_options(const std::vector<GivenFlag>& flags, FileReader read_file, const Places& places) {
  DaemonOptions options(places);
  std::map<const Option*, std::vector<std::string>> given;
  for (const GivenFlag& flag : flags) {
    apply(options, *flag.option, flag.value, fmt::format("--{}", flag.option->flag));
    given[flag.option].push_back(flag.value);
  }
  if (options.help || options.version) return options;
  const auto text = read_file(options.config_file);
  try {
    if (text) apply_file(options, *text, given);
    if (!text && options.config_file_given) fail(ErrorKind::not_found, "there is no such file");
  } catch (const Error& error) {
    throw error.within(fmt::format("unable to configure the daemon with file {}", options.config_file));
  }
  if (options.tls_verify) options.tls = true;
  if (options.engine.cdi_spec_dirs.empty()) options.engine.cdi_spec_dirs = places.cdi;
  std::erase(options.engine.cdi_spec_dirs, "");  // said to be none
  return options;
}

DaemonOptions load_options(const std::vector<std::string>& arguments) {
  std::vector<std::string> words;
  for (const char* name : {"BRYO_OPTS", "DOCKER_OPTS"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    words = split_words(value);
    break;
  }
  // A unit may expand $BRYO_OPTS on the command line as well: what is there twice is taken once.
  auto flags = parse_flags(words);
  for (GivenFlag& flag : parse_flags(arguments))
    if (std::none_of(flags.begin(), flags.end(),
                     [&](const GivenFlag& other) { return other.option == flag.option && other.value == flag.value; }))
      flags.push_back(std::move(flag));
  return merge_options(
      flags,
      [](const std::string& path) -> std::optional<std::string> {
        try {
          const UniqueFd file = kernel::open_trusted(path, O_RDONLY);
          return kernel::read_file(file.get(), kLargestFile);
        } catch (const Error& error) {
          if (error.number() == ENOENT || error.number() == ENOTDIR) return std::nullopt;
          throw;
        }
      },
      places());
}

}  // namespace bryo::daemon

#include "cli/commands/helpers.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/template.hpp"

namespace bryo::cli {

std::string container_path(std::string_view name, std::string_view rest) {
  if (name.empty()) fail(ErrorKind::invalid_argument, "invalid container name or ID: value is empty");
  return "/containers/" + encode_path(name) + std::string(rest);
}

std::string image_path(std::string_view name, std::string_view rest) {
  if (name.empty()) fail(ErrorKind::invalid_argument, "invalid image name: value is empty");
  return "/images/" + encode_path(name) + std::string(rest);
}

int for_each_name(Context& context, const std::vector<std::string>& names,
                  const std::function<void(const std::string&)>& action) {
  int status = 0;
  for (const std::string& name : names) {
    try {
      action(name);
    } catch (const Error& error) {
      context.out.flush();
      context.err.print("{}\n", error.message());
      context.err.flush();
      status = 1;
      // Without a daemon the other names fare no better.
      if (error.kind() == ErrorKind::unavailable && error.message().starts_with("Cannot connect")) break;
    }
  }
  return status;
}

int for_each_printed(Context& context, const std::vector<std::string>& names,
                     const std::function<void(const std::string&)>& action) {
  return for_each_name(context, names, [&](const std::string& name) {
    action(name);
    context.out.print("{}\n", name);
    context.out.flush();
  });
}

bool confirm(Context& context, std::string_view question) {
  context.out.print("{} [y/N] ", question);
  context.out.flush();
  const std::string answer = to_lower(trim(read_line().value_or("")));
  return answer == "y" || answer == "yes";
}

void add_filters(Query& query, const json::Object& filters) {
  if (!filters.empty()) query.add("filters", compact_json(filters));
}

std::string api_timestamp(std::string_view option, const std::string& text) {
  const auto time = parse_timestamp(text, wall_now());
  if (!time)
    fail(ErrorKind::invalid_argument, "invalid value for \"{}\": failed to parse value as time or duration: \"{}\"",
         option, printable(text));
  const auto whole = std::chrono::floor<std::chrono::seconds>(*time);
  return fmt::format("{}.{:09}", whole.time_since_epoch().count(), (*time - whole).count());
}

std::optional<std::string> read_line() {
  std::string line;
  char c = 0;
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, &c, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return line.empty() ? std::nullopt : std::optional(line);
    if (c == '\n') return line;
    if (c != '\r' && line.size() < 65536) line += c;
  }
}

void for_each_value(Answer& answer, const std::function<void(const json::Value&)>& action) {
  JsonStream stream;
  std::array<char, 16 << 10> block;
  while (const std::size_t got = answer.read(block)) {
    stream.feed({block.data(), got});
    while (const auto value = stream.next()) action(*value);
  }
}

std::string render_value(const json::Value& value, std::string_view source) {
  constexpr int kBadTemplate = 64;
  std::optional<Template> parsed;
  try {
    parsed = Template::parse(source);
  } catch (const Error& error) {
    throw error.within("template parsing error").with_exit_code(kBadTemplate);
  }
  Template::Data data;
  data.root = &value;
  try {
    return parsed->render(data);
  } catch (const Error& error) {
    throw error.within("template parsing error");
  }
}

std::string render_named(const json::Value& value, std::string_view source, const std::string& name,
                         const std::string& type) {
  Template::Data data;
  data.root = &value;
  data.type = type;
  return Template::parse(source, name).render(data);
}

}  // namespace bryo::cli

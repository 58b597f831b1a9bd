#include "monitor/log_line.hpp"

#include <algorithm>
#include <map>

#include "base/strings.hpp"

namespace bryo::monitor {
namespace {

// Walks over one JSON object without building anything.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool at_end() {
    skip_blanks();
    return rest_.empty();
  }
  // Between the quotes, escapes as they are.
  std::optional<std::string_view> string() {
    if (!take('"')) return std::nullopt;
    const std::size_t end = string_end(rest_);
    if (end == std::string_view::npos) return std::nullopt;
    const auto text = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return text;
  }
  // Any value, as text.
  std::optional<std::string_view> value() {
    skip_blanks();
    const auto start = rest_;
    if (!skip_value()) return std::nullopt;
    return start.substr(0, start.size() - rest_.size());
  }

 private:
  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
  }
  // A quote ends the string unless an odd number of backslashes stands before it.
  static std::size_t string_end(std::string_view text) {
    for (std::size_t at = text.find('"'); at != std::string_view::npos; at = text.find('"', at + 1)) {
      std::size_t first = at;
      while (first > 0 && text[first - 1] == '\\') --first;
      if ((at - first) % 2 == 0) return at;
    }
    return std::string_view::npos;
  }
  bool skip_value() {
    int depth = 0;
    while (!rest_.empty()) {
      const char c = rest_.front();
      if (c == '"') {
        if (!string()) return false;
      } else if (c == '{' || c == '[') {
        ++depth;
        rest_.remove_prefix(1);
      } else if (c == '}' || c == ']') {
        if (depth == 0) return true;  // of the object around the value
        --depth;
        rest_.remove_prefix(1);
      } else if (c == ',' && depth == 0) {
        return true;
      } else {
        rest_.remove_prefix(1);
        continue;
      }
      if (depth == 0) return true;
    }
    return depth == 0;
  }

  std::string_view rest_;
};

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xc0 | point >> 6);
    put(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    put(0xe0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  } else {
    put(0xf0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3f));
    put(0x80 | (point >> 6 & 0x3f));
    put(0x80 | (point & 0x3f));
  }
}

// The four digits after \u; nullopt when they are not.
std::optional<std::uint32_t> hex4(std::string_view text) {
  std::uint32_t value = 0;
  if (text.size() < 4) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + 4, value, 16);
  return error == std::errc() && end == text.data() + 4 ? std::optional(value) : std::nullopt;
}

// Behind "\u"; returns how many bytes were used.
std::size_t append_unicode(std::string& out, std::string_view text) {
  constexpr std::uint32_t replacement = 0xfffd;
  const auto first = hex4(text);
  if (!first) {
    append_utf8(out, replacement);
    return 0;
  }
  if (*first < 0xd800 || *first > 0xdfff) {
    append_utf8(out, *first);
    return 4;
  }
  const auto second = text.substr(4).starts_with("\\u") ? hex4(text.substr(6)) : std::nullopt;
  if (*first > 0xdbff || !second || *second < 0xdc00 || *second > 0xdfff) {
    append_utf8(out, replacement);
    return 4;
  }
  append_utf8(out, 0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00));
  return 10;
}

char simple_escape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    default:
      return c;  // quote, backslash, slash
  }
}

// Go's url.QueryEscape.
void append_query_escaped(std::string& out, std::string_view text) {
  constexpr char hex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
    if (letter || (byte >= '0' && byte <= '9') || c == '-' || c == '_' || c == '.' || c == '~') {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
}

}  // namespace

std::optional<LogLine> parse_log_line(std::string_view line) {
  Scanner scanner(line);
  LogLine out;
  if (!scanner.take('{')) return std::nullopt;
  bool more = !scanner.take('}');
  while (more) {
    const auto key = scanner.string();
    if (!key || !scanner.take(':')) return std::nullopt;
    const auto value = scanner.value();
    if (!value || value->empty()) return std::nullopt;
    const bool quoted = value->size() >= 2 && value->front() == '"';
    const auto inner = quoted ? value->substr(1, value->size() - 2) : std::string_view();
    if (*key == "log" && quoted) out.text = inner;
    if (*key == "stream" && quoted) out.stream = inner == "stderr" ? 2 : 1;
    if (*key == "time" && quoted) out.time = inner;
    if (*key == "attrs" && value->front() == '{') out.attributes = *value;
    if (scanner.take('}'))
      more = false;
    else if (!scanner.take(','))
      return std::nullopt;
  }
  if (!scanner.at_end() || out.time.empty()) return std::nullopt;
  return out;
}

void append_unescaped(std::string& out, std::string_view text) {
  while (true) {
    const auto at = text.find('\\');
    out.append(text.substr(0, at));
    if (at == std::string_view::npos || at + 1 >= text.size()) return;
    const char kind = text[at + 1];
    text.remove_prefix(at + 2);
    if (kind == 'u')
      text.remove_prefix(append_unicode(out, text));
    else
      out += simple_escape(kind);
  }
}

std::string details_text(std::string_view attributes) {
  std::map<std::string, std::string> sorted;
  Scanner scanner(attributes);
  if (scanner.take('{')) {
    do {
      const auto key = scanner.string();
      if (!key || !scanner.take(':')) break;
      const auto value = scanner.value();
      if (!value) break;
      const bool quoted = value->size() >= 2 && value->front() == '"';
      std::string name;
      append_unescaped(name, *key);
      append_unescaped(sorted[name], quoted ? value->substr(1, value->size() - 2) : *value);
    } while (scanner.take(','));
  }
  std::string out;
  for (const auto& [key, value] : sorted) {
    if (!out.empty()) out += ',';
    append_query_escaped(out, key);
    out += '=';
    append_query_escaped(out, value);
  }
  return out;
}

void append_frame(std::string& out, const LogLine& line, WallTime time, const FrameOptions& options) {
  const std::size_t head = out.size();
  if (!options.raw) out.append({static_cast<char>(line.stream), 0, 0, 0, 0, 0, 0, 0});
  const std::size_t start = out.size();
  if (options.timestamps) out.append(to_rfc3339_fixed(time)) += ' ';
  if (options.details) out.append(details_text(line.attributes)) += ' ';
  append_unescaped(out, line.text);
  if (options.raw) return;
  const std::size_t size = out.size() - start;
  for (std::size_t i = 0; i < 4; ++i) out[head + 4 + i] = static_cast<char>(size >> (24 - 8 * i));
}

}  // namespace bryo::monitor

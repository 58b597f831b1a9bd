#include "api/query.hpp"

#include "base/json.hpp"
#include "base/strings.hpp"

namespace bryo::api {
namespace {

constexpr std::size_t kMostParameters = 1000;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decode_or_throw(std::string_view text) {
  auto decoded = percent_decode(text, true);
  if (!decoded) fail(ErrorKind::invalid_argument, "invalid URL escape in query \"{}\"", printable(text));
  return *std::move(decoded);
}

std::vector<std::string> filter_values(const json::Value& json, const std::string& path) {
  if (json.is_array()) return json::decode<std::vector<std::string>>(json, path);
  std::vector<std::string> values;
  for (const auto& [value, wanted] : json::decode<std::map<std::string, bool>>(json, path))
    if (wanted) values.push_back(value);
  return values;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, bool form) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && form) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    out += c;
  }
  return out;
}

Query Query::parse(std::string_view text) {
  Query query;
  if (text.empty()) return query;
  for (const std::string_view piece : split(text, '&')) {
    if (piece.empty()) continue;
    if (query.items_.size() == kMostParameters)
      fail(ErrorKind::invalid_argument, "too many query parameters: at most {} are accepted", kMostParameters);
    const auto pair = split_once(piece, '=');
    query.items_.emplace_back(decode_or_throw(pair ? pair->first : piece),
                              pair ? decode_or_throw(pair->second) : std::string());
  }
  return query;
}

const std::string* Query::find(std::string_view name) const {
  for (const auto& [key, value] : items_)
    if (key == name) return &value;
  return nullptr;
}

const std::string& Query::get(std::string_view name) const {
  static const std::string none;
  const std::string* found = find(name);
  return found != nullptr ? *found : none;
}

std::vector<std::string> Query::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : items_)
    if (key == name) values.push_back(value);
  return values;
}

bool Query::flag(std::string_view name) const {
  const std::string value = to_lower(trim(get(name)));
  return !(value.empty() || value == "0" || value == "no" || value == "false" || value == "none");
}

std::optional<std::int64_t> Query::integer(std::string_view name, std::int64_t least, std::int64_t most) const {
  const std::string& text = get(name);
  if (text.empty()) return std::nullopt;
  const auto value = parse_integer<std::int64_t>(text);
  if (!value)
    fail(ErrorKind::invalid_argument, "invalid value \"{}\" for {}: expected a number", printable(text), name);
  if (*value < least || *value > most)
    fail(ErrorKind::invalid_argument, "invalid value {} for {}: expected {} to {}", *value, name, least, most);
  return value;
}

std::map<std::string, std::vector<std::string>> Query::filters() const {
  std::map<std::string, std::vector<std::string>> out;
  const std::string& text = get("filters");
  if (text.empty()) return out;
  json::Value parsed;
  try {
    parsed = json::parse(text);
  } catch (const Error& error) {
    throw error.within("invalid filter");
  }
  if (parsed.is_null()) return out;
  if (!parsed.is_object()) fail(ErrorKind::invalid_argument, "invalid filter: expected a JSON object");
  for (const auto& item : parsed.get_object()) {
    const std::string key(item.key().data(), item.key().size());
    out[key] = filter_values(item.value(), "filters." + key);
  }
  return out;
}

}  // namespace bryo::api

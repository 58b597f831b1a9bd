#include "oci/cdi/yaml.hpp"

#include <yaml.h>

#include <charconv>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::oci::cdi {
namespace {

constexpr unsigned kMaxDepth = 64;

struct Event {
  yaml_event_t raw{};
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&raw); }
};

[[noreturn]] void refuse(const yaml_mark_t& mark, std::string_view what) {
  fail(ErrorKind::invalid_argument, "line {}, column {}: {}", mark.line + 1, mark.column + 1, what);
}

std::string_view text_of(const yaml_char_t* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

std::optional<std::int64_t> integer_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  std::string_view digits = text;
  if (negative || text.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  const auto prefix = [&](std::string_view word, int of) {
    if (!digits.starts_with(word) || digits.size() == word.size()) return false;
    digits.remove_prefix(word.size());
    base = of;
    return true;
  };
  if (!prefix("0x", 16) && !prefix("0o", 8)) prefix("0", 8);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || digits.front() == '-' || error != std::errc() || end != digits.data() + digits.size())
    return std::nullopt;
  return negative ? -value : value;
}

json::Value plain_scalar(std::string_view text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (const auto number = integer_of(text)) return *number;
  return json::Value(boost::json::string(text));
}

class Reader {
 public:
  explicit Reader(std::string_view text) {
    if (yaml_parser_initialize(&parser_) == 0) fail(ErrorKind::exhausted, "not enough memory to read YAML");
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const yaml_char_t*>(text.data()), text.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  json::Value document() {
    expect(YAML_STREAM_START_EVENT);
    expect(YAML_DOCUMENT_START_EVENT);
    Event first;
    next(first);
    json::Value value = node(first.raw, 0);
    expect(YAML_DOCUMENT_END_EVENT);
    expect(YAML_STREAM_END_EVENT);
    return value;
  }

 private:
  void next(Event& event) {
    if (yaml_parser_parse(&parser_, &event.raw) == 0)
      refuse(parser_.problem_mark, parser_.problem != nullptr ? parser_.problem : "this is not YAML");
  }

  void expect(yaml_event_type_t type) {
    Event event;
    next(event);
    if (event.raw.type != type) refuse(event.raw.start_mark, "one document was expected here, and nothing else");
  }

  json::Value node(const yaml_event_t& event, unsigned depth) {
    if (depth > kMaxDepth) refuse(event.start_mark, "nested too deeply");
    switch (event.type) {
      case YAML_SCALAR_EVENT:
        return scalar(event);
      case YAML_SEQUENCE_START_EVENT:
        return sequence(event, depth);
      case YAML_MAPPING_START_EVENT:
        return mapping(event, depth);
      case YAML_ALIAS_EVENT:
        refuse(event.start_mark, "aliases are not read here: write the value again");
      default:
        refuse(event.start_mark, "a value was expected here");
    }
  }

  static void check_plain(const yaml_event_t& event, const yaml_char_t* anchor, const yaml_char_t* tag) {
    if (anchor != nullptr) refuse(event.start_mark, "anchors are not read here");
    if (tag != nullptr) refuse(event.start_mark, "tags are not read here");
  }

  static json::Value scalar(const yaml_event_t& event) {
    const auto& data = event.data.scalar;
    check_plain(event, data.anchor, data.tag);
    const std::string_view text = text_of(data.value, data.length);
    if (data.style == YAML_PLAIN_SCALAR_STYLE) return plain_scalar(text);
    return json::Value(boost::json::string(text));
  }

  json::Value sequence(const yaml_event_t& event, unsigned depth) {
    check_plain(event, event.data.sequence_start.anchor, event.data.sequence_start.tag);
    json::Array out;
    while (true) {
      Event item;
      next(item);
      if (item.raw.type == YAML_SEQUENCE_END_EVENT) return out;
      out.push_back(node(item.raw, depth + 1));
    }
  }

  json::Value mapping(const yaml_event_t& event, unsigned depth) {
    check_plain(event, event.data.mapping_start.anchor, event.data.mapping_start.tag);
    json::Object out;
    while (true) {
      Event key;
      next(key);
      if (key.raw.type == YAML_MAPPING_END_EVENT) return out;
      if (key.raw.type != YAML_SCALAR_EVENT) refuse(key.raw.start_mark, "a key must be a word");
      const std::string name(text_of(key.raw.data.scalar.value, key.raw.data.scalar.length));
      if (out.contains(name)) refuse(key.raw.start_mark, fmt::format("the key \"{}\" is there twice", printable(name)));
      Event value;
      next(value);
      out[name] = node(value.raw, depth + 1);
    }
  }

  yaml_parser_t parser_{};
};

}  // namespace

json::Value yaml_to_json(std::string_view text) { return Reader(text).document(); }

}  // namespace bryo::oci::cdi

#include "runtime/command/gvariant_text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <optional>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::size_t kDeepest = 16;
constexpr std::string_view kNumbers = "ynqiuxthd";
constexpr std::string_view kTexts = "sog";

struct TypeName {
  std::string_view name;
  char type;
};
constexpr std::array kTypeNames = {TypeName{"boolean", 'b'},  TypeName{"byte", 'y'},   TypeName{"int16", 'n'},
                                   TypeName{"uint16", 'q'},   TypeName{"int32", 'i'},  TypeName{"uint32", 'u'},
                                   TypeName{"int64", 'x'},    TypeName{"uint64", 't'}, TypeName{"handle", 'h'},
                                   TypeName{"double", 'd'},   TypeName{"string", 's'}, TypeName{"objectpath", 'o'},
                                   TypeName{"signature", 'g'}};

// What is written, before its type is known.
struct Node {
  enum class Kind { boolean, number, text, bytes, array, tuple, dictionary, variant };
  Kind kind = Kind::boolean;
  std::size_t at = 0;
  std::string text;  // of a number or a string; "true"
  std::string type;  // as annotated; empty: to be found out
  std::vector<Node> children;
};

[[noreturn]] void refuse(std::size_t at, std::string_view what) {
  fail(ErrorKind::invalid_argument, "at character {}: {}", at + 1, what);
}

bool is_number(const std::string& type) { return type.size() == 1 && kNumbers.find(type[0]) != std::string_view::npos; }
bool is_text(const std::string& type) { return type.size() == 1 && kTexts.find(type[0]) != std::string_view::npos; }

// Length of the one complete type that `types` begins with; 0 when it begins with none.
std::size_t type_length(std::string_view types, std::size_t depth = 0) {
  if (types.empty() || depth > kDeepest) return 0;
  if (kNumbers.find(types[0]) != std::string_view::npos || kTexts.find(types[0]) != std::string_view::npos ||
      types[0] == 'b' || types[0] == 'v')
    return 1;
  if (types[0] == 'a' && types.size() > 1 && types[1] == '{') {
    const std::size_t key = type_length(types.substr(2), depth + 1);
    const std::size_t value = key == 1 ? type_length(types.substr(2 + key), depth + 1) : 0;
    const std::size_t end = 2 + key + value;
    return value != 0 && types[2] != 'v' && end < types.size() && types[end] == '}' ? end + 1 : 0;
  }
  if (types[0] == 'a') {
    const std::size_t element = type_length(types.substr(1), depth + 1);
    return element == 0 ? 0 : element + 1;
  }
  if (types[0] != '(') return 0;
  std::size_t end = 1;
  while (end < types.size() && types[end] != ')') {
    const std::size_t member = type_length(types.substr(end), depth + 1);
    if (member == 0) return 0;
    end += member;
  }
  return end > 1 && end < types.size() ? end + 1 : 0;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Node document() {
    Node node = value(0);
    blanks();
    if (at_ != text_.size()) refuse(at_, "nothing may follow the value");
    return node;
  }

 private:
  void blanks() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }
  char next() {
    blanks();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (next() != c) return false;
    ++at_;
    return true;
  }
  void need(char c) {
    if (!take(c)) refuse(at_, std::string("expected \"") + c + "\"");
  }
  std::string_view word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() &&
           ((text_[at_] >= 'a' && text_[at_] <= 'z') || (text_[at_] >= 'A' && text_[at_] <= 'Z') ||
            (text_[at_] >= '0' && text_[at_] <= '9') ||
            std::string_view("+-._").find(text_[at_]) != std::string_view::npos))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Node value(std::size_t depth) {
    if (depth > kDeepest) refuse(at_, "nested too deep");
    Node node;
    const char first = next();
    node.at = at_;
    if (first == '@') return annotated(depth);
    if (first == '\'' || first == '"') return string(node);
    if (first == 'b' && at_ + 1 < text_.size() && (text_[at_ + 1] == '\'' || text_[at_ + 1] == '"')) {
      ++at_;
      node.kind = Node::Kind::bytes;
      node.type = "ay";
      node.text = quoted();
      return node;
    }
    if (first == '[') return list(node, Node::Kind::array, ']', depth);
    if (first == '(') return list(node, Node::Kind::tuple, ')', depth);
    if (first == '{') return dictionary(node, depth);
    if (first == '<') {
      ++at_;
      node.kind = Node::Kind::variant;
      node.children.push_back(value(depth + 1));
      need('>');
      return node;
    }
    return plain(node, depth);
  }

  // "@TYPE value": the type holds for all that is in it.
  Node annotated(std::size_t depth) {
    const std::size_t begin = ++at_;
    const std::size_t length = type_length(text_.substr(begin));
    if (length == 0) refuse(begin, "expected a type behind \"@\"");
    at_ += length;
    Node node = value(depth + 1);
    if (!node.type.empty()) refuse(begin, "two types for one value");
    node.type = text_.substr(begin, length);
    return node;
  }

  Node plain(Node& node, std::size_t depth) {
    const std::string_view text = word();
    if (text == "true" || text == "false") {
      node.kind = Node::Kind::boolean;
      node.text = text;
      return node;
    }
    const auto* const named = std::ranges::find(kTypeNames, text, &TypeName::name);
    if (named != kTypeNames.end()) {
      Node typed = value(depth + 1);
      if (!typed.type.empty()) refuse(node.at, "two types for one value");
      typed.type = std::string(1, named->type);
      return typed;
    }
    const bool number = !text.empty() && (std::string_view("+-.0123456789").find(text[0]) != std::string_view::npos ||
                                          text == "inf" || text == "nan");
    if (!number) refuse(node.at, text.empty() ? "expected a value" : "no value begins so");
    node.kind = Node::Kind::number;
    node.text = text;
    return node;
  }

  Node string(Node& node) {
    node.kind = Node::Kind::text;
    node.text = quoted();
    return node;
  }

  std::string quoted() {
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\')
        escape(out);
      else
        out += text_[at_++];
    }
    if (at_ == text_.size()) refuse(at_, "the text has no end");
    ++at_;
    return out;
  }

  void escape(std::string& out) {
    constexpr std::string_view kNames = "abfnrtv";
    constexpr std::string_view kMeant = "\a\b\f\n\r\t\v";
    if (++at_ == text_.size()) refuse(at_, "the text has no end");
    const char name = text_[at_++];
    if (name == 'u' || name == 'U')
      code_point(out, name == 'u' ? 4 : 8);
    else if (const std::size_t known = kNames.find(name); known != std::string_view::npos)
      out += kMeant[known];
    else if (name != '\n')
      out += name;
  }

  void code_point(std::string& out, std::size_t digits) {
    std::uint32_t code = 0;
    const std::string_view text = text_.substr(at_, digits);
    const auto read = std::from_chars(text.data(), text.data() + text.size(), code, 16);
    if (text.size() != digits || read.ptr != text.data() + digits || code == 0 || code > 0x10ffff ||
        (code >= 0xd800 && code < 0xe000))
      refuse(at_, "no such character");
    at_ += digits;
    const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
    if (code < 0x80) return put(code);
    if (code < 0x800) {
      put(0xc0 | code >> 6);
    } else if (code < 0x10000) {
      put(0xe0 | code >> 12);
      put(0x80 | (code >> 6 & 0x3f));
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
      put(0x80 | (code >> 6 & 0x3f));
    }
    put(0x80 | (code & 0x3f));
  }

  Node list(Node& node, Node::Kind kind, char end, std::size_t depth) {
    node.kind = kind;
    ++at_;
    while (!take(end)) {
      node.children.push_back(value(depth + 1));
      // "(x,)" is a tuple of one.
      if (!take(',') && next() != end) refuse(at_, std::string("expected \",\" or \"") + end + "\"");
    }
    return node;
  }

  // Keys and values in turn.
  Node dictionary(Node& node, std::size_t depth) {
    node.kind = Node::Kind::dictionary;
    ++at_;
    while (!take('}')) {
      node.children.push_back(value(depth + 1));
      need(':');
      node.children.push_back(value(depth + 1));
      if (!take(',') && next() != '}') refuse(at_, "expected \",\" or \"}\"");
    }
    return node;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::string type_of(const Node& node);

// Of all elements: one that says its type decides, else the first whose type is sure; plain numbers become doubles
// together.
std::string common_type(const std::vector<Node>& nodes, std::size_t begin, std::size_t step, std::size_t at) {
  std::string found;
  for (std::size_t i = begin; i < nodes.size(); i += step) {
    if (!nodes[i].type.empty()) return nodes[i].type;
    const bool empty_list =
        nodes[i].children.empty() && (nodes[i].kind == Node::Kind::array || nodes[i].kind == Node::Kind::dictionary);
    if (empty_list) continue;
    std::string type = type_of(nodes[i]);
    if (found.empty() || (found == "i" && type == "d")) found = std::move(type);
  }
  if (found.empty()) refuse(at, "the type of an empty list must be said (@as [])");
  return found;
}

std::string type_of(const Node& node) {
  if (!node.type.empty()) return node.type;
  switch (node.kind) {
    case Node::Kind::boolean:
      return "b";
    case Node::Kind::number:
      // "1e3" and "inf", but 0x1e is a whole number.
      return !node.text.starts_with("0x") && node.text.find_first_of(".en") != std::string::npos ? "d" : "i";
    case Node::Kind::text:
      return "s";
    case Node::Kind::bytes:
      return "ay";
    case Node::Kind::variant:
      return "v";
    case Node::Kind::array:
      return "a" + common_type(node.children, 0, 1, node.at);
    case Node::Kind::dictionary:
      return "a{" + common_type(node.children, 0, 2, node.at) + common_type(node.children, 1, 2, node.at) + "}";
    case Node::Kind::tuple:
      break;
  }
  if (node.children.empty()) refuse(node.at, "D-Bus has no empty tuple");
  std::string out = "(";
  for (const Node& child : node.children) out += type_of(child);
  return out + ")";
}

template <typename Number>
std::uint64_t whole(const Node& node) {
  std::string_view text = node.text;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const int base = text.starts_with("0x") ? 16 : text.size() > 1 && text.starts_with('0') ? 8 : 10;
  if (base == 16) text.remove_prefix(2);
  std::uint64_t size = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), size, base);
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<Number>::max());
  const std::uint64_t limit = !negative ? most : std::numeric_limits<Number>::is_signed ? most + 1 : 0;
  if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() || size > limit)
    refuse(node.at, "no number that its type can hold");
  return negative ? ~size + 1 : size;
}

std::uint64_t fraction(const Node& node) {
  double value = 0;
  const std::string_view text = std::string_view(node.text).substr(node.text.starts_with('+') ? 1 : 0);
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) refuse(node.at, "no number");
  return std::bit_cast<std::uint64_t>(value);
}

std::uint64_t number(const Node& node, char type) {
  switch (type) {
    case 'y':
      return whole<std::uint8_t>(node);
    case 'n':
      return whole<std::int16_t>(node);
    case 'q':
      return whole<std::uint16_t>(node);
    case 'i':
    case 'h':
      return whole<std::int32_t>(node);
    case 'u':
      return whole<std::uint32_t>(node);
    case 'x':
      return whole<std::int64_t>(node);
    case 't':
      return whole<std::uint64_t>(node);
    default:
      return fraction(node);
  }
}

BusTree typed(const Node& node, const std::string& type);

BusTree typed_array(const Node& node, const std::string& type) {
  BusTree out{type};
  const std::string element = type.substr(1);
  if (node.kind == Node::Kind::bytes && element == "y") {
    for (const char c : node.text + '\0') out.members.push_back({"y", static_cast<std::uint8_t>(c)});
  } else if (node.kind == Node::Kind::array && element[0] != '{') {
    for (const Node& child : node.children) out.members.push_back(typed(child, element));
  } else if (node.kind == Node::Kind::dictionary && element[0] == '{') {
    const std::string key = element.substr(1, 1);
    const std::string value = element.substr(2, element.size() - 3);
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2)
      out.members.push_back({element, 0, "", {typed(node.children[i], key), typed(node.children[i + 1], value)}});
  } else {
    refuse(node.at, "no value of the type " + type);
  }
  return out;
}

BusTree typed_tuple(const Node& node, const std::string& type) {
  BusTree out{type};
  std::size_t at = 1;
  for (const Node& child : node.children) {
    const std::size_t length = type_length(std::string_view(type).substr(at));
    if (length == 0) refuse(node.at, "more members than the type " + type + " has");
    out.members.push_back(typed(child, type.substr(at, length)));
    at += length;
  }
  if (at + 1 != type.size()) refuse(node.at, "fewer members than the type " + type + " has");
  return out;
}

BusTree typed(const Node& node, const std::string& type) {
  if (!node.type.empty() && node.type != type)
    refuse(node.at, "of type " + node.type + " where one of " + type + " has to be");
  if (type[0] == 'a') return typed_array(node, type);
  if (type[0] == '(' && node.kind == Node::Kind::tuple) return typed_tuple(node, type);
  if (type == "v" && node.kind == Node::Kind::variant)
    return {type, 0, "", {typed(node.children[0], type_of(node.children[0]))}};
  if (type == "b" && node.kind == Node::Kind::boolean) return {type, node.text == "true" ? 1U : 0U};
  if (is_number(type) && node.kind == Node::Kind::number) return {type, number(node, type[0])};
  if (is_text(type) && node.kind == Node::Kind::text) {
    if (node.text.find('\0') != std::string::npos) refuse(node.at, "a text holds no zero byte");
    if (type == "g" && node.text.size() > 255) refuse(node.at, "too long for a signature");
    return {type, 0, node.text};
  }
  refuse(node.at, "no value of the type " + type);
}

}  // namespace

BusTree parse_gvariant(std::string_view text) {
  const Node node = Parser(text).document();
  return typed(node, type_of(node));
}

}  // namespace bryo::runtime::command

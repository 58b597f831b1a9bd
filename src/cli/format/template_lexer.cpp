#include "cli/format/template_lexer.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli::tmpl {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         (static_cast<unsigned char>(c) & 0x80U) != 0;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(unsigned code, std::string& out) {
  const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0U | (code >> 6));
    put(0x80U | (code & 0x3fU));
  } else if (code < 0x10000) {
    put(0xe0U | (code >> 12));
    put(0x80U | ((code >> 6) & 0x3fU));
    put(0x80U | (code & 0x3fU));
  } else {
    put(0xf0U | ((code >> 18) & 7U));
    put(0x80U | ((code >> 12) & 0x3fU));
    put(0x80U | ((code >> 6) & 0x3fU));
    put(0x80U | (code & 0x3fU));
  }
}

class Lexer {
 public:
  Lexer(std::string_view name, std::string_view source) : name_(name), source_(source) {}

  std::vector<Token> run() {
    bool trim_next = false;
    while (at_ < source_.size()) {
      const auto open = std::min(source_.find("{{", at_), source_.size());
      std::string_view text = source_.substr(at_, open - at_);
      if (trim_next) text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
      if (opens_trimmed(open)) text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
      if (!text.empty()) add(Token::Kind::text, std::string(text), at_);
      at_ = open;
      if (at_ < source_.size()) trim_next = action();
    }
    add(Token::Kind::end, "", at_);
    return std::move(tokens_);
  }

 private:
  bool opens_trimmed(std::size_t open) const {
    return source_.substr(open, 3) == "{{-" && open + 3 < source_.size() &&
           kBlanks.find(source_[open + 3]) != std::string_view::npos;
  }

  bool closes_trimmed() const {
    return kBlanks.find(source_[at_]) != std::string_view::npos && source_.substr(at_ + 1, 3) == "-}}";
  }

  // From "{{" to past "}}"; true when the text after it loses its leading blanks.
  bool action() {
    const std::size_t start = at_;
    const std::size_t inside = start + (opens_trimmed(start) ? 4 : 2);
    if (source_.substr(inside, 2) == "/*") return comment(inside);
    add(Token::Kind::open, "{{", start);
    at_ = inside;
    while (true) {
      if (at_ >= source_.size()) fail_at(start, "unclosed action");
      if (source_.substr(at_, 2) == "}}") {
        add(Token::Kind::close, "}}", at_);
        at_ += 2;
        return false;
      }
      if (closes_trimmed()) {
        add(Token::Kind::close, "}}", at_);
        at_ += 4;
        return true;
      }
      token();
    }
  }

  bool comment(std::size_t inside) {
    const auto end = source_.find("*/", inside + 2);
    if (end == std::string_view::npos) fail_at(inside, "unclosed comment");
    at_ = end + 2;
    if (source_.substr(at_, 2) == "}}") {
      at_ += 2;
      return false;
    }
    if (at_ >= source_.size() || !closes_trimmed()) fail_at(inside, "comment ends before closing delimiter");
    at_ += 4;
    return true;
  }

  void token() {
    const std::size_t start = at_;
    const char c = source_[at_];
    if (kBlanks.find(c) != std::string_view::npos) {
      at_ = std::min(source_.find_first_not_of(kBlanks, at_), source_.size());
      // The blank of " -}}" belongs to the trim marker.
      if (source_.substr(at_, 3) == "-}}" && at_ > start) --at_;
      if (at_ > start) add(Token::Kind::space, " ", start);
    } else if (c == '"') {
      quoted();
    } else if (c == '`') {
      raw();
    } else if (c == '\'') {
      character();
    } else if (c == '.' && !(at_ + 1 < source_.size() && is_digit(source_[at_ + 1]))) {
      ++at_;
      const std::string name = take_word();
      add(name.empty() ? Token::Kind::dot : Token::Kind::field, name, start);
    } else if (c == '$') {
      ++at_;
      add(Token::Kind::variable, "$" + take_word(), start);
    } else if (is_digit(c) || c == '.' || ((c == '+' || c == '-') && starts_number(at_ + 1))) {
      number();
    } else if (is_word(c)) {
      add(Token::Kind::word, take_word(), start);
    } else if (source_.substr(at_, 2) == ":=") {
      at_ += 2;
      add(Token::Kind::symbol, ":=", start);
    } else if (std::string_view("|(),=").find(c) != std::string_view::npos) {
      ++at_;
      add(Token::Kind::symbol, std::string(1, c), start);
    } else {
      fail_at(start, "unexpected " + printable(source_.substr(start, 1)) + " in command");
    }
  }

  bool starts_number(std::size_t position) const {
    return position < source_.size() && (is_digit(source_[position]) || source_[position] == '.');
  }

  std::string take_word() {
    const std::size_t start = at_;
    while (at_ < source_.size() && is_word(source_[at_])) ++at_;
    return std::string(source_.substr(start, at_ - start));
  }

  void number() {
    const std::size_t start = at_++;
    while (at_ < source_.size()) {
      const char c = source_[at_];
      const bool exponent_sign =
          (c == '+' || c == '-') && std::string_view("eEpP").find(source_[at_ - 1]) != std::string_view::npos;
      if (!is_word(c) && c != '.' && !exponent_sign) break;
      ++at_;
    }
    add(Token::Kind::number, std::string(source_.substr(start, at_ - start)), start);
  }

  void quoted() {
    const std::size_t start = at_++;
    std::string value;
    while (true) {
      if (at_ >= source_.size() || source_[at_] == '\n') fail_at(start, "unterminated quoted string");
      const char c = source_[at_++];
      if (c == '"') break;
      if (c == '\\')
        escape(start, value);
      else
        value += c;
    }
    add(Token::Kind::string, value, start);
  }

  void raw() {
    const auto end = source_.find('`', at_ + 1);
    if (end == std::string_view::npos) fail_at(at_, "unterminated raw quoted string");
    add(Token::Kind::string, std::string(source_.substr(at_ + 1, end - at_ - 1)), at_);
    at_ = end + 1;
  }

  void character() {
    const std::size_t start = at_++;
    std::string value;
    while (at_ < source_.size() && source_[at_] != '\'') {
      const char c = source_[at_++];
      if (c == '\\')
        escape(start, value);
      else
        value += c;
    }
    if (at_ >= source_.size()) fail_at(start, "unterminated character constant");
    ++at_;
    add(Token::Kind::character, value, start);
  }

  void escape(std::size_t start, std::string& value) {
    if (at_ >= source_.size()) fail_at(start, "unterminated quoted string");
    const char c = source_[at_++];
    constexpr std::string_view names = "abfnrtv\\\"'";
    constexpr std::string_view meant = "\a\b\f\n\r\t\v\\\"'";
    if (const auto index = names.find(c); index != std::string_view::npos) {
      value += meant[index];
      return;
    }
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    unsigned code = 0;
    const char* first = source_.data() + at_;
    const char* last = first + std::min(digits, source_.size() - at_);
    const auto [end, error] = std::from_chars(first, last, code, 16);
    if (digits == 0 || error != std::errc() || end != first + digits) fail_at(start, "invalid syntax");
    at_ += digits;
    if (c == 'x')
      value += static_cast<char>(code);
    else
      append_utf8(code, value);
  }

  void add(Token::Kind kind, std::string text, std::size_t position) {
    tokens_.push_back({kind, std::move(text), position});
  }

  [[noreturn]] void fail_at(std::size_t position, std::string_view message) {
    syntax_error(name_, source_, position, message);
  }

  std::string_view name_;
  std::string_view source_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view name, std::string_view source) { return Lexer(name, source).run(); }

void syntax_error(std::string_view name, std::string_view source, std::size_t position, std::string_view message) {
  const auto lines = std::count(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(position), '\n');
  fail(ErrorKind::invalid_argument, "template: {}:{}: {}", name, lines + 1, message);
}

}  // namespace bryo::cli::tmpl

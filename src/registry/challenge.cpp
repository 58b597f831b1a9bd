#include "registry/challenge.hpp"

#include "base/strings.hpp"

namespace bryo::registry {

namespace {

bool is_token_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7f && std::string_view("()<>@,;:\\\"/[]?={}").find(c) == std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip() { ++at_; }
  void skip_blanks() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  void skip_separators() {
    while (peek() == ' ' || peek() == '\t' || peek() == ',') ++at_;
  }
  std::string token() {
    const std::size_t start = at_;
    while (!at_end() && is_token_char(text_[at_])) ++at_;
    return std::string(text_.substr(start, at_ - start));
  }
  std::string token_or_quoted() {
    if (peek() != '"') return token();
    std::string out;
    for (++at_; !at_end() && peek() != '"'; ++at_) {
      if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
      out += peek();
    }
    ++at_;
    return out;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

void parse_one(std::string_view header, std::vector<Challenge>& out) {
  Reader reader(header);
  for (reader.skip_separators(); !reader.at_end(); reader.skip_separators()) {
    const std::string word = reader.token();
    reader.skip_blanks();
    if (word.empty()) {
      reader.skip();  // nothing of ours: step over it
    } else if (reader.peek() != '=') {
      out.push_back({to_lower(word), {}});
    } else {
      reader.skip();
      reader.skip_blanks();
      std::string text = reader.token_or_quoted();
      if (!out.empty()) out.back().parameters.emplace(to_lower(word), std::move(text));
    }
  }
}

}  // namespace

std::vector<Challenge> parse_challenges(const std::vector<std::string>& headers) {
  std::vector<Challenge> out;
  for (const std::string& header : headers) parse_one(header, out);
  return out;
}

}  // namespace bryo::registry

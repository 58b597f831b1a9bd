#include <set>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "base/strings.hpp"

namespace bryo::json::detail {

namespace {

// One past the closing quote of the string that begins at `quote`.
std::size_t end_of_string(std::string_view text, std::size_t quote) {
  std::size_t at = quote + 1;
  while (text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return at + 1;
}

std::string decoded(std::string_view token) {
  if (token.find('\\') == std::string_view::npos) return std::string(token.substr(1, token.size() - 2));
  const auto value = boost::json::parse({token.data(), token.size()});
  return {value.get_string().data(), value.get_string().size()};
}

bool is_key(std::string_view text, std::size_t after) {
  after = text.find_first_not_of(" \t\r\n", after);
  return after != std::string_view::npos && text[after] == ':';
}

}  // namespace

void refuse_duplicate_keys(std::string_view text) {
  std::vector<std::set<std::string>> open;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '{') open.emplace_back();
    if (c == '}') open.pop_back();
    if (c != '"') continue;
    const std::size_t end = end_of_string(text, at);
    if (is_key(text, end) && !open.back().insert(decoded(text.substr(at, end - at))).second)
      fail(ErrorKind::invalid_argument, "invalid JSON: the key {} is there twice",
           printable(text.substr(at, end - at), 80));
    at = end - 1;
  }
}

}  // namespace bryo::json::detail

#include "cli/format/escape.hpp"

#include <fmt/format.h>

namespace bryo::cli {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

}  // namespace

std::string terminal_safe(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    else if (keep_lines && (byte == '\n' || byte == '\t'))
      out += text[i];
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += text[i];
  }
  return out;
}

std::size_t rune_count(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text)
    if (!is_continuation(c)) ++count;
  return count;
}

std::string ellipsis(std::string_view text, std::size_t width) {
  if (rune_count(text) <= width) return std::string(text);
  if (width == 0) return {};
  std::size_t runes = 0;
  std::size_t end = 0;
  while (end < text.size()) {
    if (!is_continuation(text[end]) && ++runes == width) break;
    ++end;
  }
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace bryo::cli

#include "cli/terminal/detach_keys.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

constexpr std::string_view kDefault = "ctrl-p,ctrl-q";
constexpr std::string_view kControlled = "@abcdefghijklmnopqrstuvwxyz[\\]^_";

}  // namespace

std::string parse_detach_keys(std::string_view text) {
  std::string out;
  for (const std::string_view key : split(text.empty() ? kDefault : text, ',')) {
    if (key.size() == 1) {
      out += key[0];
      continue;
    }
    const auto code = key.starts_with("ctrl-") && key.size() == 6 ? kControlled.find(key[5]) : std::string_view::npos;
    if (code == std::string_view::npos)
      fail(ErrorKind::invalid_argument, "invalid detach keys ({}): unknown character: '{}'", printable(text),
           printable(key));
    out += static_cast<char>(code);
  }
  return out;
}

DetachWatcher::Result DetachWatcher::feed(std::string_view typed) {
  Result out;
  for (const char c : typed) {
    if (!sequence_.empty() && c == sequence_[matched_]) {
      if (++matched_ == sequence_.size()) {
        out.detached = true;
        return out;
      }
      continue;
    }
    out.pass += sequence_.substr(0, matched_);
    // The byte that broke one match may begin another.
    matched_ = !sequence_.empty() && c == sequence_[0] && sequence_.size() > 1 ? 1 : 0;
    if (matched_ == 0) out.pass += c;
  }
  return out;
}

}  // namespace bryo::cli

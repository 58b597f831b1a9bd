#include "api/detach_keys.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::api {
namespace {

constexpr std::string_view kControl = "ctrl-";

char key_byte(std::string_view key, std::string_view all) {
  if (key.size() == 1) return key.front();
  if (key.size() == kControl.size() + 1 && key.starts_with(kControl)) {
    const char letter = key.back();
    if (letter >= 'a' && letter <= 'z') return static_cast<char>(letter - 'a' + 1);
    if (letter >= '@' && letter <= '_') return static_cast<char>(letter - '@');
  }
  fail(ErrorKind::invalid_argument, "invalid detach keys ({}) provided: \"{}\" is neither a character nor ctrl-<key>",
       printable(all), printable(key));
}

}  // namespace

std::string parse_detach_keys(std::string_view text) {
  std::string out;
  for (const std::string_view key : split(text, ',')) out += key_byte(key, text);
  return out;
}

std::string DetachScanner::filter(std::string_view input) {
  std::string out;
  for (const char c : input) {
    if (detached_) break;
    if (!sequence_.empty() && c == sequence_[matched_]) {
      detached_ = ++matched_ == sequence_.size();
      continue;
    }
    out.append(sequence_, 0, matched_);
    matched_ = !sequence_.empty() && c == sequence_[0] ? 1 : 0;
    if (matched_ == 0) out += c;
  }
  return out;
}

}  // namespace bryo::api

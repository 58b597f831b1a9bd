#include "runtime/command/arguments.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::runtime::command {
namespace {

const Option& find(std::span<const Option> table, std::string_view name, std::string_view word) {
  for (const Option& option : table)
    if (option.name == name || (!option.short_name.empty() && option.short_name == name)) return option;
  fail(ErrorKind::invalid_argument, "flag provided but not defined: {}", printable(word));
}

bool is_option(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

bool is_true(std::string_view text) { return text == "true" || text == "1" || text == "t"; }

}  // namespace

std::size_t Arguments::take(std::span<const std::string> words, std::size_t at, std::span<const Option> table) {
  const std::string& word = words[at];
  const std::string_view bare = std::string_view(word).substr(word[1] == '-' ? 2 : 1);
  const auto pair = split_once(bare, '=');
  const Option& option = find(table, pair ? pair->first : bare, word);
  std::string value = pair ? std::string(pair->second) : "true";
  if (option.takes_value && !pair) {
    if (++at >= words.size()) fail(ErrorKind::invalid_argument, "flag needs an argument: {}", printable(word));
    value = words[at];
  }
  if (option.takes_value || is_true(value)) values_[std::string(option.name)].push_back(std::move(value));
  return at + 1;
}

Arguments Arguments::parse_first(std::span<const std::string> words, std::span<const Option> table) {
  Arguments out;
  std::size_t at = 0;
  while (at < words.size() && is_option(words[at])) {
    if (words[at] == "--") {
      ++at;
      break;
    }
    at = out.take(words, at, table);
  }
  out.positional_.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  return out;
}

Arguments Arguments::parse(std::span<const std::string> words, std::span<const Option> table) {
  Arguments out;
  std::size_t at = 0;
  while (at < words.size() && words[at] != "--") {
    if (is_option(words[at]))
      at = out.take(words, at, table);
    else
      out.positional_.push_back(words[at++]);
  }
  for (++at; at < words.size(); ++at) out.positional_.push_back(words[at]);
  return out;
}

std::string Arguments::value(std::string_view name, std::string_view otherwise) const {
  const auto& all = values(name);
  return all.empty() ? std::string(otherwise) : all.back();
}

const std::vector<std::string>& Arguments::values(std::string_view name) const {
  static const std::vector<std::string> kNone;
  const auto found = values_.find(std::string(name));
  return found == values_.end() ? kNone : found->second;
}

const Arguments& Arguments::exactly(std::size_t count, std::string_view command) const {
  if (positional_.size() != count)
    fail(ErrorKind::invalid_argument, "\"{}\" requires exactly {} argument(s)", command, count);
  return *this;
}

const Arguments& Arguments::at_least(std::size_t count, std::string_view command) const {
  if (positional_.size() < count)
    fail(ErrorKind::invalid_argument, "\"{}\" requires a minimum of {} argument(s)", command, count);
  return *this;
}

const std::string& Arguments::need(std::size_t index, std::string_view what) const {
  if (index >= positional_.size()) fail(ErrorKind::invalid_argument, "{} is required", what);
  return positional_[index];
}

}  // namespace bryo::runtime::command

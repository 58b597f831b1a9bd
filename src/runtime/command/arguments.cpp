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

bool is_true(std::string_view text) { return text == "true" || text == "1" || text == "t"; }

}  // namespace

Arguments Arguments::parse(std::span<const std::string> words, std::span<const Option> table) {
  Arguments out;
  std::size_t i = 0;
  for (; i < words.size() && words[i].size() > 1 && words[i][0] == '-'; ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      ++i;
      break;
    }
    const std::string_view bare = std::string_view(word).substr(word[1] == '-' ? 2 : 1);
    const auto pair = split_once(bare, '=');
    const Option& option = find(table, pair ? pair->first : bare, word);
    std::string value = pair ? std::string(pair->second) : "true";
    if (option.takes_value && !pair) {
      if (++i >= words.size()) fail(ErrorKind::invalid_argument, "flag needs an argument: {}", printable(word));
      value = words[i];
    }
    if (option.takes_value || is_true(value)) out.values_[std::string(option.name)].push_back(std::move(value));
  }
  out.positional_.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
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

const std::string& Arguments::need(std::size_t index, std::string_view what) const {
  if (index >= positional_.size()) fail(ErrorKind::invalid_argument, "{} is required", what);
  return positional_[index];
}

}  // namespace bryo::runtime::command

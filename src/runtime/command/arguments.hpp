// The command line of bryo-oci: options are a table, parsing is one function. As runc's: options may stand before and
// behind the positional words, "-x" and "--x" are the same, values follow as a word or after "=".
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bryo::runtime::command {

struct Option {
  std::string_view name;        // "pid-file"
  std::string_view short_name;  // "b" or ""
  bool takes_value = false;
};

class Arguments {
 public:
  // Reads options of the table; other words, and all behind "--", are positional(). Error{invalid_argument} for an
  // unknown option or a missing value.
  static Arguments parse(std::span<const std::string> words, std::span<const Option> table);
  // The same up to the first other word: what follows is another command's (exec, ps).
  static Arguments parse_first(std::span<const std::string> words, std::span<const Option> table);

  bool has(std::string_view name) const { return values_.contains(std::string(name)); }
  // The last one given.
  std::string value(std::string_view name, std::string_view otherwise = "") const;
  const std::vector<std::string>& values(std::string_view name) const;
  const std::vector<std::string>& positional() const { return positional_; }
  // Error{invalid_argument} unless this many words are left: as runc's check of each command.
  const Arguments& exactly(std::size_t count, std::string_view command) const;
  const Arguments& at_least(std::size_t count, std::string_view command) const;
  // The word at this place; Error{invalid_argument} naming what is missing.
  const std::string& need(std::size_t index, std::string_view what) const;

 private:
  // Takes the option at `at`, with its value; returns where the next word is.
  std::size_t take(std::span<const std::string> words, std::size_t at, std::span<const Option> table);

  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positional_;
};

}  // namespace bryo::runtime::command

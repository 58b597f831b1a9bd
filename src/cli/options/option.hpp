// The options of a command are a table of rows, and parsing a command line is one loop over it. A row with a target
// says where its value goes in the JSON body of the request: adding such an option is adding a line.
//
// The rules are those of Docker's clients: --name value, --name=value, -n value, -nvalue, -abc for switches, --switch
// or
// --switch=false, "--" ends the options. The words of errors are theirs too.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "cli/options/value_kind.hpp"

namespace bryo::cli {

struct Option {
  std::string_view name;  // long name
  char letter = 0;
  const ValueKind* kind = nullptr;
  std::string_view target;         // dotted path in the body, empty: the command reads it by name
  std::string_view help;           // empty: not shown by --help
  std::string_view default_value;  // as --help shows it
  std::string_view same_as;        // this row is another spelling of that option
};

using OptionTable = std::span<const Option>;

// A mistake on the command line itself: printed with the usage, exit status 125.
struct UsageError {
  std::string message;
};

class Arguments {
 public:
  // `tables` must outlive the result. With `interspersed` off, options end at the first word that is none.
  // Throws UsageError.
  static Arguments parse(std::span<const OptionTable> tables, std::span<const std::string> line, bool interspersed);

  const std::vector<std::string>& words() const { return words_; }
  bool help() const { return help_; }

  bool given(std::string_view name) const;
  bool flag(std::string_view name, bool otherwise = false) const;
  // The last value; `otherwise` when the option was not given.
  std::string text(std::string_view name, std::string_view otherwise = {}) const;
  std::optional<std::int64_t> number(std::string_view name) const;
  // Every value, as written.
  std::vector<std::string> texts(std::string_view name) const;
  // Every value, converted by the option's kind; throws Error for what is complained of late.
  std::vector<json::Value> values(std::string_view name) const;
  // {"name": {"value": true}}: the form of `filters` in queries; empty object when there are none.
  json::Object filters(std::string_view name = "filter") const;

  // Puts every given option with a target into the body.
  void fill(json::Object& body) const;

 private:
  struct Given {
    const Option* option;
    std::string text;
  };
  class Parser;

  std::vector<Given> given_;
  std::vector<std::string> words_;
  bool help_ = false;
};

// Sets body["A"]["B"] for "A.B", making the objects on the way.
json::Value& at_path(json::Object& body, std::string_view dotted);
// --help's list of options, aligned.
std::string describe_options(std::span<const OptionTable> tables);

}  // namespace bryo::cli

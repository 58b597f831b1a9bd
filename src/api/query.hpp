// The part of a request's target after '?': what did the client ask for, in Docker's loose notation?
//
// Values are decoded (%XX and '+'). Errors: Error{invalid_argument} naming the parameter.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bryo::api {

// %XX decoded; '+' becomes a blank when `form`. nullopt: a bad escape or a NUL byte.
std::optional<std::string> percent_decode(std::string_view text, bool form);

class Query {
 public:
  Query() = default;
  // Throws when an escape is malformed or there are more than 1000 parameters.
  static Query parse(std::string_view text);

  bool has(std::string_view name) const { return find(name) != nullptr; }
  // The first value; empty when absent.
  const std::string& get(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;

  // Docker's truth: "", "0", "no", "false" and "none" are false, everything else is true.
  bool flag(std::string_view name) const;
  bool flag_or(std::string_view name, bool absent) const { return has(name) ? flag(name) : absent; }
  // nullopt when absent or empty.
  std::optional<std::int64_t> integer(std::string_view name,
                                      std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                                      std::int64_t most = std::numeric_limits<std::int64_t>::max()) const;
  // ?filters=: {"name":["value"]} or {"name":{"value":true}}; false entries are left out.
  std::map<std::string, std::vector<std::string>> filters() const;

 private:
  const std::string* find(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> items_;
};

}  // namespace bryo::api

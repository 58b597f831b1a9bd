// The flags of bryo-rootless, as a table: how each is read, what it sets, what --help says. Part of Options.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "rootless/command/options.hpp"

namespace bryo::rootless::command {

struct Option {
  std::string_view group;
  std::string_view name;
  char short_name;  // 0: none
  bool takes_value;
  void (*set)(Options&, const std::string& value);
  std::string_view help;
};

std::span<const Option> option_table();

}  // namespace bryo::rootless::command

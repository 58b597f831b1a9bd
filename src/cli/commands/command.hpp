// A command of the program: its names, its options, and the function that does it. One small file holds one or two of
// them; catalogue.cpp lists them all.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options/option.hpp"

namespace bryo::cli {

class Context;

struct Command {
  static constexpr std::size_t kAny = static_cast<std::size_t>(-1);

  std::string_view names;  // "ps|container ls|container list": every way to say it
  std::string_view usage;  // "[OPTIONS] CONTAINER [CONTAINER...]"
  std::string_view summary;
  OptionTable options;
  std::size_t minimum = 0;  // words after the options
  std::size_t maximum = kAny;
  int (*run)(Context&, const Arguments&) = nullptr;
  OptionTable more = {};
  bool interspersed = true;
  // run, create: failures read "bryo: …", end with a hint and exit with 125.
  bool starts_container = false;
};

// Every command there is.
std::span<const Command* const> catalogue();

struct Group {
  std::string_view name;
  std::string_view summary;
};
// "container", "image" …: words that only group commands.
std::span<const Group> groups();

struct Match {
  const Command* command = nullptr;
  std::string name;              // as it was said: "container ls"
  std::size_t words = 0;         // how many words that took
  const Group* group = nullptr;  // only a group was named
};
Match find_command(std::span<const std::string> line);

// --help texts.
std::string program_help();
std::string group_help(const Group& group);
std::string command_help(const Command& command, std::string_view name);

}  // namespace bryo::cli

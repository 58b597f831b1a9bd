// Completion of command lines in shells, made from the table of commands. Names of containers, images, networks and
// volumes are asked of the engine when they are wanted. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bryo::cli {

struct CompletedOption {
  std::string word;  // "--name", "-n"
  bool takes_value = false;
  std::string_view help;
};

struct CompletedCommand {
  std::vector<std::string> names;  // "ps", "container ls"
  std::string_view summary;
  std::vector<CompletedOption> options;
  std::vector<std::string_view> kinds;  // what its words are: "containers", "images", "networks", "volumes"
};

// Of the catalogue.
std::vector<CompletedCommand> completed_commands();

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace bryo::cli

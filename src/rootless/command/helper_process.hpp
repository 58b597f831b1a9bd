// The helper's own side. Part of helper.hpp.
#pragma once

#include <string>

#include "rootless/command/link.hpp"
#include "rootless/command/options.hpp"

namespace bryo::rootless::command {

struct HelperStart {
  const Options& options;
  const std::string& network_directory;
  int user_namespace;  // descriptors
  int netns;
  const Link& parent;
  bool again;  // a helper before us has ended: its network goes on
};

// In a process of its own, just forked: leaves the terminal's session, all descriptors but these are closed. Ends it.
[[noreturn]] void run_helper(const HelperStart& start);

}  // namespace bryo::rootless::command

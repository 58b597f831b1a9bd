// OCI hooks that the child runs itself, and the pause in which its launcher runs those that are the host's.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace bryo::runtime {

struct HookProgram {
  std::string path;  // absolute
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::optional<int> timeout;  // seconds
};

// With one of these a Container stops at wait_mounted(): everything is mounted, nothing of the host's is out of reach.
struct LaunchHooks {
  std::vector<HookProgram> create_container;
  std::vector<HookProgram> start_container;
  // Borrowed files with the state as JSON, which may be written until wait_mounted() resp. wait_created() go on.
  int create_state = -1;
  int start_state = -1;
  // Where the root file system is shown until pivot_root: hooks of other people mount below that path.
  std::string root_path;
};

}  // namespace bryo::runtime

// OCI hooks as a launcher takes them: which there are (HookSet), those that the child runs itself, and the pause in
// which its launcher runs those that are the host's (LaunchHooks).
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

// By the point of the container's life at which they run (OCI runtime spec, "POSIX-platform Hooks").
struct HookSet {
  std::vector<HookProgram> prestart;
  std::vector<HookProgram> create_runtime;
  std::vector<HookProgram> create_container;
  std::vector<HookProgram> start_container;
  std::vector<HookProgram> poststart;
  std::vector<HookProgram> poststop;

  // Any before the program runs: the launch has to stop for them.
  bool before_start() const {
    return !prestart.empty() || !create_runtime.empty() || !create_container.empty() || !start_container.empty();
  }
  bool empty() const { return !before_start() && poststart.empty() && poststop.empty(); }
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
  // A directory on the way to root_path that the container's root may not enter, and a detached mount (borrowed) that
  // lies over it in the container's mount namespace: what it hides was out of reach. Empty, -1: there is none.
  std::string cover_path;
  int cover = -1;
  // A root that cannot be shown at root_path is a failure; else it is at "/" then.
  bool root_must_show = false;
};

}  // namespace bryo::runtime

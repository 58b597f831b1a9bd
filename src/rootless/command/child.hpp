// The child: root in the new namespaces. Sets them up, step by step with the parent (link.hpp), and then stays as the
// parent of the command: hands signals on, waits for orphans, ends everything when the parent is gone.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cstdint>

#include "rootless/command/link.hpp"
#include "rootless/command/options.hpp"
#include "rootless/command/state_directory.hpp"

namespace bryo::rootless::command {

struct ChildStart {
  const Options& options;
  const StateDirectory& state;
  Link parent;
  sigset_t original_mask;       // of signals, for the command
  bool owns_listeners = false;  // descriptors from 3 on are systemd's, for the command
  uid_t parent_uid = 0;         // as the parent sees itself
  gid_t parent_gid = 0;
};

// The kinds of namespaces that the child is born with: the kernel wants these from clone(2).
std::uint64_t birth_namespaces(const Options& options);

// Ends the process: with the command's exit status, 128 + signal, 127 and 126 as a shell for a command that is not
// there or cannot run, 1 for other errors.
[[noreturn]] void run_child(const ChildStart& start);

}  // namespace bryo::rootless::command

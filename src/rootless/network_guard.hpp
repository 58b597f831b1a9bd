// Ends the user-mode network's process when nobody is left who could use it, also when everybody was killed.
//
// The builtin one ends by itself with its network namespace. slirp4netns and pasta hold the namespace, so both would
// stay for ever. The guard is one small process per exec root (bryo-usernet under another argument), in the host's
// network. It waits for the end of the engine, then for the end of every monitor, and for another engine that came
// meanwhile; then it ends what <state directory>/usernet.json names, and itself.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace bryo::rootless {

// A process in the namespaces of the engine with this exec root: any monitor. -1: there is none.
pid_t survivor(const std::string& exec_root);

inline constexpr std::string_view kGuardArgument = "--guard";

// By the engine, before it adopts or starts a network: from now on this process is the one to wait for.
void announce_engine(const std::string& state_directory);
// The arguments of the program that guards. Where another one does already, it ends at once.
std::vector<std::string> guard_arguments(const std::string& exec_root, const std::string& state_directory);
// What that program does. Returns its exit status; throws Error.
int guard_network(const std::string& exec_root, const std::string& state_directory);

}  // namespace bryo::rootless

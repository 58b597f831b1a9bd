// Starts a program that goes on by itself (posix_spawn: nothing of the caller runs in between). Any thread; the program
// gets the calling thread's namespaces.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

struct ProgramStart {
  std::string path;  // absolute
  std::vector<std::string> arguments;
  // Ours → its number there, 1 to 9. Those that are not named are closed; 0 is /dev/null, 1 and 2 too unless named.
  std::vector<std::pair<int, int>> descriptors;
};

struct StartedProgram {
  pid_t pid = -1;
  UniqueFd process;  // pidfd
};

// In a session of its own, in "/", with a fixed PATH as its only environment and no signal blocked or ignored.
// Error{not_found} when there is no such program.
StartedProgram start_program(const ProgramStart& start);

// Where one of the host's programs is, in a fixed PATH; "" when it is not installed.
std::string find_program(const std::string& name);
// The directory of the calling program's file, where its fellows lie.
std::string own_program_directory();

// Lets the kernel forget a child of ours that has ended; nothing happens when it has not, or is no child.
void reap(int pidfd) noexcept;
// The same for a child that has ended, with its exit status; 128 + signal when a signal ended it.
int reap_status(int pidfd);
// Whether the process behind a pidfd has ended, after waiting for it at most so long.
bool wait_for_end(int pidfd, int milliseconds);

}  // namespace bryo::kernel

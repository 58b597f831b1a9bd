// The command itself, as a child of the child. Part of child.hpp.
#pragma once

#include <vector>

#include "rootless/command/child.hpp"

namespace bryo::rootless::command {

// Starts it and returns its exit status as a shell gives it. When the parent has ended: ends all processes below,
// removes the state directory, and does not return.
int run_command(const ChildStart& start);

// Signals that are handed on to the command. Those that a terminal sends reach its whole group anyway, and are not.
const std::vector<int>& forwarded_signals();
// The signal that waits at a descriptor of read_signals(), with whether it must be handed on; 0: none.
struct ReceivedSignal {
  int number = 0;
  bool from_process = false;
  explicit operator bool() const { return number != 0; }
};
ReceivedSignal receive_signal(int descriptor);

}  // namespace bryo::rootless::command

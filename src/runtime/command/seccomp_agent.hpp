// linux.seccomp.listenerPath: who answers for the calls that a filter with SCMP_ACT_NOTIFY holds back (config-linux.md,
// "The Container Process State").
#pragma once

#include "runtime/command/state.hpp"
#include "runtime/container.hpp"

namespace bryo::runtime::command {

// Connects to the agent's socket and sends it the listener with a description of the process; empty when the container
// has no agent. `status` is what the container's state says then; spec and state must outlive the handler.
ListenerHandler seccomp_agent(const oci::RuntimeSpec& spec, const ContainerState& state, Status status);

}  // namespace bryo::runtime::command

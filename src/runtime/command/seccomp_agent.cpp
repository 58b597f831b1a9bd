#include "runtime/command/seccomp_agent.hpp"

#include "runtime/command/unix_socket.hpp"

namespace bryo::runtime::command {
namespace {

constexpr std::string_view kField = "linux.seccomp.listenerPath";
// The name under which the state lists the descriptor that comes with it.
constexpr const char* kListenerName = "seccompFd";

}  // namespace

ListenerHandler seccomp_agent(const oci::RuntimeSpec& spec, const ContainerState& state, Status status) {
  if (!spec.linux_ || !spec.linux_->seccomp || spec.linux_->seccomp->listener_path.empty()) return {};
  return [&spec, &state, status](const UniqueFd& listener, pid_t pid) {
    const oci::LinuxSeccomp& agent = *spec.linux_->seccomp;
    json::Object message;
    message["ociVersion"] = oci::kRuntimeSpecVersion;
    message["fds"] = json::Array{kListenerName};
    message["pid"] = pid;
    if (!agent.listener_metadata.empty()) message["metadata"] = agent.listener_metadata;
    message["state"] = json::encode(view_of(state, spec, status));
    // A connection for every listener, closed behind it.
    send_with_descriptor(connect_to_socket(agent.listener_path, kField).get(), json::serialize(message), listener.get(),
                         kField);
  };
}

}  // namespace bryo::runtime::command

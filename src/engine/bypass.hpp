// Containers whose connections go past the user-mode network (src/bypass): which they are, what their seccomp profile
// holds back, and the process that answers.
#pragma once

#include "bypass/link.hpp"
#include "engine/services.hpp"
#include "monitor/hub.hpp"
#include "oci/runtime_spec.hpp"

namespace bryo::engine {

// What a profile allows without condition among connect and the calls that make an epoll is held for the helper from
// now on; what it forbids, it forbids.
void hold_connects(oci::LinuxSeccomp& profile);
// No call is forbidden any more; the architectures stay.
void allow_everything(oci::LinuxSeccomp& profile);

// Whether a container with these endpoints is to have a helper: only past a user-mode network, and only when it has a
// way out.
bool wants_bypass(const Services& services, const std::vector<network::Endpoint>& endpoints);

// Starts the helper in the host's network and tells it the networks. `netns` is the container's network namespace, with
// its routes in place.
void start_bypass(const Services& services, monitor::MonitorHub& hub, const Record& record, bypass::Link& link,
                  int netns);

}  // namespace bryo::engine

// --device vendor.com/class=name: devices that their vendors describe (oci/cdi), and what a container gets of them.
#pragma once

#include <string>
#include <vector>

#include "engine/types/host_config.hpp"
#include "kernel/cgroups.hpp"
#include "oci/cdi/spec.hpp"
#include "oci/runtime_spec.hpp"

namespace bryo::engine {

// Docker's CLI writes such names into DeviceRequests with the driver "cdi". Those that stand among the paths, as some
// clients write them, are moved there. Error{invalid_argument} for requests of other drivers.
void settle_device_requests(Resources& resources);

// What the host's specifications say now. Error "CDI device injection failed: …" names devices that are not there, and
// edits that this engine cannot make.
oci::cdi::ContainerEdits cdi_edits(const HostConfig& host, const std::vector<std::string>& directories, bool rootless);

// Changes the spec. Without the right to make device nodes, the host's own are bound. Error as above for what the host
// lacks.
void apply_edits(const oci::cdi::ContainerEdits& edits, bool bind_nodes, oci::RuntimeSpec& spec);
// What the container's cgroup must allow besides.
std::vector<kernel::CgroupDeviceRule> device_rules(const oci::cdi::ContainerEdits& edits);

}  // namespace bryo::engine

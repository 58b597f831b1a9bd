// What a container is when nobody said otherwise, in Docker's words: capabilities, mounts, masked and read-only paths
// (design/security.md D13), namespaces. The engine starts from it for every container, `bryo-oci spec` prints it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "oci/runtime_spec.hpp"

namespace bryo::runtime {

// The fourteen capabilities of an ordinary container, as names.
std::vector<std::string> default_capabilities();
std::uint64_t capability_bits(const std::vector<std::string>& names);

// /proc, /dev, /dev/pts, /sys, /sys/fs/cgroup, /dev/mqueue, /dev/shm.
std::vector<oci::Mount> default_mounts(const std::string& shm_size = "65536k");
std::vector<std::string> default_masked_paths();
std::vector<std::string> default_readonly_paths();
// Deny all, then what every container may use.
std::vector<oci::LinuxDeviceCgroup> default_device_rules();

// Everything above, with new pid, network, ipc, uts, mount and cgroup namespaces and "sh" as its program.
oci::RuntimeSpec default_spec();

}  // namespace bryo::runtime

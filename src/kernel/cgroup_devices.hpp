// The device list on cgroup v2: a small BPF program that the kernel asks at every open and mknod of a device.
// Private to the cgroup sources of kernel/. Source: bpf(2), linux/bpf.h BPF_PROG_TYPE_CGROUP_DEVICE.
#pragma once

#include <linux/bpf.h>

#include <vector>

#include "kernel/cgroup_limits.hpp"

namespace bryo::kernel {

// Pure. The last rule that matches decides; no match is a refusal.
std::vector<bpf_insn> compile_device_rules(const std::vector<CgroupDeviceRule>& rules);
// Loads the program and makes it the only one of ours on the cgroup directory. Throws Error naming bpf.
void attach_device_rules(int cgroup_directory, const std::vector<CgroupDeviceRule>& rules);

}  // namespace bryo::kernel

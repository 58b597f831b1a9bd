// Which limit becomes which text in which file: pure functions from CgroupLimits, for v1 and v2. Private to the cgroup
// sources of kernel/. Sources: kernel admin-guide/cgroup-v1/*.rst, cgroup-v2.rst, OCI runtime spec config-linux.md.
#pragma once

#include <string>
#include <vector>

#include "kernel/cgroup_limits.hpp"

namespace bryo::kernel {

struct CgroupWrite {
  std::string controller;  // "memory"; empty for core files and `unified`
  std::string file;        // "memory.limit_in_bytes"
  std::string value;
  std::string subject;      // what the user asked for, for errors: "memory limit"
  std::string alternative;  // file to use when `file` is missing (blkio.bfq.weight)
  bool optional = false;    // missing controller or file: leave out without an error
};

// In the order to write. Error{unsupported} for what the version has no word for.
std::vector<CgroupWrite> cgroup_writes_v1(const CgroupLimits& limits);
std::vector<CgroupWrite> cgroup_writes_v2(const CgroupLimits& limits);
// The first rule denies everything: what the caller wrote, or put in front.
std::vector<CgroupDeviceRule> closed_device_rules(const std::vector<CgroupDeviceRule>& rules);

}  // namespace bryo::kernel

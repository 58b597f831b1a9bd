// All that the kernel counts for a container, as `bryo-oci events` shows it: more than ContainerCgroup::stats(), which
// an engine asks for every second. And a descriptor that tells when the OOM killer has struck. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernel/cgroups.hpp"

namespace bryo::kernel {

struct CgroupMemoryCounter {
  std::uint64_t limit = 0;
  std::uint64_t usage = 0;
  std::uint64_t max_usage = 0;
  std::uint64_t failures = 0;
};

// cpuset(7). Empty and zero on v2 but for the two lists.
struct CgroupCpuset {
  std::vector<std::uint16_t> cpus;
  std::vector<std::uint16_t> mems;
  std::map<std::string, std::int64_t> flags;  // file name → value: "cpuset.cpu_exclusive" → 0
};

struct CgroupDetails {
  CgroupStats stats;
  std::vector<std::uint64_t> cpu_kernel_per_cpu;  // v1 only
  std::vector<std::uint64_t> cpu_user_per_cpu;    // v1 only
  CgroupCpuset cpuset;
  CgroupMemoryCounter swap;        // memory plus swap
  CgroupMemoryCounter kernel;      // v1 only
  CgroupMemoryCounter kernel_tcp;  // v1 only
  // Page size ("2MB") → use.
  std::map<std::string, CgroupMemoryCounter> hugepages;
};

CgroupDetails cgroup_details(const CgroupLayout& layout, const std::string& path);

// "0-2,5" → 0, 1, 2, 5; what is no such list gives none.
std::vector<std::uint16_t> parse_cpu_list(std::string_view text);

class OomWatch {
 public:
  // Error{not_found} when the cgroup is gone, {unsupported} without a memory controller.
  OomWatch(const CgroupLayout& layout, const std::string& path);
  // For poll(2), POLLIN.
  int descriptor() const { return events_.get(); }
  // After it was readable: has the killer struck since it was last asked?
  bool take();

 private:
  ContainerCgroup cgroup_;
  bool unified_;
  UniqueFd control_;  // v1: what the event belongs to
  UniqueFd events_;
  std::uint64_t kills_ = 0;
};

}  // namespace bryo::kernel

// How the container's program is started: who it is, what it may do, what it runs. Shared by LaunchPlan (init) and
// ExecPlan (one more process). Plain values, made by make_plan/make_exec_plan, executed by the child in the order of
// child_process.cpp: a written order, read back at its end (design/security.md D12).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bryo::runtime {

// Bit n is capability n of <linux/capability.h>.
struct CapabilitySets {
  std::uint64_t bounding = 0;
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t inheritable = 0;
  std::uint64_t ambient = 0;
  bool operator==(const CapabilitySets&) const = default;
};

struct ResourceLimit {
  std::uint32_t resource = 0;  // RLIMIT_NOFILE …
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
  bool operator==(const ResourceLimit&) const = default;
};

struct SeccompProgram {
  std::vector<std::byte> filter;  // struct sock_filter, as many as fit; empty = no filter
  std::uint32_t flags = 0;        // SECCOMP_FILTER_FLAG_*
  // A filter with SCMP_ACT_NOTIFY: the socket of the agent on the host that gets its listener, and what it is told.
  std::string listener_path;
  std::string listener_metadata;
  bool notifies() const { return !listener_path.empty(); }
  bool operator==(const SeccompProgram&) const = default;
};

// Bit n of word n / 64 is CPU n, as sched_setaffinity(2) takes it; empty = left as it is.
using CpuSet = std::vector<std::uint64_t>;

struct Scheduling {
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
  bool operator==(const Scheduling&) const = default;
};

struct ProcessPlan {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::string working_directory = "/";
  // Make the working directory when the image lacks it, inside the container's own mounts and by its own ids
  // (CVE-2026-55686).
  bool create_working_directory = true;

  // Ids as the container sees them; the primary gid is always among the groups (CVE-2022-36109).
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
  // The launcher's own supplementary groups stay instead, in the container's user namespace too, where they have no
  // names: what they may open, the program may. Nobody can set such groups, so `groups` cannot be added.
  bool keep_groups = false;
  std::optional<std::uint32_t> umask;

  CapabilitySets capabilities;
  bool no_new_privileges = false;
  std::vector<ResourceLimit> limits;
  std::optional<std::int32_t> oom_score_adj;
  std::optional<Scheduling> scheduling;
  std::optional<std::uint32_t> io_priority;  // class << 13 | level
  std::optional<std::uint64_t> personality;
  // Of an exec: where it runs until it is in the container's cgroups, and from then on.
  CpuSet initial_cpus;
  CpuSet final_cpus;
  std::string apparmor_profile;
  std::string selinux_label;
  // Name of a fresh session keyring; empty keeps the launcher's.
  std::string session_keyring;
  SeccompProgram seccomp;

  // A new session with a pseudo terminal of the container's own devpts on 0, 1 and 2.
  bool terminal = false;
  std::uint16_t rows = 0;  // 0 = the kernel's default
  std::uint16_t columns = 0;

  bool operator==(const ProcessPlan&) const = default;
};

}  // namespace bryo::runtime

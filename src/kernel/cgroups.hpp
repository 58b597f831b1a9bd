// The cgroups of one container: where they are, what limits they carry, who is in them, what they have used.
//
// Answers for all three layouts of a host: v1 (one hierarchy a controller), v2 (one hierarchy for all) and hybrid (v1
// controllers, plus a v2 hierarchy that holds none we need). A requested limit whose controller is missing is an Error
// that names it: nothing is dropped silently. Only the kernel knows the state, so an object of these classes is a set
// of paths and may be made again at any time by any process. Not synchronised; any thread may use an object of its own.
// Sources: kernel admin-guide/cgroup-v1, cgroup-v2.rst; OCI runtime spec config-linux.md.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"
#include "kernel/cgroup_limits.hpp"

namespace bryo::kernel {

enum class CgroupVersion { none, v1, v2, hybrid };

// Where the hierarchies of this host are mounted. A plain value: read once at start, copy freely.
class CgroupLayout {
 public:
  // Reads /proc/self/mountinfo. Never throws for a host without cgroups: version() is none then.
  static CgroupLayout detect();
  // As it was found by the first call, without the table of mounts where the usual places tell (cgroup_places.hpp): for
  // programs that live no longer than a command.
  static const CgroupLayout& once();
  // The same from text, for tests.
  static CgroupLayout parse(std::string_view mountinfo);
  // The same from hierarchies() and unified() of another: how it gets into another process.
  static CgroupLayout from_parts(std::map<std::string, std::string> hierarchies, std::string unified);

  CgroupVersion version() const { return version_; }
  // "1" or "2", as `docker info` prints it. Hybrid counts as 1: its limits live in v1 controllers.
  std::string_view docker_version() const { return version_ == CgroupVersion::v2 ? "2" : "1"; }
  // v1 controller ("memory", "cpu", "name=systemd") → mount point; empty on v2.
  const std::map<std::string, std::string>& hierarchies() const { return v1_; }
  // Mount point of the v2 hierarchy; empty when there is none.
  const std::string& unified() const { return unified_; }
  // v1: is it mounted; v2: is it in the root's cgroup.controllers. "memory", "cpu", "cpuset", "pids", "io" or "blkio" …
  bool has(std::string_view controller) const;
  // Can memory_swap be limited (v1: swapaccount=1)?
  bool limits_swap() const;

 private:
  CgroupVersion version_ = CgroupVersion::none;
  std::map<std::string, std::string> v1_;
  std::string unified_;
};

// What a container has used since its start, in the units of Docker's stats (bytes, nanoseconds).
struct CgroupStats {
  struct BlockEntry {
    std::uint64_t major = 0;
    std::uint64_t minor = 0;
    std::string operation;  // "read", "write", "sync", "async", "discard", "total"
    std::uint64_t value = 0;
  };
  std::uint64_t cpu_total = 0;
  std::vector<std::uint64_t> cpu_per_cpu;  // v1 only, as in Docker
  std::uint64_t cpu_user = 0;
  std::uint64_t cpu_system = 0;
  std::uint64_t throttling_periods = 0;
  std::uint64_t throttled_periods = 0;
  std::uint64_t throttled_time = 0;
  std::uint64_t memory_usage = 0;
  std::uint64_t memory_max_usage = 0;  // v1 only
  std::uint64_t memory_limit = 0;      // as the kernel says; huge or max_uint64 when unlimited
  std::uint64_t memory_failures = 0;
  std::map<std::string, std::uint64_t> memory_stat;
  std::uint64_t pids_current = 0;
  std::uint64_t pids_limit = 0;  // 0 = unlimited
  std::vector<BlockEntry> io_service_bytes;
  std::vector<BlockEntry> io_serviced;
};

class ContainerCgroup {
 public:
  // Makes `path` ("/bryo/<id>", parents too) in every hierarchy and writes the limits. On failure nothing of it is
  // left. Error{unsupported} names a missing controller, {invalid_argument} a value that the kernel refused.
  static ContainerCgroup create(const CgroupLayout& layout, const std::string& path, const CgroupLimits& limits);
  // The cgroup of a container that exists (or existed): makes and checks nothing.
  static ContainerCgroup open(const CgroupLayout& layout, const std::string& path);

  const std::string& path() const { return path_; }
  bool exists() const;

  // For the launcher. v1 and hybrid: `tasks` of each hierarchy, open for writing: a process of one thread enters with
  // "0". Since Linux 5.5 that takes no lock that stops every fork and exec of the host, as cgroup.procs does, and waits
  // for no RCU grace period (cgroup_moves.hpp). Empty on v2.
  std::vector<UniqueFd> open_procs() const;
  // v1 and hybrid: the same, in cgroups below it for the hierarchies of some controllers ("cpu" → "sub").
  // Error{invalid_argument} names a controller without a hierarchy (v2: every one), {not_found} a cgroup.
  std::vector<UniqueFd> open_procs(const std::map<std::string, std::string>& below) const;
  // For CLONE_INTO_CGROUP. v2: the directory; empty on v1 and hybrid.
  UniqueFd open_directory() const;
  // Puts a process (with all its threads) in, in every hierarchy.
  void add(pid_t pid) const;

  // `docker update`: only the limits that are set are written.
  void update(const CgroupLimits& limits) const;

  // Waits until the kernel says so, at most `patience` (then Error{unavailable}, and what was frozen is thawed).
  void freeze(std::chrono::milliseconds patience = std::chrono::seconds(10)) const;
  void thaw() const;
  bool frozen() const;

  CgroupStats stats() const;
  // Host pids of every process in it and below (docker top); empty when it is gone.
  std::vector<pid_t> pids() const;
  // How often the OOM killer struck inside, since it was made.
  std::uint64_t oom_kills() const;

  // SIGKILL to everything in it and below; also what is frozen.
  void kill_all() const;
  // Removes it with everything below, in every hierarchy. False while a process or a dying one is still in it (EBUSY):
  // try again. Never throws; gone already is true.
  bool remove() const noexcept;

 private:
  ContainerCgroup(CgroupLayout layout, std::string path) : layout_(std::move(layout)), path_(std::move(path)) {}

  CgroupLayout layout_;
  std::string path_;
};

}  // namespace bryo::kernel

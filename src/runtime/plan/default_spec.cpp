#include "runtime/default_spec.hpp"

#include "kernel/capabilities.hpp"

namespace bryo::runtime {

std::vector<std::string> default_capabilities() {
  return {"CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",           "CAP_FOWNER",     "CAP_MKNOD",
          "CAP_NET_RAW", "CAP_SETGID",       "CAP_SETUID",           "CAP_SETFCAP",    "CAP_SETPCAP",
          "CAP_KILL",    "CAP_SYS_CHROOT",   "CAP_NET_BIND_SERVICE", "CAP_AUDIT_WRITE"};
}

std::uint64_t capability_bits(const std::vector<std::string>& names) {
  std::uint64_t bits = 0;
  for (const std::string& name : names)
    if (const auto number = kernel::capability_number(name)) bits |= kernel::capability_bit(*number);
  return bits;
}

std::vector<oci::Mount> default_mounts(const std::string& shm_size) {
  return {{"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}, {}, {}},
          {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
          {"/dev/pts",
           "devpts",
           "devpts",
           {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
           {},
           {}},
          {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
          {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}, {}, {}},
          {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
          {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=" + shm_size}, {}, {}}};
}

std::vector<std::string> default_masked_paths() {
  return {"/proc/acpi",        // CVE-2018-10892
          "/proc/asound",      //
          "/proc/interrupts",  //
          "/proc/kcore",       // the kernel's memory
          "/proc/keys",        // keys of other containers
          "/proc/latency_stats",
          "/proc/sched_debug",
          "/proc/scsi",  // CVE-2017-16539
          "/proc/timer_list",
          "/proc/timer_stats",
          "/sys/devices/virtual/powercap",  // GHSA-jq35-85cj-fj4p
          "/sys/devices/system/cpu/cpu0/thermal_throttle",
          "/sys/firmware"};
}

std::vector<std::string> default_readonly_paths() {
  return {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
}

std::vector<oci::LinuxDeviceCgroup> default_device_rules() {
  const auto rule = [](const char* type, std::optional<std::int64_t> major, std::optional<std::int64_t> minor,
                       const char* access) {
    return oci::LinuxDeviceCgroup{true, type, major, minor, access};
  };
  std::vector<oci::LinuxDeviceCgroup> rules = {
      {false, "a", {}, {}, "rwm"}, rule("c", {}, {}, "m"), rule("b", {}, {}, "m")};
  // null, zero, full, random, urandom, tty, console, ptmx, the terminals behind it
  constexpr std::pair<std::int64_t, std::int64_t> kCharacter[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8},
                                                                  {1, 9}, {5, 0}, {5, 1}, {5, 2}};
  for (const auto& [major, minor] : kCharacter) rules.push_back(rule("c", major, minor, "rwm"));
  rules.push_back(rule("c", 136, {}, "rwm"));
  return rules;
}

oci::RuntimeSpec default_spec() {
  oci::RuntimeSpec spec;
  oci::Process process;
  process.args = {"sh"};
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  process.cwd = "/";
  process.capabilities =
      oci::LinuxCapabilities{default_capabilities(), default_capabilities(), {}, default_capabilities(), {}};
  process.no_new_privileges = true;
  process.rlimits = {{"RLIMIT_NOFILE", 1024, 1024}};
  spec.process = process;
  spec.root = oci::Root{"rootfs", true};
  spec.hostname = "bryo";
  spec.mounts = default_mounts();
  oci::Linux os;
  os.namespaces = {{"pid", ""}, {"network", ""}, {"ipc", ""}, {"uts", ""}, {"mount", ""}, {"cgroup", ""}};
  os.masked_paths = default_masked_paths();
  os.readonly_paths = default_readonly_paths();
  os.resources = oci::LinuxResources{};
  os.resources->devices = default_device_rules();
  spec.linux_ = os;
  return spec;
}

}  // namespace bryo::runtime

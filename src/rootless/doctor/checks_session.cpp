#include <sys/stat.h>

#include <array>

#include "base/strings.hpp"
#include "kernel/cgroups.hpp"
#include "rootless/doctor/checks.hpp"
#include "rootless/doctor/judge.hpp"

namespace bryo::rootless::doctor {
namespace {

constexpr std::array kControllers = {"cpu", "cpuset", "io", "memory", "pids"};
// What bryod starts; beside each other.
constexpr std::array kPrograms = {"bryod", "bryo-monitor", "bryo-init", "bryo-usernet"};

std::string runtime_directory(const Host& host) {
  const std::string given = host.variable("XDG_RUNTIME_DIR");
  return given.empty() ? fmt::format("/run/user/{}", host.user().uid) : given;
}

bool own_directory(const Host& host, const std::string& path) {
  const auto facts = host.file(path);
  return facts && S_ISDIR(facts->mode) && facts->uid == host.user().uid;
}

kernel::CgroupLayout layout(const Host& host) {
  return kernel::CgroupLayout::parse(host.text("/proc/self/mountinfo").value_or(""));
}

// "0::/user.slice/…" of /proc/self/cgroup.
std::string own_cgroup(const Host& host) {
  const std::string text = host.text("/proc/self/cgroup").value_or("");
  for (const std::string_view line : split(text, '\n'))
    if (line.starts_with("0::")) return std::string(line.substr(3));
  return {};
}

// The cgroup that is the user's to divide: the user manager's, else the one this process is in.
std::string delegated_cgroup(const Host& host, const std::string& mount) {
  const std::string manager = fmt::format("{0}/user.slice/user-{1}.slice/user@{1}.service", mount, host.user().uid);
  return host.file(manager) ? manager : mount + own_cgroup(host);
}

std::string lacking(std::string_view controllers) {
  std::string out;
  const std::string have = fmt::format(" {} ", trim(controllers));
  for (const char* one : kControllers)
    if (have.find(fmt::format(" {} ", one)) == std::string::npos)
      out += fmt::format("{}{}", out.empty() ? "" : " ", one);
  return out;
}

std::string bryo_socket(const Host& host) {
  return ordinary(host) ? runtime_directory(host) + "/bryo/bryo.sock" : "/run/bryo/bryo.sock";
}

std::string docker_socket(const Host& host) {
  return ordinary(host) ? runtime_directory(host) + "/docker.sock" : "/var/run/docker.sock";
}

// Linux 5.11: overlay in user namespaces.
bool older_than_5_11(std::string_view release) {
  const auto parts = split(release, '.');
  const auto major = parse_integer<int>(parts[0]);
  const auto minor = parts.size() > 1 ? parse_integer<int>(parts[1].substr(0, parts[1].find_first_not_of("0123456789")))
                                      : std::nullopt;
  return major && minor && (*major < 5 || (*major == 5 && *minor < 11));
}

constexpr std::string_view kDelegateFix =
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/60-bryo.conf && sudo systemctl daemon-reload";

}  // namespace

Finding check_kernel(const Host& host) {
  const std::string release = host.kernel_release();
  const Outcome& calls = host.attempt(Attempt::system_calls);
  if (!calls.worked)
    return missing("kernel", fmt::format("Linux {} lacks a system call that Bryo needs: {}", release, calls.message),
                   "install a kernel of Linux 5.12 or newer");
  if (ordinary(host) && older_than_5_11(release))
    return warning("kernel", fmt::format("Linux {}: overlays of users want 5.11", release),
                   "install a kernel of Linux 5.12 or newer");
  return ok("kernel", fmt::format("Linux {}: openat2, pidfd_open, mount_setattr and the others are there", release));
}

Finding check_seccomp(const Host& host) {
  return by_attempt("seccomp-notify", host.attempt(Attempt::seccomp_notify),
                    "made a filter that notifies and takes descriptors", State::warning,
                    "--network bypass will not work", {});
}

Finding check_cgroups(const Host& host) {
  const auto version = layout(host).version();
  if (version == kernel::CgroupVersion::v2) return ok("cgroups", "version 2");
  const bool none = version == kernel::CgroupVersion::none;
  if (!none && !ordinary(host)) return ok("cgroups", "version 1");
  return warning("cgroups",
                 none ? "no cgroups are mounted: limits (--memory, --cpus, --pids-limit) do not work"
                      : "version 1, which users cannot divide: limits (--memory, --cpus, --pids-limit) do not work",
                 has_systemd(host) ? "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' "
                                     "/etc/default/grub && sudo update-grub && sudo reboot"
                 : none            ? "sudo mount -t cgroup2 cgroup2 /sys/fs/cgroup"
                                   : "");
}

Finding check_delegation(const Host& host) {
  const std::string name = "cgroup-delegation";
  const auto cgroups = layout(host);
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  if (cgroups.version() != kernel::CgroupVersion::v2) return not_applicable(name, "with cgroup version 2 only");
  const std::string group = delegated_cgroup(host, cgroups.unified());
  if (!host.writable(group) || !host.writable(group + "/cgroup.procs"))
    return warning(
        name, fmt::format("{} is not yours to divide: limits (--memory, --cpus, --pids-limit) do not work", group),
        has_systemd(host)
            ? fmt::format("sudo loginctl enable-linger {}", host.user().name)
            : fmt::format("sudo chown {0} {1} {1}/cgroup.procs {1}/cgroup.subtree_control", host.user().name, group));
  const auto controllers = host.text(group + "/cgroup.controllers");
  if (!controllers) return warning(name, fmt::format("cannot tell: {}/cgroup.controllers cannot be read", group));
  const std::string absent = lacking(*controllers);
  if (absent.empty()) return ok(name, "cpu, cpuset, io, memory and pids");
  return warning(name, fmt::format("controllers without delegation, whose limits do not work: {}", absent),
                 has_systemd(host)
                     ? std::string(kDelegateFix)
                     : fmt::format("echo +{} | sudo tee {}/cgroup.subtree_control", absent.substr(0, absent.find(' ')),
                                   group.substr(0, group.rfind('/'))));
}

Finding check_systemd(const Host& host) {
  if (!has_systemd(host))
    return not_applicable("systemd", "not on this host: start bryod by hand or by what starts your services");
  if (!ordinary(host)) return ok("systemd", "runs this host");
  const std::string directory = runtime_directory(host);
  if (host.socket_owner(directory + "/systemd/private")) return ok("systemd", "your user manager runs");
  return warning("systemd", "you have no user manager: bryod cannot be your service, and nobody delegates cgroups",
                 fmt::format("sudo loginctl enable-linger {} && export XDG_RUNTIME_DIR=/run/user/{}", host.user().name,
                             host.user().uid));
}

Finding check_linger(const Host& host) {
  if (!has_systemd(host) || !ordinary(host)) return not_applicable("linger", "for users of hosts with systemd");
  if (host.file("/var/lib/systemd/linger/" + host.user().name))
    return ok("linger", "containers start at boot and outlive your logout");
  return warning("linger", "your containers end when you log out, and do not start at boot",
                 fmt::format("sudo loginctl enable-linger {}", host.user().name));
}

Finding check_runtime_directory(const Host& host) {
  const std::string name = "runtime-directory";
  if (!ordinary(host)) return not_applicable(name, "for users other than root");
  const std::string given = host.variable("XDG_RUNTIME_DIR");
  const std::string usual = fmt::format("/run/user/{}", host.user().uid);
  if (given.empty()) {
    if (own_directory(host, usual))
      return warning(name, fmt::format("XDG_RUNTIME_DIR is not set: bryod takes {}, and other programs may not", usual),
                     fmt::format("export XDG_RUNTIME_DIR={}", usual));
    return warning(name,
                   fmt::format("there is no {0}, and XDG_RUNTIME_DIR is not set: bryod makes /tmp/bryo-{1}", usual,
                               host.user().uid),
                   has_systemd(host) ? fmt::format("sudo loginctl enable-linger {}", host.user().name) : "");
  }
  if (!own_directory(host, given))
    return missing(
        name,
        fmt::format("XDG_RUNTIME_DIR={} is no directory of yours (su and sudo keep other people's)", printable(given)),
        own_directory(host, usual) ? fmt::format("export XDG_RUNTIME_DIR={}", usual) : "unset XDG_RUNTIME_DIR");
  if ((host.file(given)->mode & 077U) != 0)
    return warning(name, fmt::format("{} is open to others", given), fmt::format("chmod 700 {}", given));
  return ok(name, given);
}

Finding check_programs(const Host& host) {
  for (const char* program : kPrograms) {
    const std::string path = fmt::format("{}/{}", host.program_directory(), program);
    const auto file = host.file(path);
    if (!file || (file->mode & 0111U) == 0)
      return missing("programs", fmt::format("{} is not there", path),
                     "unpack Bryo's archive again and run bin/bryo setup");
  }
  if (host.filesystem(host.program_directory()).noexec)
    return missing("programs", fmt::format("{} is mounted noexec", host.program_directory()),
                   "bryo setup --prefix DIRECTORY (one on a file system without noexec)");
  return ok("programs", host.program_directory());
}

Finding check_docker_socket(const Host& host) {
  const std::string path = docker_socket(host);
  const auto owner = host.socket_owner(path);
  if (!owner) return ok("docker-socket", fmt::format("{} is free: bryod will listen there too", path));
  if (owner->program == "bryod") return ok("docker-socket", fmt::format("bryod listens at {}", path));
  return warning("docker-socket",
                 fmt::format("{} (process {}) listens at {}: clients reach it and not Bryo",
                             owner->program.empty() ? "another program" : owner->program, owner->pid, path),
                 fmt::format("export DOCKER_HOST=unix://{}", bryo_socket(host)));
}

Finding check_docker_client(const Host& host) {
  const std::string name = "docker-client";
  if (!host.find_program("docker")) return not_applicable(name, "the docker command is not installed");
  const std::string fix = fmt::format("export DOCKER_HOST=unix://{}", bryo_socket(host));
  if (const std::string given = host.variable("DOCKER_HOST"); !given.empty()) {
    for (const std::string& path : {bryo_socket(host), docker_socket(host)})
      if (given == "unix://" + path) return ok(name, fmt::format("DOCKER_HOST={}", given));
    return warning(name, fmt::format("DOCKER_HOST={} leads docker elsewhere", printable(given)), fix);
  }
  std::string context = host.variable("DOCKER_CONTEXT");
  if (context.empty()) {
    const std::string config = host.text(host.home() + "/.docker/config.json").value_or("");
    const auto key = config.find("\"currentContext\"");
    const auto open = key == std::string::npos ? key : config.find('"', config.find(':', key));
    if (open != std::string::npos) context = config.substr(open + 1, config.find('"', open + 1) - open - 1);
  }
  if (context == "bryo") return ok(name, "uses the context bryo");
  if (!ordinary(host)) return ok(name, "uses /var/run/docker.sock");
  return warning(name,
                 fmt::format("docker uses the context {}, which does not lead to Bryo",
                             context.empty() ? "default" : printable(context)),
                 host.file(host.home() + "/.docker/contexts/meta") ? "docker context use bryo" : fix);
}

}  // namespace bryo::rootless::doctor
